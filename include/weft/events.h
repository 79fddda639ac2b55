/*
 * weft/events.h - server-sent events as a client reads them: a browser's EventSource for a goroutine.
 *
 * The sending end is weft_http_sse_begin and weft_http_sse_send of weft/http.h.
 *
 * Parks   only calls marked WEFT_PARKS.
 * Source  HTML Living Standard, 9.2 Server-sent events.
 */
#ifndef WEFT_EVENTS_H
#define WEFT_EVENTS_H
#include <weft/http.h>

#pragma GCC system_header

/* Events of a server, as a client reads them. One goroutine at a time. */
typedef struct weft_http_events weft_http_events;

/* Zero in any field means its default. */
struct weft_http_events_opts {
    const struct weft_http_field *fields;   /* sent with each request; lent: they outlive the events */
    size_t fields_len;
    const char *last_id;         /* where to go on from: the id of the last event that was dealt with; copied */
    weft_dur retry;              /* pause before it connects again: default 3 s, until the server says another; < 0: never */
    size_t event_bytes_max;      /* of an event's data, or any line: default 1 MiB; more: WEFT_ETOOBIG */
};

/**
 * weft_http_events_new - read server-sent events, as a browser's EventSource does. Nothing is sent yet.
 *
 * @client      outlives the events; NULL: the default one. Its timeout does not hold for the stream.
 * @url         copied.
 * @ret_events  the caller's, to be given up by weft_http_events_free.
 *
 * Returns   0; WEFT_EADDR (no URL), WEFT_EINVAL (last_id), WEFT_ENOMEM. Does not park.
 */
WEFT_API WEFT_MUST_USE
weft_err weft_http_events_new(weft_http_client *client, const char *url, const struct weft_http_events_opts *opts,
                              weft_http_events **ret_events);
/**
 * weft_http_events_next - the next event; connects where there is no connection, and again when it ends.
 *
 * @ctx       cancels the wait. That ends the connection; the next call connects at once, with the last event's id.
 * @ret_event id is "" when there was none so far, event "message" where the server names none; retry is the pause now. The texts
 *            live until the next call on events.
 *
 * Returns   1; 0 when there will be no more: the server has answered 204, or the stream has ended and retry is < 0; or an error.
 * Errors    WEFT_EPROTO (an answer other than 200 with text/event-stream), WEFT_ETOOBIG, WEFT_ENOMEM; WEFT_ECANCELED, WEFT_EDEADLINE;
 *           as weft_http_do where trying again would not help, and others only with retry < 0: else it tries again, with pauses
 *           that double up to a minute. A call after an error connects again.
 * Parks     until there is one.
 * Limits    Bytes that are not UTF-8 are handed over as they are. Source: HTML Living Standard 9.2.
 */
WEFT_API WEFT_PARKS WEFT_MUST_USE
int weft_http_events_next(weft_ctx *ctx, weft_http_events *events, struct weft_http_event *ret_event);
/** weft_http_events_free - end them, with the connection. NULL is fine. Does not park. */
WEFT_API void weft_http_events_free(weft_http_events *events);

#endif
