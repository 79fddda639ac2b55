/*
 * fuzz_t13.c - our own TLS 1.3 client against a server that has all keys and says what the input dictates.
 *
 * The server takes the client's hello apart, derives the real secrets and seals its messages: in order or not, mutated, cut up,
 * padded, with tickets, new keys, alerts, at any level of protection. It keeps what it has sent, and a judge that knows nothing
 * of the client goes through that: a handshake is done only if what was sent is one, byte for byte where it matters; and the
 * bytes that are delivered are those that were sealed before the first thing that no client may take. What the client sends is
 * opened, and is its Finished, its answers, what was written. Each conversation is held twice, cut up otherwise: with one end.
 *
 * First byte: suite (2 bits), any certificate (4). Then steps: see shake_step, data_step. Up to three connections, with tickets.
 */
#include "t13_server.h"

/* What a conversation led to, for all of an input. */
struct outcome {
    int shake[CONNS], end[CONNS];
    size_t len[CONNS];
    const char *words[CONNS];
    bool resumed[CONNS];
};

/* ---- the server hears the hello ---- */

/* By the name of a ticket, that it is ours and that the client has its key. */
static void hear_ticket(const struct weft__t13_in *psk, bool decline)
{
    struct weft__t13_in e = *psk, ids = weft__t13_list(&e, 2), id = weft__t13_list(&ids, 2);
    bool big = srv.suite->big;
    CHECK(!e.bad && ids.n == 4);
    for (unsigned i = 0; i < tickets && i < TICKETS; i++) {
        if (id.n != 16 || memcmp(ticket[i].name, id.at, 16) != 0)
            continue;
        unsigned char early[48], by[48], sum[48], want[48];
        size_t n = weft__t13_hash_len(ticket[i].big);
        struct weft__t13_hash h;
        weft__t13_hash_begin(&h, ticket[i].big);
        weft__t13_hash_now(&h, sum);
        weft__t13_next(ticket[i].big, NULL, ticket[i].psk, n, early);
        weft__t13_derive(ticket[i].big, early, "res binder", sum, n, by, n);
        weft__t13_hash_add(&h, hello, srv.hello_len - n - 3);
        weft__t13_hash_now(&h, sum);
        weft__t13_finished(ticket[i].big, by, sum, want);
        CHECK(weft__t13_list(&e, 2).n == n + 1 && memcmp(hello + srv.hello_len - n, want, n) == 0);
        srv.resume = ticket[i].big == big && !decline;
        memcpy(srv.psk, ticket[i].psk, 48);
        return;
    }
}

static void hear(struct weft__t13_bytes *b, uint8_t how)
{
    struct weft__t13_in in = {b->at + 5, b->to - 5, false};
    bool share = false;
    srv = (struct server){.suite = &weft__t13_suites[(how & 3) % 3], .any = how & 4, .hello_len = in.n};
    CHECK(b->from == 0 && in.n < sizeof hello && weft__t13_pair(srv.mine, srv.share));
    memcpy(hello, in.at, in.n);
    weft__t13_hash_begin(&srv.hash, srv.suite->big);
    weft__t13_hash_add(&srv.hash, hello, in.n);
    CHECK(weft__t13_int(&in, 1) == T13_HELLO && weft__t13_int(&in, 3) == in.n && weft__t13_int(&in, 2) == 0x303);
    (void)weft__t13_cut(&in, 32);
    struct weft__t13_in session = weft__t13_list(&in, 1);
    CHECK(session.n == 32);
    memcpy(srv.session, session.at, 32);
    (void)weft__t13_list(&in, 2);
    (void)weft__t13_list(&in, 1);
    for (struct weft__t13_in all = weft__t13_list(&in, 2); all.n;) {
        uint32_t type = weft__t13_int(&all, 2);
        struct weft__t13_in e = weft__t13_list(&all, 2);
        CHECK(!all.bad);
        if (type == 51) {
            CHECK(e.n == 38);
            memcpy(srv.theirs, e.at + 6, 32);
            share = true;
        } else if (type == 41) {
            CHECK(all.n == 0);
            hear_ticket(&e, how & 8);
        }
    }
    CHECK(share && !in.bad && in.n == 0);
}

/* ---- after the handshake ---- */

static void put_data(size_t n)
{
    static unsigned char bytes[17000];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)((srv.says_len + i) * 167 >> 3);
    if (!room(n))
        return;
    put_record(DATA, T13_DATA, bytes, n);
    srv.poison |= n > WEFT__T13_PLAIN_MAX;
    srv.idle = n ? 0 : srv.idle + 1;
    if (srv.poison || srv.closed)
        return;
    memcpy(says + srv.says_len, bytes, n);
    srv.says_len += n;
}

static size_t make_ticket(unsigned char *m, unsigned seconds)
{
    unsigned char at = (unsigned char)tickets, nonce[] = {at};
    const unsigned char head[] = {T13_TICKET, 0, 0, 31, 0, (unsigned char)(seconds >> 16), (unsigned char)(seconds >> 8), (unsigned char)seconds,
                                  at, 2, 3, 4, 1, at, 0, 16};
    memcpy(m, head, sizeof head);
    for (unsigned char i = 0; i < 16; i++)   /* none is another one with a byte changed */
        m[16 + i] = (unsigned char)(at + 17 * i);
    m[32] = m[33] = 0;
    m[3] = 30;
    if (tickets >= TICKETS) {
        memset(m + 16, 0xee, 16);
    } else {
        memcpy(ticket[tickets].name, m + 16, 16);
        ticket[tickets].big = srv.suite->big;
        weft__t13_derive(srv.suite->big, srv.res, "resumption", nonce, 1, ticket[tickets].psk, weft__t13_hash_len(srv.suite->big));
    }
    return 34;
}

static void step_ticket(struct fuzz_in *in, uint8_t more)
{
    unsigned char m[64 + 8];
    size_t n = make_ticket(m, more == 15 ? 700000 : more == 14 ? 0 : 3600);
    tickets++;
    srv.idle++;
    if (more & 1)
        put_cut(DATA, m, n, 1 + fuzz_byte(in) % 32);
    else
        put_record(DATA, T13_HANDSHAKE, m, n);
    srv.unsure |= more & 1;   /* many records that bring no bytes */
}

static void step_update(struct fuzz_in *in, uint8_t more)
{
    unsigned char m[64] = {T13_UPDATE, 0, 0, 1, more & 1};
    size_t n = 5;
    if (!room(64))
        return;
    if (more & 2) {
        m[4] = fuzz_byte(in);
        m[3] = more >> 2;
        n = 4 + m[3];
    } else if (more & 4) {   /* behind it under its old keys */
        n += 1 + fuzz_byte(in) % 50;
    }
    put_record(DATA, T13_HANDSHAKE, m, n);
    srv.idle++;
    if (n != 5 || m[4] > 1) {
        srv.poison = true;
        return;
    }
    srv.asked += m[4] && !srv.poison && !srv.closed;
    CHECK(weft__t13_way_turn(&srv.out[DATA], srv.suite, cipher_of(srv.suite), true));
}

static void step_alert(int level, int what)
{
    const unsigned char alert[] = {(unsigned char)level, (unsigned char)what};
    put_record(DATA, T13_ALERT, alert, 2);
    srv.idle++;
    if (what == T13_A_CLOSE)
        srv.closed |= !srv.poison;
    else if (what != T13_A_CANCELED)
        srv.poison = true;
}

/* False: the connection's last step. */
static bool data_step(struct fuzz_in *in)
{
    uint8_t op = fuzz_byte(in), more = op >> 4, step = op & 15;
    bool before = srv.poison || srv.unsure || srv.closed;
    unsigned char m[200];
    size_t n, at;
    char *p;
    switch (step) {
    case 0: case 1: put_data(fuzz_byte(in) | (size_t)more << 8); break;
    case 2: put_data((size_t)WEFT__T13_PLAIN_MAX + 4 - more); break;
    case 3: srv.pad = fuzz_byte(in); break;
    case 4: step_ticket(in, more); break;
    case 5:   /* changed in a place; no ticket of ours then */
        n = make_ticket(m, 3600);
        at = fuzz_byte(in) % n;
        m[at] ^= more;
        put_record(DATA, T13_HANDSHAKE, m, n);
        srv.unsure = true;
        memset(&ticket[tickets % TICKETS], 0, sizeof *ticket);
        tickets++;
        break;
    case 6: case 7: step_update(in, more); break;
    case 8: step_alert(1, T13_A_CLOSE); break;
    case 9: step_alert(more, fuzz_byte(in)); break;
    case 10: p = fuzz_text(in, fuzz_byte(in), &n), put_garbage(p, n), free(p); break;
    case 11:
        op = fuzz_byte(in);
        p = fuzz_text(in, fuzz_byte(in), &n);
        if (room(n))
            put_record(more % 3, op, p, n);
        if (more % 3 == DATA && (op == T13_HANDSHAKE || op == T13_ALERT || op == T13_DATA))
            srv.unsure = true;
        else
            srv.poison = true;
        if (more % 3 == DATA && op == T13_DATA && !srv.poison && !srv.closed)
            srv.says_len = (size_t)((unsigned char *)mempcpy(says + srv.says_len, p, n) - says);
        free(p);
        break;
    case 12:   /* something in the middle of a message */
        n = make_ticket(m, 3600);
        tickets++;
        put_cut(DATA, m, n / 2, n / 2);
        srv.poison = true;
        put_data(more);
        put_record(DATA, T13_HANDSHAKE, m + n / 2, n - n / 2);
        break;
    case 13:   /* two tickets and new keys in one record */
        n = make_ticket(m, 3600);
        tickets++;
        n += make_ticket(m + n, 3600);
        tickets++;
        memcpy(m + n, "\30\0\0\1\0", 5);
        if (room(100)) {
            put_record(DATA, T13_HANDSHAKE, m, n + 5);
            CHECK(weft__t13_way_turn(&srv.out[DATA], srv.suite, cipher_of(srv.suite), true));
        }
        srv.idle++;
        break;
    case 14: put_record(PLAIN, T13_CCS, "\1", 1), srv.poison = true; break;
    default: return false;
    }
    srv.fatal |= !before && !srv.unsure && srv.poison && step != 10 && step != 11;   /* those need not be whole */
    srv.unsure |= srv.idle > 30;
    return true;
}

/* ---- the judge ---- */

/* Extensions of a hello or of EncryptedExtensions as they may be: each once, of those offered. */
static bool judge_extensions(const unsigned char *at, size_t n, bool is_hello)
{
    unsigned seen = 0;
    bool ok = n >= 2 && n - 2 == ((size_t)at[0] << 8 | at[1]);
    for (at += 2, n -= 2; ok && n;) {
        size_t len = n < 4 ? 0 : (size_t)at[2] << 8 | at[3];
        if (n < 4 || len > n - 4 || at[0])
            return false;
        unsigned bit = 0;
        const unsigned char *e = at + 4;
        switch (at[1]) {
        case 43: bit = is_hello && len == 2 && e[0] == 3 && e[1] == 4 ? 1 : 0; break;
        case 51: bit = is_hello && len == 36 && memcmp(e, "\0\35\0\40", 4) == 0 ? 2 : 0; break;
        case 41: bit = is_hello && srv.resume && len == 2 && e[0] == 0 && e[1] == 0 ? 4 : 0; break;
        case 0: bit = !is_hello && srv.any && len == 0 ? 8 : 0; break;
        case 10: bit = is_hello ? 0 : 16; break;
        case 16: bit = !is_hello && ((len == 5 && memcmp(e, "\0\3\2h2", 5) == 0) || (len == 11 && memcmp(e, "\0\11\10http/1.1", 11) == 0)) ? 32 : 0; break;
        default: break;
        }
        ok = bit && !(seen & bit);
        seen |= bit;
        at += 4 + len;
        n -= 4 + len;
    }
    return ok && (!is_hello || (seen & 3) == 3) && (!is_hello || !!(seen & 4) == srv.resume);
}

static bool judge_certificate(const unsigned char *m, size_t n)
{
    if (n == fixed.cert_len && memcmp(m, fixed.cert, n) == 0)
        return true;
    const unsigned char *at = m + 11;   /* any: but with the key that signs */
    X509 *x = srv.any && n > 13 ? d2i_X509(NULL, &at, (long)(n - 11)) : NULL;
    bool ok = x && X509_get0_pubkey(x) && EVP_PKEY_eq(X509_get0_pubkey(x), fixed.key) == 1;
    X509_free(x);
    return ok;
}

static bool judge_message(int step, const unsigned char *m, size_t n, struct weft__t13_hash *h)
{
    unsigned char sum[48], what[64 + 34 + 48], want[48];
    size_t len = weft__t13_hash_len(srv.suite->big);
    bool ok;
    weft__t13_hash_now(h, sum);
    weft__t13_hash_add(h, m, n);
    switch (step) {
    case F_HELLO:
        ok = n > 76 && m[4] == 3 && m[5] == 3 && m[38] == 32 && memcmp(m + 39, srv.session, 32) == 0 && m[71] == 0x13 &&
             m[72] == (srv.suite->id & 255) && m[73] == 0 && memcmp(m + 6, retry, 32) != 0;
        return ok && m[0] == T13_SERVER_HELLO && judge_extensions(m + 74, n - 74, true);
    case F_ENCRYPTED: return m[0] == T13_ENCRYPTED && n >= 6 && judge_extensions(m + 4, n - 4, false);
    case F_CERT: return m[0] == T13_CERTIFICATE && judge_certificate(m, n);
    case F_VERIFY:
        memset(what, ' ', 64);
        memcpy(what + 64, "TLS 1.3, server CertificateVerify", 34);
        memcpy(what + 98, sum, len);
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        ok = m[0] == T13_VERIFY && n > 8 && m[4] == 4 && m[5] == 3 && ((size_t)m[6] << 8 | m[7]) == n - 8 &&
             EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, fixed.key) == 1 && EVP_DigestVerify(c, m + 8, n - 8, what, 98 + len) == 1;
        EVP_MD_CTX_free(c);
        return ok;
    default:
        weft__t13_finished(srv.suite->big, srv.hs_server, sum, want);
        return m[0] == T13_FINISHED && n == 4 + len && memcmp(m + 4, want, len) == 0;
    }
}

/* Is what was sent a handshake, from its first record to the one with Finished? */
static bool judge(void)
{
    static unsigned char all[STREAM_MAX];
    struct weft__t13_hash h;
    size_t from = 0, to = 0;
    int step = F_HELLO;
    weft__t13_hash_begin(&h, srv.suite->big);
    weft__t13_hash_add(&h, hello, srv.hello_len);
    for (int i = 0; i < srv.records; i++) {
        const struct record *r = &record[i];
        if (r->level == PLAIN && r->type == T13_CCS) {
            if (step == F_HELLO || r->n != 1 || text[r->at] != 1 || to > from)
                return false;
            continue;
        }
        if (r->level != (step == F_HELLO ? PLAIN : SHAKE) || r->type != T13_HANDSHAKE || r->n == 0 || r->n > WEFT__T13_PLAIN_MAX)
            return false;
        memcpy(all + to, text + r->at, r->n);
        to += r->n;
        while (to - from >= 4) {
            size_t n = 4 + ((size_t)all[from + 1] << 16 | (size_t)all[from + 2] << 8 | all[from + 3]);
            if (to - from < n)
                break;
            if (!judge_message(step, all + from, n, &h) || ((step == F_HELLO || step == F_FINISHED) && to - from > n))
                return false;
            if (step == F_FINISHED)
                return true;
            from += n;
            step = step == F_ENCRYPTED && srv.resume ? F_FINISHED : step + 1;
        }
    }
    return false;
}

/* ---- what the client sends ---- */

struct client {
    struct weft__t13_bytes sent, wrote;
};

static void collect(struct weft__t13 *t, struct client *c)
{
    if (t->send.to > t->send.from)
        CHECK(weft__t13_add(&c->sent, t->send.at + t->send.from, t->send.to - t->send.from));
    weft__t13_drop(&t->send, false);
    t->owed = 0;
}

/* Everything opens, in order: its change of ciphers, its Finished, what was written, an answer for each new key. */
static void hear_client(struct client *c, bool broken)
{
    size_t at = 0, data = 0, n;
    int answers = 0, kind, step = 0;
    unsigned char *p = c->sent.at;
    for (; at < c->sent.to; at += 5 + (n = (size_t)p[at + 3] << 8 | p[at + 4]), step++) {
        size_t got, body = (size_t)p[at + 3] << 8 | p[at + 4];
        CHECK(at + 5 + body <= c->sent.to && p[at + 1] == 3 && p[at + 2] == 3);
        if (step == 0) {
            CHECK(p[at] == T13_CCS && body == 1 && p[at + 5] == 1);
            continue;
        }
        CHECK(p[at] == T13_DATA && weft__t13_open(&srv.in, p + at, body, p + at + 5, &got, &kind) == 0);
        const unsigned char *m = p + at + 5;
        if (step == 1) {
            CHECK(kind == T13_HANDSHAKE && m[0] == T13_FINISHED && memcmp(m + 4, srv.client_finished, got - 4) == 0 && got > 32);
            CHECK(weft__t13_way_set(&srv.in, srv.suite, cipher_of(srv.suite), srv.ap_client, false));
        } else if (kind == T13_DATA) {
            CHECK(data + got <= c->wrote.to && memcmp(m, c->wrote.at + data, got) == 0);
            data += got;
        } else if (kind == T13_HANDSHAKE) {
            CHECK(got == 5 && memcmp(m, "\30\0\0\1\0", 5) == 0);
            CHECK(weft__t13_way_turn(&srv.in, srv.suite, cipher_of(srv.suite), false));
            answers++;
        } else {
            CHECK(kind == T13_ALERT && got == 2 && broken && at + 5 + body == c->sent.to);
        }
    }
    CHECK(step >= 2 && data == c->wrote.to);
    CHECK(srv.unsure || srv.poison ? true : answers == srv.asked);
}

/* ---- a conversation ---- */

/* What the server has sent, in pieces, until nothing more is taken. False: no handshake came of it. */
static void feed(struct weft__t13 *t, struct client *c, uint32_t cut, struct outcome *o, int i)
{
    static const uint16_t rooms[] = {1, 20, 300, 4096, 16384, 32767};
    size_t at = 0, got;
    enum weft__t13_is is = WEFT__T13_MORE;
    while (at < srv.len && is == WEFT__T13_MORE) {
        if (t->raw.from == t->raw.to)
            t->raw.from = t->raw.to = 0;
        size_t most = RAW_MAX - (t->raw.to - t->raw.from), n = fuzz_piece(&cut, srv.len - at < most ? srv.len - at : most);
        CHECK(n && weft__t13_add(&t->raw, stream + at, n));
        at += n;
        if (t->shake && (is = o->shake[i] = weft__t13_shake(t)) != WEFT__T13_DONE)
            continue;
        do {
            size_t want = cut ? rooms[cut >> 20 & 7 ? (cut >> 20 & 7) % 6 : 0] : 32767;
            unsigned char *exact = malloc(want);
            CHECK(exact);
            got = 0;
            is = weft__t13_read(t, exact, want, &got);
            CHECK(is != WEFT__T13_DONE || (got <= want && o->len[i] + got <= srv.says_len && memcmp(says + o->len[i], exact, got) == 0));
            o->len[i] += is == WEFT__T13_DONE ? got : 0;
            free(exact);
        } while (is == WEFT__T13_DONE);
        if (cut & 1 && c->wrote.to < 60000 && is == WEFT__T13_MORE) {
            size_t k = 1 + (cut >> 7) % 3000, put = c->wrote.to;
            CHECK(weft__t13_add(&c->wrote, says, k) && weft__t13_write(t, c->wrote.at + put, k) && t->owed == k);
        }
        if (t->send.to - t->send.from > 10000)
            collect(t, c);
    }
    o->end[i] = is;
}

static void verdict(struct weft__t13 *t, struct client *c, struct outcome *o, int i)
{
    bool done = !t->shake;
    CHECK(!done || judge());
    CHECK(done || srv.odd || !srv.ended || srv.records > 60);
    if (!done) {
        CHECK(o->len[i] == 0 && !t->words);
        return;
    }
    o->resumed[i] = t->resumed;
    CHECK(t->resumed == srv.resume && t->verified == !srv.any && t->cert);
    CHECK(srv.unsure || o->len[i] == srv.says_len);
    bool broken = o->end[i] == WEFT__T13_BROKEN;
    CHECK(srv.unsure || (o->end[i] == WEFT__T13_ENDED) == srv.closed);
    CHECK(srv.unsure || srv.poison || !broken);
    CHECK(!srv.fatal || broken);
    CHECK(broken == (t->words != NULL));
    o->words[i] = t->words;
    if (broken && t->alert >= 0)
        weft__t13_alert(t, 2, t->alert);
    collect(t, c);
    hear_client(c, broken);
}

static void talk(struct fuzz_in *in, uint8_t how, uint32_t cut, struct outcome *o, int i)
{
    SSL_CTX *ctx = fixed.ctx[!!(how & 4)];
    struct client c = {0};
    struct weft__t13 *t = weft__t13_new(ctx, weft__tls_extra_of(ctx), how & 4 ? "h.test" : "127.0.0.1", 443, how & 4);
    CHECK(t);
    hear(&t->send, how);
    weft__t13_drop(&t->send, false);
    while (in->n && !srv.ended && srv.records < RECORDS_MAX)
        shake_step(in);
    while (in->n && srv.ended && srv.records < RECORDS_MAX && data_step(in))
        ;
    feed(t, &c, cut, o, i);
    verdict(t, &c, o, i);
    weft__t13_drop(&c.sent, false);
    weft__t13_drop(&c.wrote, false);
    for (int level = SHAKE; level <= DATA; level++)
        weft__t13_way_drop(&srv.out[level]);
    weft__t13_way_drop(&srv.in);
    weft__t13_free(t);
}

static void run(struct fuzz_in in, uint32_t cut, struct outcome *o)
{
    uint8_t how = fuzz_byte(&in);
    tickets = 0;
    memset(ticket, 0, sizeof ticket);
    for (int i = 0; i < CONNS && in.n; i++)
        talk(&in, how, cut, o, i);
    /* nothing that was learned stays */
    struct weft__t13_shared *own = weft__tls_extra_of(fixed.ctx[!!(how & 4)])->own;
    weft__t13_hosts_free(own->hosts);
    CHECK((own->hosts = weft__t13_hosts_new()) != NULL);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = {0}, cut = {0};
    struct fuzz_in in = {data, size};
    uint32_t pieces = 1;
    begin();
    for (size_t i = 0; i < size; i++)
        pieces = (pieces ^ data[i]) * 16777619u | 1;
    run(in, 0, &whole);
    run(in, pieces, &cut);
    for (int i = 0; i < CONNS; i++)
        CHECK(whole.shake[i] == cut.shake[i] && whole.end[i] == cut.end[i] && whole.len[i] == cut.len[i] && whole.words[i] == cut.words[i] &&
              whole.resumed[i] == cut.resumed[i]);
    return 0;
}
