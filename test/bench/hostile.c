/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* hostile   part `hostile` of run: heads that are made to cost much
 *
 * Each within the limits, so that it is parsed to its end: names that no head
 * had before it, 256 attributes, 64 KB of attributes. What they cost, what
 * memory they leave behind, and what a thread beside notices of them. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "stanza.h"
#include "xml.h"

#define HEADS 4000U
#define RUN_MS 300U
#define ROUNDS_MAX 200000U

struct text {
    char p[80000];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t,
                                                      const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    t->n += (size_t)vsnprintf(t->p + t->n, sizeof t->p - t->n, format, ap);
    va_end(ap);
    if (t->n >= sizeof t->p)
        die("a head of %zu octets", t->n);
}

static void begin(struct text *t, unsigned i)
{
    t->n = 0;
    add(t,
        "<iq type='get' id='%u' xmlns='jabber:client' from='mallory@"
        "example.net/x' to='proxy.example.org'><query xmlns='urn:x'",
        i);
}

static void ordinary(struct text *t, unsigned i)
{
    begin(t, i);
    add(t, "/></iq>");
}

/* Of attributes, prefixes and namespaces. */
static void new_names(struct text *t, unsigned i)
{
    begin(t, i);
    for (unsigned k = 0; k < 10; k++)
        add(t, " a%u-%u='' xmlns:p%u-%u='urn:%u-%u'", i, k, i, k, i, k);
    add(t, "/></iq>");
}

static void many(struct text *t, unsigned i)
{
    begin(t, i);
    for (unsigned k = 0; k < JAT_MAX_ATTRIBUTES - 1; k++)
        add(t, " a%u=''", k);
    add(t, "/></iq>");
}

static void many_new(struct text *t, unsigned i)
{
    begin(t, i);
    for (unsigned k = 0; k < JAT_MAX_ATTRIBUTES - 1; k++)
        add(t, " a%u-%u=''", i, k);
    add(t, "/></iq>");
}

static void large(struct text *t, unsigned i)
{
    begin(t, i);
    for (unsigned k = 0; k < JAT_MAX_ATTRIBUTES - 1; k++)
        add(t, " a%u='%0248u'", k, k);
    add(t, "/></iq>");
}

static const struct kind {
    const char *name;
    void (*write)(struct text *t, unsigned i);
} kinds[] = {
    {"an ordinary head", ordinary},
    {"20 names that are new", new_names},
    {"256 attributes", many},
    {"256 attributes with new names", many_new},
    {"64 KB in 256 attributes", large},
};

#define N_KINDS (sizeof kinds / sizeof *kinds)

static struct jat_buf buf = JAT_BUF_INIT;

/* Its record is given up at once: it is not what is measured here. */
static uint64_t cost(struct jat *j, const struct text *t)
{
    struct jat_outcomes o = JAT_OUTCOMES_INIT;
    struct jat_decision d;
    uint64_t began = cpu_ns(), took;
    enum jat_err err;

    jat_buf_reset(&buf, SIZE_MAX);
    err = jat_handle(j, jat_str(t->p, t->n), jat_str(NULL, 0), 0, 100, 0, &buf,
                     &d);
    took = cpu_ns() - began;
    if (err != JAT_OK || d.verb != JAT_DO_FORWARD)
        die("%s: %s, decision %d", t->p, jat_err_name(err), (int)d.verb);
    if (jat_abort(j, d.forward.record, JAT_WHY_INTERNAL, 0, &o) != JAT_OK)
        die("no record");
    jat_outcomes_fini(&o);
    return took;
}

static void measure(const struct kind *k)
{
    static uint64_t took[HEADS];
    static struct text t;
    struct jat *j = host_new("encoding=jid", 4);
    size_t before = 0, most = 0;
    char what[100];

    for (unsigned i = 0; i < HEADS; i++) {
        if (i == 1)
            before = memory();
        k->write(&t, i);
        took[i] = cost(j, &t);
        if (memory() > most)
            most = memory();
    }
    sort(took, HEADS);
    (void)snprintf(what, sizeof what, "%s (%zu octets): us", k->name, t.n);
    row(what, "", "%.1f", (double)took[HEADS / 2] / 1000);
    (void)snprintf(what, sizeof what, "%s: us that 1 of 1000 exceeds", k->name);
    row(what, "at most 1000", "%.0f",
        (double)took[HEADS - HEADS / 1000] / 1000);
    (void)snprintf(what, sizeof what, "%s: KB beyond those of the first one",
                   k->name);
    row(what, "at most 1000", "%zu", (most - before) / 1024);
    jat_instance_free(j);
}

/* ---- the thread beside ---- */

static atomic_bool over;

struct neighbour {
    struct jat *host;
    const struct kind *kind; /* NULL: nobody */
};

static void *be_hostile(void *data)
{
    static struct text t;
    const struct neighbour *n = data;
    struct jat_buf strings = JAT_BUF_INIT;
    struct jat_decision d;

    for (unsigned i = 0; !atomic_load(&over); i++) {
        n->kind->write(&t, i);
        jat_buf_reset(&strings, SIZE_MAX);
        (void)jat_handle(n->host, jat_str(t.p, t.n), jat_str(NULL, 0), 0, 100,
                         0, &strings, &d);
    }
    jat_buf_fini(&strings);
    return NULL;
}

/* us that 1 of 100 requests of an ordinary client exceeds. */
static double beside(const struct kind *k)
{
    static uint64_t took[ROUNDS_MAX];
    struct neighbour n = {host_new("max_pending_per_user=100", 4), k};
    uint64_t began = now_ns(), start;
    size_t have = 0;
    pthread_t thread;
    struct text t;

    atomic_store(&over, false);
    if (k != NULL && pthread_create(&thread, NULL, be_hostile, &n) != 0)
        die("no thread");
    ordinary(&t, 0);
    memcpy(strstr(t.p, "mallory"), "charlie", 7);
    while (have < ROUNDS_MAX && now_ns() - began < RUN_MS * 1000000U) {
        start = now_ns();
        (void)cost(n.host, &t);
        took[have++] = now_ns() - start;
    }
    atomic_store(&over, true);
    if (k != NULL)
        (void)pthread_join(thread, NULL);
    jat_instance_free(n.host);
    sort(took, have);
    return (double)took[have - have / 100 - 1] / 1000;
}

static double quietest(const struct kind *k)
{
    double best = beside(k), x;

    for (int i = 0; i < 4; i++) {
        x = beside(k);
        if (x < best)
            best = x;
    }
    return best;
}

int main(void)
{
    char what[100];

    printf("# The core: hostile heads, each of which is accepted\n");
    for (size_t i = 0; i < N_KINDS; i++)
        measure(&kinds[i]);
    row("a request beside nobody: us that 1 of 100 exceeds", "", "%.1f",
        quietest(NULL));
    for (size_t i = 0; i < N_KINDS; i++) {
        (void)snprintf(what, sizeof what, "... beside a thread with %s",
                       kinds[i].name);
        row(what, "", "%.1f", quietest(&kinds[i]));
    }
    jat_buf_fini(&buf);
    return 0;
}
