/* What the client sends after a redirect, by status and method. Source: RFC 9110 15.4; Go's net/http, by behaviour. */
#include "http_peer.h"

#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* Asks p, which redirects to /to, and sees what comes then. */
static void expect_after(int status, const char *method, const char *then, bool body_again)
{
    char moved[100], line[40];
    struct peer p;
    bool head = strcmp(then, "HEAD") == 0;
    snprintf(moved, sizeof moved, "HTTP/1.1 %d x\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n", status);
    struct answer a[] = {{moved}, {head ? "HTTP/1.1 200 OK\r\n\r\n" : OK2}};
    peer_start(&p, a, 2);
    struct weft_http_field f[] = {{"Content-Type", "t/x"}, {"X-Own", "yes"}, {"Cookie", "a=b"}};
    struct weft_http_call call = {.method = method, .url = p.url, .fields = f, .fields_len = 3, .body = "body", .body_len = 4};
    weft_http_client *c = client_with(NULL);
    char got[16];
    EXPECT_EQ(fetch_call(c, &call, got, sizeof got), 200);
    snprintf(line, sizeof line, "%s /to HTTP/1.1\r\n", then);
    bool again = strstr(p.last, "Content-Length: 4\r\n") && strstr(p.last, "Content-Type: t/x\r\n") && strstr(p.last, "\r\n\r\nbody");
    if (strncmp(p.last, line, strlen(line)) != 0 || again != body_again || (!again && (strstr(p.last, "Content-") || strstr(p.last, "body"))) ||
        !strstr(p.last, "X-Own: yes\r\n") || !strstr(p.last, "Cookie: a=b\r\n"))
        weft_test_fail(__FILE__, __LINE__, "%d after %s: %s", status, method, p.last);
    weft_http_client_free(c);
    peer_stop(&p);
}

TEST(http_redirects, methods_and_bodies_change_with_301_302_and_303_only)
{
    for (int status = 301; status <= 303; status++) {
        expect_after(status, "POST", "GET", false);
        expect_after(status, "PUT", "GET", false);
        expect_after(status, "DELETE", "GET", false);
        expect_after(status, "HEAD", "HEAD", true);
    }
    for (int status = 307; status <= 308; status++) {
        expect_after(status, "POST", "POST", true);
        expect_after(status, "PUT", "PUT", true);
        expect_after(status, "DELETE", "DELETE", true);
        expect_after(status, "PATCH", "PATCH", true);
    }
}

TEST(http_redirects, what_leads_nowhere_is_handed_over)
{
    static const char *const answers[] = {
        "HTTP/1.1 300 x\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 304 x\r\nLocation: /to\r\n\r\n",
        "HTTP/1.1 305 x\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 x\r\nLocation:\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 201 x\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n"};
    weft_http_client *c = client_with(NULL);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct answer a[] = {{answers[i]}, {OK2}};
        struct peer p;
        char got[16];
        peer_start(&p, a, 2);
        EXPECT_EQ(fetch(c, p.url, got, sizeof got), atoi(answers[i] + 9));
        EXPECT_EQ(atomic_load(&p.requests), 1);
        peer_stop(&p);
    }
    weft_http_client_free(c);
}
