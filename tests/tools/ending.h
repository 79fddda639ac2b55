/*
 * ending.h - how the servers that tests/e2e starts learn that it is enough: by SIGTERM. ThreadSanitizer delays signals for
 * ever, so there it is the end of their stdin (tests/e2e/ending.py is the other side).
 */
#ifndef ENDING_H
#define ENDING_H
#include <signal.h>
#include <unistd.h>
#include <weft/weft.h>

#include "weft_test.h"

static inline void ending_wait(void)
{
    if (WEFT_TEST_TSAN) {
        char byte;
        weft_block_begin();
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
        weft_block_end();
        return;
    }
    weft_chan(int) got = weft_make(int, 1);
    weft_signal_notify(got, SIGTERM);
    (void)weft_recv(got);
    weft_signal_stop(got);
    weft_free(got);
}

#endif
