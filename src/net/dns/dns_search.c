/*
 * dns_search.c - the search list: a short name is tried in each of the domains that resolv.conf names.
 *
 * Role    "www" with "search example.org" is asked about as "www.example.org", then as "www"; a name with as many dots as
 *         ndots says (1) the other way round; one that ends in a dot as it is only. Near dns_ares.c, which goes on to the next
 *         name when one has no address. Layer 4.
 * Limits  a name that gets too long with a domain leaves it out. Failure: WEFT_ENOMEM; WEFT_EADDR when no name is left.
 * Source  resolv.conf(5); c-ares ares_search.
 */
#include "dns_search.h"

#include <string.h>

#include "../../sys/sys.h"

weft_err weft__dns_search_of(ares_channel channel, struct weft__dns_search *ret_search)
{
    struct ares_options o;
    struct weft__dns_search s = {.dots = 1};
    int mask = 0;
    weft_err err = 0;
    if (ares_save_options(channel, &o, &mask) != ARES_SUCCESS)
        return WEFT_ENOMEM;
    if (mask & ARES_OPT_NDOTS)
        s.dots = o.ndots;
    if ((mask & ARES_OPT_DOMAINS) && o.ndomains > 0)
        s.domains = weft__sys_alloc((size_t)o.ndomains * sizeof *s.domains);
    for (int i = 0; s.domains && !err && i < o.ndomains; i++) {
        size_t n = strlen(o.domains[i]) + 1;
        char *d = weft__sys_alloc(n);
        if (d)
            s.domains[s.count++] = memcpy(d, o.domains[i], n);
        else
            err = WEFT_ENOMEM;
    }
    ares_destroy_options(&o);
    if (err)
        weft__dns_search_done(&s);
    else
        *ret_search = s;
    return err;
}

void weft__dns_search_done(struct weft__dns_search *s)
{
    for (int i = 0; i < s->count; i++)
        weft__sys_free(s->domains[i]);
    weft__sys_free(s->domains);
    *s = (struct weft__dns_search){0};
}

/* Does host go before its combinations with the domains? */
static bool search_plain_first(const struct weft__dns_search *s, const char *host)
{
    int dots = 0;
    for (const char *p = host; *p; p++)
        dots += *p == '.';
    return dots >= s->dots;
}

int weft__dns_search_name(const struct weft__dns_search *s, const char *host, int step, char *ret_name, size_t size)
{
    size_t len = strlen(host);
    bool absolute = len && host[len - 1] == '.', first = absolute || search_plain_first(s, host);
    int domains = absolute ? 0 : s->count, domain = first ? step - 1 : step;
    if (step > domains)
        return 0;
    bool plain = domain < 0 || domain >= domains;
    size_t more = plain ? 0 : 1 + strlen(s->domains[domain]);
    if (len == 0 || len + more >= size)
        return WEFT_EADDR;
    memcpy(ret_name, host, len + 1);
    if (!plain) {
        ret_name[len] = '.';
        memcpy(ret_name + len + 1, s->domains[domain], more);
    }
    return 1;
}

bool weft__dns_under(const char *host, const char *name)
{
    size_t len = strlen(host), n = strlen(name);
    if (len && host[len - 1] == '.')
        len--;
    return len >= n && memcmp(host + len - n, name, n) == 0 && (len == n || host[len - n - 1] == '.');
}
