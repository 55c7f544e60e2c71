/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* size   part `size` of run: what the tables cost when they are large
 *
 * 10,000 endpoints, up to 1,000,000 requests in flight from 100,000
 * requesters. Times are of this thread's CPU: what other processes take is not
 * counted, though they do spoil the caches. */
#include <string.h>

#include "bench.h"

#define ENDPOINTS 10000U
#define USERS 100000U
#define MOST 1000000U
#define BATCH 64U /* heads that are written before they are measured */
#define BATCHES 200U
#define STEP 256U /* deadlines in one call, as the bindings ask for */

/* What is in flight, the oldest first: a ring. */
static uint32_t user_of[MOST], endpoint_of[MOST];
static uint64_t sent, answered;

static struct jat_buf buf = JAT_BUF_INIT;

/* Each requester in turn, and all over the tables. */
static unsigned next_user(void)
{
    return (unsigned)(sent * 61U % USERS);
}

static void write_request(struct head *h)
{
    head_request(h, next_user());
    head_set_id(h, sent);
}

static uint32_t number(struct jat_str digits)
{
    uint32_t n = 0;

    for (size_t i = 0; i < digits.n; i++)
        n = 10 * n + (uint32_t)(digits.p[i] - '0');
    return n;
}

static void send(struct jat *j, const struct head *h, uint64_t now)
{
    struct jat_decision d;

    handle(j, h, now, REQUEST, &buf, &d);
    user_of[sent % MOST] = next_user();
    endpoint_of[sent % MOST] = number(jat_buf_str(&buf, d.forward.to.resource));
    sent++;
}

static void write_answer(struct head *h, uint64_t n)
{
    char resource[16], shown[64];
    int r = snprintf(resource, sizeof resource, "%u", endpoint_of[n % MOST]);
    int s = snprintf(shown, sizeof shown, USER_JID, user_of[n % MOST]);

    head_answer(h, jat_str(resource, (size_t)r), jat_str(shown, (size_t)s));
    head_set_id(h, n);
}

static void answer(struct jat *j, const struct head *h)
{
    struct jat_decision d;

    handle(j, h, 0, ANSWER, &buf, &d);
    answered++;
}

/* Sends until n are in flight; returns the ns that ten of them took longer
 * than: a few are interrupted by something else. */
static uint64_t fill(struct jat *j, uint64_t n)
{
    static uint64_t took[MOST];
    size_t have = 0;
    uint64_t began;
    struct head h;

    while (sent - answered < n) {
        write_request(&h);
        began = cpu_ns();
        send(j, &h, 0);
        took[have++] = cpu_ns() - began;
    }
    sort(took, have);
    return have > 10 ? took[have - 11] : 0;
}

static uint64_t batch(struct jat *j)
{
    static struct head requests[BATCH], answers[BATCH];
    uint64_t began, first = sent;

    for (unsigned i = 0; i < BATCH; i++) {
        write_answer(&answers[i], answered + i);
        write_request(&requests[i]);
        sent++;
    }
    sent = first;
    began = cpu_ns();
    for (unsigned i = 0; i < BATCH; i++) {
        answer(j, &answers[i]);
        send(j, &requests[i], 0);
    }
    return cpu_ns() - began;
}

/* ns of a reply to the oldest request and a new request, n in flight: what a
 * tenth of the batches stay below, when least disturbed. */
static double steady(struct jat *j, uint64_t n)
{
    uint64_t took[BATCHES];

    fill(j, n);
    for (unsigned b = 0; b < BATCHES; b++)
        took[b] = batch(j);
    sort(took, BATCHES);
    return (double)took[BATCHES / 10] / BATCH;
}

static void in_flight(const char *encoding, bool timed)
{
    char options[64], what[100];
    size_t before, octets;
    struct jat *j;
    uint64_t long_ones;

    (void)snprintf(options, sizeof options, "encoding=%s", encoding);
    sent = answered = 0;
    before = memory();
    j = host_new(options, ENDPOINTS);
    if (timed)
        row("10,000 endpoints: octets each", "", "%zu",
            (memory() - before) / ENDPOINTS);
    before = memory();
    if (timed) {
        row("a reply and a request, 1,000 in flight: ns", "", "%.0f",
            steady(j, 1000));
        row("a reply and a request, 100,000 in flight: ns", "the same", "%.0f",
            steady(j, 100000));
    }
    long_ones = fill(j, MOST);
    octets = memory() - before;
    if (timed) {
        row("a reply and a request, 1,000,000 in flight: ns", "the same",
            "%.0f", steady(j, MOST));
        row("10 requests of 1,000,000 took longer, the tables growing: us", "",
            "%.0f", (double)long_ones / 1000);
    }
    (void)snprintf(what, sizeof what,
                   "%s, 1,000,000 in flight: octets each, but for JID and id",
                   encoding);
    row(what, timed ? "at most 200" : "", "%.0f",
        (double)octets / MOST - ID_LEN -
            (double)snprintf(NULL, 0, USER_JID, USERS / 2));
    jat_instance_free(j);
}

struct expiry {
    uint64_t steps, longest, sum; /* ns */
};

static struct expiry expire_all(void)
{
    struct jat *j = host_new("timeout=1000", 100);
    struct expiry x = {0, 0, 0};
    uint64_t began, took;
    enum jat_err err;

    sent = answered = 0;
    fill(j, 100000);
    do {
        struct jat_outcomes o = JAT_OUTCOMES_INIT;

        began = cpu_ns();
        err = jat_expire(j, 3600000, STEP, &o);
        jat_outcomes_fini(&o);
        took = cpu_ns() - began;
        x.sum += took;
        x.steps++;
        if (took > x.longest)
            x.longest = took;
    } while (err == JAT_EFULL);
    if (err != JAT_OK)
        die("expiry: %s", jat_err_name(err));
    jat_instance_free(j);
    return x;
}

static void expiry(void)
{
    struct expiry best = expire_all(), x;

    for (int i = 0; i < 4; i++) {
        x = expire_all();
        if (x.longest < best.longest)
            best = x;
    }
    row("100,000 deadlines at once: longest step, us", "at most 1000", "%.0f",
        (double)best.longest / 1000);
    row("100,000 deadlines at once, and 100,000 contacts: steps, ms", "",
        "%llu, %.0f", (unsigned long long)best.steps, (double)best.sum / 1e6);
}

static double choice(struct jat_endpoints *t, enum jat_balance balance)
{
    enum { CALLS = 200, REPEAT = 20 };
    uint64_t best = UINT64_MAX, began, took, key = 0;
    struct jat_endpoint e;

    for (int r = 0; r < REPEAT; r++) {
        began = cpu_ns();
        for (int i = 0; i < CALLS; i++, key++) {
            struct jat_choice how = {.balance = balance,
                                     .random = jat_mix64(key),
                                     .key = jat_mix64(~key)};

            unsigned held = jat_endpoints_hold(t);
            enum jat_err err;

            buf.n = 0;
            err = jat_endpoints_choose(t, &how, &buf, &e);
            jat_endpoints_let_go(t, held);
            if (err != JAT_OK)
                die("no choice");
        }
        took = cpu_ns() - began;
        if (took < best)
            best = took;
    }
    return (double)best / (int)CALLS;
}

static void choices(void)
{
    static const struct {
        enum jat_balance balance;
        const char *what, *goal;
    } all[] = {
        {JAT_RANDOM, "choice among 10,000, random: ns", "at most 1000"},
        {JAT_ROUND_ROBIN, "choice among 10,000, round_robin: ns",
         "at most 1000"},
        {JAT_LEAST_PENDING, "choice among 10,000, least_pending: ns",
         "at most 1000"},
        {JAT_PEAK_EWMA, "choice among 10,000, peak_ewma: ns", "at most 1000"},
        {JAT_STICKY, "choice among 10,000, sticky: ns", "at most 20000"},
    };
    struct jat_endpoint_state state = {JAT_SHOW_NONE, 0, false, false};
    struct jat_seed seed = {{1, 2}};
    struct jat_endpoints *t;

    if (jat_endpoints_new(&seed, &t) != JAT_OK)
        die("no table");
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        char jid[64];
        int n = snprintf(jid, sizeof jid, "svc@example.org/%u", i);

        if (jat_endpoints_put(t, jat_str(jid, (size_t)n),
                              jat_str(jid, (size_t)n), &state, 0, ENDPOINTS,
                              NULL, NULL) != JAT_OK)
            die("no endpoint");
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        row(all[i].what, all[i].goal, "%.0f", choice(t, all[i].balance));
    jat_endpoints_free(t);
}

int main(void)
{
    printf("# The core: size\n");
    in_flight("jid", true);
    in_flight("sealed", false);
    expiry();
    choices();
    jat_buf_fini(&buf);
    return 0;
}
