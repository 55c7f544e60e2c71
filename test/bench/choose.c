/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* choose CASE [ROUNDS]   an endpoint is chosen, among 10,000, again and again
 *
 *   random, round_robin, least_pending, peak_ewma, sticky     by this strategy
 *   weighted-CASE                      where their priorities are their weights
 *
 * Prints ns a choice. Only `measured` is what counts: callgrind is told so.
 *
 * choose moves   prints rows of the table: 10,000 users are spread over 10
 *                endpoints by `sticky`. How many of them move when one endpoint
 *                goes, and when it comes back? */
#include <string.h>

#include <valgrind/callgrind.h>

#include "bench.h"
#include "endpoints.h"

#define ENDPOINTS 10000U
#define FEW 10U
#define USERS 10000U
#define GOES 3U
#define WARM_UP 100U
#define RANDOM_STEP 0x9e3779b97f4a7c15U

static const char *const strategies[JAT_BALANCE_COUNT] = {
    [JAT_RANDOM] = "random",
    [JAT_ROUND_ROBIN] = "round_robin",
    [JAT_LEAST_PENDING] = "least_pending",
    [JAT_STICKY] = "sticky",
    [JAT_PEAK_EWMA] = "peak_ewma"};

static struct jat_endpoints *table;
static struct jat_choice how = {.now = 1};
static struct jat_buf buf = JAT_BUF_INIT;

static struct jat_str jid_of(unsigned i)
{
    static char jid[64];
    int n = snprintf(jid, sizeof jid, "svc@example.org/%u", i);

    return jat_str(jid, (size_t)n);
}

static void put(unsigned i)
{
    struct jat_endpoint_state state = {.priority = (int)(i % 10 + 1)};
    jat_eid eid;
    enum jat_err err = jat_endpoints_put(table, jid_of(i), jid_of(i), &state, 0,
                                         ENDPOINTS, &eid, NULL);

    if (err != JAT_OK)
        die("no endpoint: %s", jat_err_name(err));
}

static void fill(unsigned n, bool weighted)
{
    static const struct jat_seed seed = {{1, 2}};
    struct jat_policy policy = {.priority = weighted ? JAT_PRIORITY_WEIGHT
                                                     : JAT_PRIORITY_IGNORE,
                                .estimate = true};

    if (jat_endpoints_new(&seed, &table) != JAT_OK)
        die("no memory");
    jat_endpoints_configure(table, &policy);
    for (unsigned i = 0; i < n; i++)
        put(i);
}

/* The hash of its JID, which it still has when it comes back. */
static uint64_t choose(uint64_t n)
{
    struct jat_endpoint e;
    unsigned held;
    enum jat_err err;

    how.random = (n + 1) * RANDOM_STEP;
    how.key = n * RANDOM_STEP;
    jat_buf_reset(&buf, SIZE_MAX);
    held = jat_endpoints_hold(table);
    err = jat_endpoints_choose(table, &how, &buf, &e);
    jat_endpoints_let_go(table, held);
    if (err != JAT_OK)
        die("none is chosen: %s", jat_err_name(err));
    return e.hash;
}

void measured(uint64_t begin, uint64_t end);

/* Not static, so that it keeps its name. */
__attribute__((noinline)) void measured(uint64_t begin, uint64_t end)
{
    for (; begin < end; begin++)
        (void)choose(begin);
}

static void spread(uint64_t *home)
{
    for (unsigned user = 0; user < USERS; user++)
        home[user] = choose(user);
}

static unsigned differ(const uint64_t *a, const uint64_t *b)
{
    unsigned n = 0;

    for (unsigned user = 0; user < USERS; user++)
        n += a[user] != b[user];
    return n;
}

static void moves(void)
{
    static uint64_t before[USERS], without[USERS], after[USERS];
    unsigned were_there = 0;
    uint64_t hash;
    jat_eid gone;

    how.balance = JAT_STICKY;
    fill(FEW, false);
    spread(before);
    hash = jat_endpoints_hash(table, jid_of(GOES));
    for (unsigned user = 0; user < USERS; user++)
        were_there += before[user] == hash;
    if (jat_endpoints_remove(table, jid_of(GOES), &gone) != JAT_OK)
        die("it is not there");
    spread(without);
    put(GOES);
    spread(after);
    row("10,000 users, 10 endpoints: one goes, so many move", "1000",
        "%u (%u were there)", differ(before, without), were_there);
    row("it comes back, so many move", "as many", "%u", differ(without, after));
    row("then so many are elsewhere than before", "0", "%u",
        differ(before, after));
}

static enum jat_balance strategy(const char *name)
{
    for (unsigned i = 0; i < JAT_BALANCE_COUNT; i++)
        if (strcmp(strategies[i], name) == 0)
            return (enum jat_balance)i;
    die("no strategy %s", name);
}

static void measure(const char *name, uint64_t rounds)
{
    static const char weighted[] = "weighted-";
    size_t skip = sizeof weighted - 1;
    bool is_weighted = strncmp(name, weighted, skip) == 0;
    uint64_t began;

    how.balance = strategy(is_weighted ? name + skip : name);
    fill(ENDPOINTS, is_weighted);
    measured(0, WARM_UP);
    began = now_ns();
    CALLGRIND_START_INSTRUMENTATION;
    measured(WARM_UP, WARM_UP + rounds);
    CALLGRIND_STOP_INSTRUMENTATION;
    printf("%.0f\n", (double)(now_ns() - began) / (double)rounds);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("a case, please");
    if (strcmp(argv[1], "moves") == 0)
        moves();
    else
        measure(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 200);
    jat_endpoints_free(table);
    jat_buf_fini(&buf);
    return 0;
}
