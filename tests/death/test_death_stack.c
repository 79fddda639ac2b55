/* Stack overflow of goroutines with stacks of their own size: the report says which size. */
#include <weft/weft.h>

#include "arch/fiber.h"
#include "weft_test.h"

#define NOINLINE __attribute__((noinline))

DEATH(death_stack, larger_than_any_stack_may_be, 2,
      "^fatal error: weft_go: a stack of 2147483648 bytes: the limit is 1073709056\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_go_stack(2ul << 30, weft_yield);
}

struct more {
    char b[2000];
};

static void takes_more(struct more m)
{
    (void)m;
}

DEATH(death_stack, so_large_that_its_arguments_make_it_small, 2,
      "^fatal error: weft_go: a stack of 18446744073709550616 bytes: the limit is 1073709056\n\ngoroutine 1 \\[running\\]:\n")
{
    weft_go_stack((size_t)-1000, takes_more, (struct more){{0}});
}

#if !WEFT__TSAN /* it keeps fault signals for itself */
static NOINLINE int recurse(int n)
{
    volatile char b[100];
    b[n % 100] = (char)n;
    return n < 0 ? 0 : recurse(n + 1) + b[0];
}

static NOINLINE void overflows(void)
{
    fprintf(stderr, "%d\n", recurse(0));
}

static void await_end(void)
{
    for (;;)
        weft_sleep(WEFT_SEC);
}

#if WEFT__ASAN || WEFT_DEBUG > 0 /* four times as much */
#define SMALL "116"
#define LARGE "8180"
#else
#define SMALL "20"
#define LARGE "2036"
#endif

DEATH(death_stack, overflow_of_a_small_stack_says_its_size, 2,
      "^weft: goroutine stack exceeds " SMALL " KiB limit\nfatal error: stack overflow\n\ngoroutine [0-9]+ \\[running\\]:\nrecurse"
      "(.*\n)*created by test_death_stack_overflow_of_a_small_stack_says_its_size in goroutine 1\n")
{
    weft_go_stack(15000, overflows);
    await_end();
}

DEATH(death_stack, overflow_of_a_large_stack_says_its_size, 2,
      "^weft: goroutine stack exceeds " LARGE " KiB limit\nfatal error: stack overflow\n\ngoroutine [0-9]+ \\[running\\]:\nrecurse")
{
    weft_go_stack(2000000, overflows);
    await_end();
}
#endif
