/*
 * posix_kafka.c N - librdkafka beside goroutines: N of them send a message each, one receives them all.
 *
 * The broker is librdkafka's own mock of one, in this process, over loopback. Its threads, those of the broker and that which
 * tells of deliveries are pthreads that librdkafka starts, waits in and ends: none becomes a goroutine. The last of them
 * wakes the goroutine that sent (a try_send, which never parks). Prints what it took.
 */
#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <weft/weft.h>

#include "posix_e2e.h"

#define TOPIC "words"

struct letter {
    int number;
    weft_chan(int) delivered;    /* room for 1: told by librdkafka's thread */
};

static rd_kafka_t *producer;
static int n;

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[300];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        die("%s: %s", name, why);
}

static rd_kafka_t *kafka(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[300];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);

    if (!rk)
        die("rd_kafka_new: %s", why);
    return rk;
}

/* On a thread of librdkafka's own. */
static void told(rd_kafka_t *rk, rd_kafka_event_t *event, void *opaque)
{
    const rd_kafka_message_t *m;
    (void)rk, (void)opaque;

    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
        while ((m = rd_kafka_event_message_next(event)) != NULL) {
            struct letter *l = m->_private;
            if (m->err || !weft_try_send(l->delivered, l->number))
                die("letter %d: %s", l->number, rd_kafka_err2str(m->err));
        }
    rd_kafka_event_destroy(event);
}

static void send_one(int number)
{
    struct letter l = {number, weft_make(int, 1)};
    rd_kafka_resp_err_t err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_PARTITION(0),
                                                RD_KAFKA_V_VALUE(&l.number, sizeof l.number), RD_KAFKA_V_OPAQUE(&l), RD_KAFKA_V_END);

    if (err)
        die("produce: %s", rd_kafka_err2str(err));
    if (weft_recv(l.delivered) != number)
        die("another letter than %d was delivered", number);
    weft_free(l.delivered);
}

/* Blocks inside librdkafka; its processor serves those who send. */
static void receive_all(rd_kafka_t *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    char *seen = calloc((size_t)n, 1);

    rd_kafka_topic_partition_list_add(list, TOPIC, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(consumer, list))
        die("assign");
    for (int have = 0; have < n;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 60000);
        if (m && !m->err) {
            int number;
            if (m->len != sizeof number)
                die("a message of %zu bytes", m->len);
            memcpy(&number, m->payload, sizeof number);
            if (number < 0 || number >= n || seen[number]++)
                die("letter %d came twice", number);
            have++;
        }
        if (m)
            rd_kafka_message_destroy(m);
    }
    free(seen);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What the application would have to ask for comes to `told` by itself. */
static void tell_by_itself(rd_kafka_t *rk)
{
    rd_kafka_queue_t *main_queue = rd_kafka_queue_get_main(rk), *background = rd_kafka_queue_get_background(rk);

    rd_kafka_queue_forward(main_queue, background);
    rd_kafka_queue_destroy(main_queue);
    rd_kafka_queue_destroy(background);
}

/* Threads of this process whose name librdkafka gave. */
static int threads_of_kafka(void)
{
    DIR *d = opendir("/proc/self/task");
    int found = 0;

    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        found += f && fgets(name, sizeof name, f) && strncmp(name, "rdk:", 4) == 0;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

int main(int argc, char **argv)
{
    n = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (n < 1)
        die("usage: posix_kafka N");
    size_t before = weft_num_goroutines();
    rd_kafka_conf_t *quiet = rd_kafka_conf_new();
    set(quiet, "log_level", "3");
    rd_kafka_t *broker = kafka(RD_KAFKA_PRODUCER, quiet);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(broker, 1);
    if (!cluster || rd_kafka_mock_topic_create(cluster, TOPIC, 1, 1))
        die("no mock of a broker");
    rd_kafka_conf_t *in = rd_kafka_conf_new(), *out = rd_kafka_conf_new();
    set(in, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
    set(in, "group.id", "weft");
    set(out, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
    rd_kafka_conf_set_events(out, RD_KAFKA_EVENT_DR);
    rd_kafka_conf_set_background_event_cb(out, told);
    producer = kafka(RD_KAFKA_PRODUCER, out);
    tell_by_itself(producer);
    rd_kafka_t *consumer = kafka(RD_KAFKA_CONSUMER, in);

    weft_waitgroup wg = {0};
    weft_waitgroup_go(&wg, receive_all, consumer);
    for (int i = 0; i < n; i++)
        weft_waitgroup_go(&wg, send_one, i);
    weft_waitgroup_wait(&wg);
    int threads = threads_of_kafka();
    size_t after = weft_num_goroutines();
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(broker);
    printf("%d messages went through librdkafka on %d processors: %d threads of its own, %zu goroutines before, %zu after\n", n,
           weft_procs(0), threads, before, after);
    return 0;
}
