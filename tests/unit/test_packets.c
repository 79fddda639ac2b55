/*
 * test_packets.c - datagrams: batches, connected ones, unix sockets; who is at the other end of a unix stream.
 */
#include <sys/stat.h>

#include "net_pair.h"

struct packets_pair {
    weft_conn *server, *client;
    char addr[WEFT_ADDR_TEXT];
};

static struct packets_pair udp_pair(void)
{
    struct packets_pair p;
    REQUIRE(weft_listen_packet(&p.server, "udp", "127.0.0.1:0") == 0);
    REQUIRE(weft_conn_local(p.server, p.addr, sizeof p.addr) > 0);
    REQUIRE(weft_dial(NULL, "udp", p.addr, &p.client) == 0);
    return p;
}

static void packets_close(struct packets_pair *p)
{
    weft_conn_close(p->client);
    weft_conn_close(p->server);
}

static char text[64][32];
static struct weft_packet out[64], in[64];

/* count datagrams of different lengths to write, and room for 64. */
static void fill(int count)
{
    memset(in, 0, sizeof in);
    for (int i = 0; i < 64; i++) {
        static char room[64][32];
        snprintf(text[i], sizeof text[i], "number %d", i);
        out[i] = (struct weft_packet){.buf = text[i], .n = i < count ? strlen(text[i]) : 0};
        in[i] = (struct weft_packet){.buf = room[i], .n = sizeof room[i]};
    }
}

/* Read until count have come, by batches of at most `most`. */
static void expect_all(weft_conn *c, int count, int most)
{
    int have = 0;
    while (have < count) {
        int n = weft_conn_read_batch(NULL, c, in + have, most < 64 - have ? most : 64 - have);
        REQUIRE(n > 0);
        have += n;
    }
    EXPECT_EQ(have, count);
    for (int i = 0; i < count; i++)
        if (in[i].got != strlen(text[i]) || memcmp(in[i].buf, text[i], in[i].got) != 0 || in[i].cut)
            weft_test_fail(__FILE__, __LINE__, "datagram %d is not %s", i, text[i]);
}

TEST(packets, a_batch_arrives_whole_and_in_order)
{
    struct packets_pair p = udp_pair();
    for (int count = 1; count <= 64; count += count < 8 ? 7 : 28) { /* 1, 8, 36, 64: on the stack and off it */
        fill(count);
        EXPECT_EQ(weft_conn_write_batch(NULL, p.client, out, count), count);
        expect_all(p.server, count, 64);
    }
    packets_close(&p);
}

TEST(packets, a_batch_may_go_back_to_each_sender)
{
    struct packets_pair p = udp_pair();
    weft_conn *other;
    char buf[32];
    REQUIRE(weft_dial(NULL, "udp", p.addr, &other) == 0);
    fill(2);
    EXPECT_EQ(weft_conn_write(NULL, p.client, text[0], strlen(text[0])), (ssize_t)strlen(text[0]));
    EXPECT_EQ(weft_conn_write(NULL, other, text[1], strlen(text[1])), (ssize_t)strlen(text[1]));
    expect_all(p.server, 2, 64);
    for (int i = 0; i < 2; i++)
        in[i].n = in[i].got;
    EXPECT_EQ(weft_conn_write_batch(NULL, p.server, in, 2), 2);
    EXPECT_EQ(weft_conn_read(NULL, p.client, buf, sizeof buf), (ssize_t)strlen(text[0]));
    EXPECT(memcmp(buf, text[0], strlen(text[0])) == 0);
    EXPECT_EQ(weft_conn_read(NULL, other, buf, sizeof buf), (ssize_t)strlen(text[1]));
    EXPECT(memcmp(buf, text[1], strlen(text[1])) == 0);
    weft_conn_close(other);
    packets_close(&p);
}

TEST(packets, what_is_too_long_is_cut_and_says_so)
{
    struct packets_pair p = udp_pair();
    fill(1);
    in[0].n = 3;
    EXPECT_EQ(weft_conn_write_batch(NULL, p.client, out, 1), 1);
    EXPECT_EQ(weft_conn_read_batch(NULL, p.server, in, 1), 1);
    EXPECT_EQ(in[0].got, 3);
    EXPECT(in[0].cut);
    packets_close(&p);
}

static void read_one(weft_conn *c, weft_chan(int) done)
{
    weft_send(done, weft_conn_read_batch(NULL, c, in, 64));
}

TEST(packets, a_batch_is_waited_for_parked)
{
    struct packets_pair p = udp_pair();
    weft_chan(int) done = weft_make(int, 1);
    fill(3);
    weft_go(read_one, p.server, done);
    weft_yield();
    EXPECT_EQ(weft_conn_write(NULL, p.client, "x", 1), 1);
    EXPECT_EQ(weft_recv(done), 1);
    weft_conn_set_read_deadline(p.server, weft_now() + 5 * WEFT_MS);
    EXPECT_EQ(weft_conn_read_batch(NULL, p.server, in, 64), WEFT_EDEADLINE);
    weft_ctx *ctx = weft_with_timeout(NULL, 5 * WEFT_MS);
    weft_conn_set_read_deadline(p.server, 0);
    EXPECT_EQ(weft_conn_read_batch(ctx, p.server, in, 64), WEFT_EDEADLINE);
    weft_ctx_unref(ctx);
    weft_free(done);
    packets_close(&p);
}

/* The kernel tells of an ICMP answer once; a batch must bring it and go on after it. */
TEST(packets, a_dead_peer_is_told_once_in_a_batch)
{
    struct packets_pair p = udp_pair();
    weft_conn_close(p.server);
    fill(1);
    EXPECT_EQ(weft_conn_write_batch(NULL, p.client, out, 1), 1);
    EXPECT_EQ(weft_conn_read_batch(NULL, p.client, in, 64), -ECONNREFUSED);
    weft_conn_set_read_deadline(p.client, weft_now() + 5 * WEFT_MS);
    EXPECT_EQ(weft_conn_read_batch(NULL, p.client, in, 64), WEFT_EDEADLINE);
    weft_conn_close(p.client);
}

TEST(packets, streams_and_bad_counts_are_refused)
{
    struct net_pair t = net_pair("tcp");
    struct packets_pair p = udp_pair();
    fill(1);
    EXPECT_EQ(weft_conn_read_batch(NULL, t.a, in, 1), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_conn_write_batch(NULL, t.a, out, 1), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_conn_read_batch(NULL, p.server, in, 0), WEFT_EINVAL);
    EXPECT_EQ(weft_conn_write_batch(NULL, p.server, out, -1), WEFT_EINVAL);
    EXPECT_EQ(weft_conn_read_from_unix(NULL, p.server, in[0].buf, 1, NULL), WEFT_EUNSUPPORTED);
    EXPECT_EQ(weft_conn_write_to_unix(NULL, p.server, "x", 1, "@nobody"), WEFT_EUNSUPPORTED);
    packets_close(&p);
    net_pair_close(&t);
}

/* ---- unix datagrams ---- */

static void unix_name(char *to, size_t n, const char *what)
{
    snprintf(to, n, "@weft-packets-%d-%s", (int)getpid(), what);
}

TEST(packets, unix_datagrams_find_their_way_back)
{
    weft_conn *server, *client;
    char name[64], mine[64], from[WEFT_ADDR_TEXT], buf[32];
    unix_name(name, sizeof name, "server");
    unix_name(mine, sizeof mine, "client");
    REQUIRE(weft_listen_packet(&server, "unixgram", name) == 0);
    struct weft_dial_opts o = {.local_addr = mine};
    REQUIRE(weft_dial_with(NULL, "unixgram", name, &o, &client) == 0);
    EXPECT_EQ(weft_conn_write(NULL, client, "question", 8), 8);
    EXPECT_EQ(weft_conn_read_from_unix(NULL, server, buf, sizeof buf, from), 8);
    EXPECT_STR(from, mine);
    EXPECT_EQ(weft_conn_write_to_unix(NULL, server, "answer", 6, from), 6);
    EXPECT_EQ(weft_conn_read(NULL, client, buf, sizeof buf), 6);
    EXPECT(memcmp(buf, "answer", 6) == 0);
    weft_conn_close(client);
    EXPECT_EQ(weft_conn_write_to_unix(NULL, server, "late", 4, from), -ECONNREFUSED);
    weft_conn_close(server);
}

TEST(packets, a_sender_without_a_name_has_none)
{
    weft_conn *server, *client;
    weft_addr who;
    char name[64], from[WEFT_ADDR_TEXT] = "?", buf[32];
    unix_name(name, sizeof name, "anon");
    REQUIRE(weft_listen_packet(&server, "unixgram", name) == 0);
    REQUIRE(weft_dial(NULL, "unixgram", name, &client) == 0);
    EXPECT_EQ(weft_conn_write(NULL, client, "a", 1), 1);
    EXPECT_EQ(weft_conn_write(NULL, client, "b", 1), 1);
    EXPECT_EQ(weft_conn_read_from_unix(NULL, server, buf, sizeof buf, from), 1);
    EXPECT_STR(from, "");
    EXPECT_EQ(weft_conn_read_from(NULL, server, buf, sizeof buf, &who), 1);
    EXPECT(who.len == 0 || who.u.sa.sa_family == AF_UNIX);
    EXPECT_EQ(buf[0], 'b');
    weft_conn_close(client);
    weft_conn_close(server);
}

static void drain(weft_conn *c, int count)
{
    char buf[32];
    for (int i = 0; i < count; i++)
        EXPECT_EQ(weft_conn_read(NULL, c, buf, sizeof buf), (ssize_t)sizeof(int));
}

/* The receiver's queue holds few (net.unix.max_dgram_qlen): a dialled sender parks until there is room, and loses nothing. */
TEST(packets, a_dialled_unix_sender_waits_for_room)
{
    weft_conn *server, *client;
    weft_waitgroup wg = {0};
    char name[64];
    unix_name(name, sizeof name, "full");
    REQUIRE(weft_listen_packet(&server, "unixgram", name) == 0);
    REQUIRE(weft_dial(NULL, "unixgram", name, &client) == 0);
    weft_waitgroup_go(&wg, drain, server, 2000);
    for (int i = 0; i < 2000; i++)
        REQUIRE(weft_conn_write(NULL, client, &i, sizeof i) == (ssize_t)sizeof i);
    weft_waitgroup_wait(&wg);
    weft_conn_close(client);
    weft_conn_close(server);
}

TEST(packets, an_undialled_unix_sender_is_told_of_a_full_receiver)
{
    weft_conn *server, *client;
    char name[64], mine[64];
    ssize_t put = 0;
    unix_name(name, sizeof name, "full2");
    unix_name(mine, sizeof mine, "sender");
    REQUIRE(weft_listen_packet(&server, "unixgram", name) == 0);
    REQUIRE(weft_listen_packet(&client, "unixgram", mine) == 0);
    for (int i = 0; i < 100000 && put >= 0; i++)
        put = weft_conn_write_to_unix(NULL, client, "x", 1, name);
    EXPECT_EQ(put, -EAGAIN);
    weft_conn_close(client);
    weft_conn_close(server);
}

TEST(packets, a_unix_datagram_socket_file_stays_until_removed)
{
    weft_conn *server, *client;
    char dir[] = "/tmp/weft_packets_XXXXXX", path[64], buf[8];
    struct stat st;
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    REQUIRE(weft_listen_packet(&server, "unixgram", path) == 0);
    REQUIRE(weft_dial(NULL, "unixgram", path, &client) == 0);
    EXPECT_EQ(weft_conn_write(NULL, client, "x", 1), 1);
    EXPECT_EQ(weft_conn_read(NULL, server, buf, sizeof buf), 1);
    weft_conn_close(client);
    weft_conn_close(server);
    EXPECT(stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
    EXPECT_EQ(weft_dial(NULL, "unixgram", path, &client), -ECONNREFUSED);
    unlink(path);
    rmdir(dir);
}

/* ---- who is there ---- */

TEST(packets, a_unix_stream_tells_who_is_at_the_other_end)
{
    struct net_pair u = net_pair("unix"), t = net_pair("tcp");
    struct weft_peer_cred cred = {0};
    EXPECT_EQ(weft_conn_peer_cred(u.b, &cred), 0);
    EXPECT_EQ(cred.pid, getpid());
    EXPECT_EQ(cred.uid, getuid());
    EXPECT_EQ(cred.gid, getgid());
    EXPECT_EQ(weft_conn_peer_cred(t.b, &cred), WEFT_EUNSUPPORTED);
    net_pair_close(&u);
    net_pair_close(&t);
}
