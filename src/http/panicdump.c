/*
 * panicdump.c - where a handler's panic came from, on stderr, while its stack is still there.
 *
 * Role    Deferred calls run on top of the stack that panicked: the one around a connection's handlers prints it. Then the
 *         panic stops in weft_try (serveconn.c) and the client gets a 500; the server goes on.
 * Near    diag/ (traces and printing), unwind/panic.c. Layer 5.
 * Locks   dump_lock, held while printing: panics of two connections do not mix. A report that ends the process does not
 *         take it, and may print in between.
 * Limits  Functions with offsets, no source lines: those need an allocator and a stack that a handler may have used up.
 */
#include "../diag/diag.h"
#include "../unwind/unwind_int.h"
#include "server_int.h"

void weft__http_panic_dump(struct weft__exch *const *where)
{
    static struct weft__lock dump_lock;
    static struct weft__trace trace;   /* [dump_lock] */
    struct weft__g *g = weft__g();
    struct weft__panic *p = g->panic;
    struct weft__exch *x = *where;
    if (!p || p->goexit || !x || x->sc->server->o.on_panic)
        return;
    weft__lock(&dump_lock);
    weft__print("http: panic in the handler of %s %.200s: %.500s\n\n", weft_http_request_method(&x->rq),
                weft_http_request_target(&x->rq), p->text ? p->text : "");
    weft__trace_here(&trace);
    weft__dump_g(g, &trace, true, false);
    weft__print_flush();
    weft__unlock(&dump_lock);
}
