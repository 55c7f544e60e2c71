/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* threads ENCODING TURN   what several threads get done in the core at the same
 * time; and, to tell the core from the machine, what two processes do that
 * share nothing
 *
 * Prints a line for each case: its name, rounds a second, ns of CPU a round. It
 * is one turn of many (see turns); in every other one the order is reversed.
 *
 * Each thread has requesters of its own; all share the endpoints. One round is
 * a request and its reply; every 64th goes with a presence of an endpoint,
 * which is written to the table that every request reads. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "stanza.h"
#include "xml.h"

#define MOST 8U
#define USERS 16U
#define ENDPOINTS 8U
#define WARM_UP 500U
#define RUN_MS 40U

struct worker {
    pthread_t thread;
    struct jat *host;
    unsigned number;
    uint64_t rounds, cpu_ns;
    struct head requests[USERS], answers[USERS][ENDPOINTS];
};

static struct worker workers[MOST];
static pthread_barrier_t warm;

/* What the two processes share beside nothing. */
static struct apart {
    pthread_barrier_t warm;
    struct result {
        double rate;   /* rounds a ms */
        double cpu_ns; /* a round */
    } results[2];
} * apart;

static atomic_bool over;

/* Endpoints have one digit for a resource. */
static void one_round(struct worker *w, uint64_t n, struct jat_buf *buf)
{
    static const struct jat_endpoint_state online = {JAT_SHOW_NONE, 0, false,
                                                     false};
    unsigned user = (unsigned)n % USERS;
    uint64_t id = (uint64_t)w->number << 32 | n;
    struct jat_decision d;
    struct head *answer;
    bool added;

    head_set_id(&w->requests[user], id);
    handle(w->host, &w->requests[user], n / 100, REQUEST, buf, &d);
    answer = &w->answers[user][buf->p[d.forward.to.resource.at] - '0'];
    if (answer->n == 0)
        head_answer(answer, jat_buf_str(buf, d.forward.to.resource),
                    jat_buf_str(buf, d.forward.from.resource));
    head_set_id(answer, id);
    handle(w->host, answer, n / 100, ANSWER, buf, &d);
    if (n % 64 == 0 && jat_put_endpoint(w->host, JAT_STR("svc@example.org/0"),
                                        &online, n / 100, &added) != JAT_OK)
        die("no presence");
}

static void *work(void *data)
{
    struct worker *w = data;
    struct jat_buf buf = JAT_BUF_INIT;
    uint64_t n = 0, began;

    for (unsigned u = 0; u < USERS; u++) {
        head_request(&w->requests[u], w->number * USERS + u);
        for (unsigned e = 0; e < ENDPOINTS; e++)
            w->answers[u][e].n = 0;
    }
    while (n < WARM_UP)
        one_round(w, n++, &buf);
    (void)pthread_barrier_wait(&warm);
    began = cpu_ns();
    while (!atomic_load_explicit(&over, memory_order_relaxed))
        one_round(w, n++, &buf);
    w->cpu_ns = cpu_ns() - began;
    w->rounds = n - WARM_UP;
    jat_buf_fini(&buf);
    return NULL;
}

/* both: begins together with the other process. */
static struct result run(const char *options, unsigned threads, bool both)
{
    struct jat *host = host_new(options, ENDPOINTS);
    struct timespec pause = {0, RUN_MS * 1000000L};
    uint64_t began, took, rounds = 0, cpu = 0;

    atomic_store(&over, false);
    (void)pthread_barrier_init(&warm, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].host = host;
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            die("no thread");
    }
    if (both)
        (void)pthread_barrier_wait(&apart->warm);
    (void)pthread_barrier_wait(&warm);
    began = now_ns();
    (void)nanosleep(&pause, NULL);
    atomic_store(&over, true);
    took = now_ns() - began;
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        rounds += workers[i].rounds;
        cpu += workers[i].cpu_ns;
    }
    (void)pthread_barrier_destroy(&warm);
    jat_instance_free(host);
    return (struct result){(double)rounds * 1e6 / (double)took,
                           (double)cpu / (double)rounds};
}

/* One thread of each of two processes. */
static struct result run_apart(const char *options)
{
    const struct result *r = apart->results;

    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("no process");
        if (pid == 0) {
            apart->results[i] = run(options, 1, true);
            _exit(EXIT_SUCCESS);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status;

        if (wait(&status) < 0 || status != 0)
            die("a process failed");
    }
    return (struct result){r[0].rate + r[1].rate,
                           (r[0].cpu_ns + r[1].cpu_ns) / 2};
}

static const struct {
    const char *name;
    unsigned threads; /* 0: two processes */
} cases[] = {
    {"1 thread", 1},  {"2 threads", 2}, {"2 processes", 0},
    {"4 threads", 4}, {"8 threads", 8},
};

#define CASES (sizeof cases / sizeof *cases)

static void turn(const char *options, bool reversed)
{
    for (size_t i = 0; i < CASES; i++) {
        size_t k = reversed ? CASES - 1 - i : i;
        struct result r = cases[k].threads
                              ? run(options, cases[k].threads, false)
                              : run_apart(options);

        printf("%s\t%.0f\t%.0f\n", cases[k].name, r.rate * 1e3, r.cpu_ns);
        (void)fflush(stdout); /* before a process inherits it */
    }
}

int main(int argc, char **argv)
{
    char options[32];
    pthread_barrierattr_t of_processes;

    apart = mmap(NULL, sizeof *apart, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (apart == MAP_FAILED || pthread_barrierattr_init(&of_processes) != 0 ||
        pthread_barrierattr_setpshared(&of_processes, PTHREAD_PROCESS_SHARED) !=
            0 ||
        pthread_barrier_init(&apart->warm, &of_processes, 2) != 0)
        die("nothing that two processes share");
    jat_xml_init();
    if (argc != 3)
        die("threads: which encoding and turn?");
    (void)snprintf(options, sizeof options, "encoding=%s", argv[1]);
    turn(options, strtoul(argv[2], NULL, 10) % 2 == 1);
    return 0;
}
