/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <limits.h>
#include <string.h>

#include "sim.h"

static int64_t number(const struct sim_world *w, enum sim_option which)
{
    return sim_option_number(&w->options, which);
}

/* Limits */

static bool is_remote(const struct sim_world *w, const struct sim_request *q)
{
    return !q->out && w->people[q->person].domain > 0;
}

static bool is_full(const struct sim_world *w, const struct sim_request *q,
                    enum sim_option limit)
{
    const struct sim_person *p = &w->people[q->person];
    int64_t max = number(w, limit);

    switch ((int)limit) {
    case SIM_MAX_PENDING:
        return w->all.records >= max;
    case SIM_MAX_PENDING_PER_USER:
        return !q->out && w->users[p->domain][p->user].records >= max;
    case SIM_MAX_PENDING_PER_DOMAIN:
        return is_remote(w, q) && w->domains[p->domain].records >= max;
    case SIM_MAX_OUTBOUND_PER_ENDPOINT:
        return q->out && w->places[q->place].outbound >= max;
    default:
        return false;
    }
}

static bool is_remote_full(const struct sim_world *w,
                           const struct sim_request *q)
{
    int64_t max = number(w, SIM_MAX_PENDING);

    return is_remote(w, q) && w->remote.records >= (max < 2 ? 1 : max / 2);
}

bool sim_books_full(const struct sim_world *w, const struct sim_request *q,
                    enum jat_why why)
{
    static const struct {
        enum jat_why why;
        enum sim_option limit;
    } limits[] = {{JAT_WHY_MAX_PENDING, SIM_MAX_PENDING},
                  {JAT_WHY_MAX_PENDING_PER_USER, SIM_MAX_PENDING_PER_USER},
                  {JAT_WHY_MAX_PENDING_PER_DOMAIN, SIM_MAX_PENDING_PER_DOMAIN},
                  {JAT_WHY_MAX_OUTBOUND, SIM_MAX_OUTBOUND_PER_ENDPOINT}};
    bool any = why == JAT_WHY_COUNT;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if ((any || limits[i].why == why) && is_full(w, q, limits[i].limit))
            return true;
    return (any || why == JAT_WHY_MAX_PENDING_REMOTE) && is_remote_full(w, q);
}

bool sim_books_keep(const struct sim_world *w, const struct sim_request *q,
                    uint32_t octets)
{
    const struct sim_person *p = &w->people[q->person];
    uint32_t whole = (uint32_t)number(w, SIM_MAX_RETRY_MEMORY);

    return octets > 0 && w->all.octets + octets <= whole &&
           w->users[p->domain][p->user].octets + octets <= whole / 100 &&
           (!is_remote(w, q) ||
            (w->remote.octets + octets <= whole / 2 &&
             w->domains[p->domain].octets + octets <= whole / 10));
}

static void add(struct sim_count *c, const struct sim_request *q, int times)
{
    c->records = (uint32_t)((int64_t)c->records + times);
    c->octets = (uint32_t)((int64_t)c->octets + (int64_t)times * q->octets);
}

static void count(struct sim_world *w, const struct sim_request *q, int times)
{
    const struct sim_person *p = &w->people[q->person];

    add(&w->all, q, times);
    if (q->out)
        return;
    add(&w->users[p->domain][p->user], q, times);
    if (is_remote(w, q)) {
        add(&w->remote, q, times);
        add(&w->domains[p->domain], q, times);
    }
}

/* Requests and their records */

unsigned sim_books_begin(struct sim_world *w, const struct sim_request *q)
{
    w->requests = sim_grow(w->requests, w->n_requests, &w->cap_requests,
                           sizeof *w->requests);
    w->requests[w->n_requests] = *q;
    count(w, q, 1);
    return w->n_requests++;
}

/* A record that began so long ago was closed more than JAT_CLOSED_MS ago. */
#define LONG_AGO (2 * JAT_CLOSED_MS)

/* What answers it sees an id that cannot be taken for another one's. */
static void check_id(struct sim_world *w, const struct sim_try *t)
{
    const struct sim_request *q = &w->requests[t->request];

    for (unsigned i = w->n_tries; i-- > 0;) {
        const struct sim_try *u = &w->tries[i];
        const struct sim_request *r = &w->requests[u->request];

        if (u->began + LONG_AGO < w->now)
            break;
        if (u->over && (u->closed == 0 || u->closed + JAT_CLOSED_MS <= w->now))
            continue;
        SIM_HOLDS(w,
                  r->out != q->out || u->place != t->place ||
                      (q->out && r->person != q->person) ||
                      strcmp(u->id, t->id) != 0 ||
                      strcmp(u->shown, t->shown) != 0,
                  "an id in use or closed lately is not used again", "%s at %c",
                  t->id, 'a' + t->place);
    }
}

/* The new try. */
static struct sim_try *add_try(struct sim_world *w, unsigned request,
                               uint8_t place, const struct sim_try *t)
{
    struct sim_try *v;

    w->tries = sim_grow(w->tries, w->n_tries, &w->cap_tries, sizeof *w->tries);
    w->open = sim_grow(w->open, w->n_open, &w->cap_open, sizeof *w->open);
    v = &w->tries[w->n_tries];
    *v = *t;
    v->request = request;
    v->place = place;
    v->began = w->now;
    w->open[w->n_open++] = w->n_tries;
    return v;
}

void sim_books_wait(struct sim_world *w, unsigned request, uint64_t ref)
{
    (void)add_try(w, request, SIM_NOBODY, &(struct sim_try){.ref = ref});
    w->n_tries++;
}

void sim_books_rekeep(struct sim_world *w, unsigned request, uint32_t octets)
{
    struct sim_request *q = &w->requests[request];

    count(w, q, -1);
    q->octets = octets;
    count(w, q, 1);
}

unsigned sim_books_try(struct sim_world *w, unsigned request, unsigned place,
                       const struct sim_try *t)
{
    struct sim_request *q = &w->requests[request];
    struct sim_place *p = &w->places[place];
    struct sim_try *v = add_try(w, request, (uint8_t)place, t);

    v->session = p->session;
    check_id(w, v);
    q->tried |= q->out ? 0 : 1U << place;
    q->n_tries++;
    if (q->out)
        p->outbound++;
    else
        p->requests++;
    if (w->seen != NULL)
        w->seen->tries[place]++;
    return w->n_tries++;
}

void sim_books_close(struct sim_world *w, unsigned t, enum sim_told told)
{
    struct sim_try *v = &w->tries[t];
    struct sim_place *p;
    bool out = w->requests[v->request].out;

    for (unsigned i = 0; i < w->n_open; i++)
        if (w->open[i] == t)
            w->open[i] = w->open[--w->n_open];
    v->over = true;
    if (sim_waits(v)) {
        w->requests[v->request].waiting = false;
        return;
    }
    p = &w->places[v->place];
    v->closed = told == SIM_TOLD_ANSWER ? 0 : w->now;
    if (!p->online || p->session != v->session)
        return;
    if (out) {
        p->outbound--;
        return;
    }
    p->requests--;
    p->answered += told == SIM_TOLD_ANSWER;
    p->failed += told == SIM_TOLD_FAILURE || told == SIM_TOLD_TIMEOUT;
    if (told == SIM_TOLD_TIMEOUT)
        sim_health_timed_out(w, p, &w->requests[v->request]);
    if (told == SIM_TOLD_ANSWER) {
        p->last_answer = w->now;
        sim_health_answered(p);
    }
}

void sim_books_end(struct sim_world *w, unsigned request)
{
    struct sim_request *q = &w->requests[request];

    SIM_HOLDS(w, !q->ended, "one request gets one answer", "%s has got two",
              sim_request_name(w, request));
    q->ended = true;
    count(w, q, -1);
    if (w->seen == NULL)
        return;
    w->seen->latencies = sim_grow(w->seen->latencies, w->seen->n_latencies,
                                  &w->seen->cap, sizeof *w->seen->latencies);
    w->seen->latencies[w->seen->n_latencies++] = (uint32_t)(w->now - q->born);
}

unsigned sim_books_find(const struct sim_world *w, uint64_t ref)
{
    for (unsigned i = 0; i < w->n_open; i++)
        if (w->tries[w->open[i]].ref == ref)
            return w->open[i];
    return UINT_MAX;
}

/* Looks */

/* One look in so many goes through all requests. */
#define SELDOM 32U

/* Those whose numbers are in w->stats. */
static const enum jat_stat counted[] = {
    JAT_STAT_requests,  JAT_STAT_answers,   JAT_STAT_outbound_requests,
    JAT_STAT_retries,   JAT_STAT_bounces,   JAT_STAT_outbound_answers,
    JAT_STAT_timeouts,  JAT_STAT_gone,      JAT_STAT_refused_by_server,
    JAT_STAT_aborted,   JAT_STAT_refused,   JAT_STAT_unsolicited,
    JAT_STAT_malformed, JAT_STAT_dropped,   JAT_STAT_forgotten,
    JAT_STAT_unresumed, JAT_STAT_ejections, JAT_STAT_no_endpoint};

void sim_books_look(struct sim_world *w)
{
    size_t n = jat_inflight_count(w->j->inflight);

    SIM_HOLDS(w, n == w->n_open, "what is in flight is counted",
              "%zu records, %u requests without an answer", n, w->n_open);
    SIM_HOLDS(w, jat_shares_octets(w->j->shares) == w->all.octets,
              "what is kept for a retry is counted",
              "%lu octets are counted, %u are there",
              jat_shares_octets(w->j->shares), w->all.octets);
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        uint64_t is = jat_stats_get(&w->j->stats, counted[i]);

        SIM_HOLDS(w, is == w->stats[counted[i]], "the counters add up",
                  "%s: %lu are counted, %lu were there",
                  jat_stats_name(counted[i]), is, w->stats[counted[i]]);
    }
    sim_rows_of_endpoints(w);
    if (w->queue.order % SELDOM == 0)
        sim_rows_of_requests(w);
}

/* The audit: `room` is a limit that each has for himself. */

static void fill(struct sim_world *w, struct sim_person *p, unsigned n,
                 unsigned room, const char *what)
{
    for (unsigned i = 0; i < n; i++) {
        struct jat_decision d;
        char xml[512];
        int len =
            snprintf(xml, sizeof xml,
                     "<iq xmlns='jabber:client' type='get' id='audit%u' "
                     "from='%s' to='" SIM_HOST "'><q xmlns='urn:q'/></iq>",
                     i, p->jid);

        jat_buf_reset(&w->buf, SIZE_MAX);
        if (jat_handle(w->j, jat_str(xml, (size_t)len), JAT_STR(""), 0, 100,
                       w->now, &w->buf, &d) != JAT_OK)
            sim_wrong(w, "each stanza has a decision", "of %s", p->jid);
        else
            SIM_HOLDS(w, (d.verb == JAT_DO_FORWARD) == (i < room), what,
                      "%s: request %u of %u", p->jid, i + 1, room);
    }
}

static void end_all(struct sim_world *w)
{
    while (jat_close_all(w->j, w->now, 64, &w->outcomes) == JAT_EFULL)
        w->outcomes.n = 0;
    w->outcomes.n = 0;
    SIM_HOLDS(w, jat_inflight_count(w->j->inflight) == 0,
              "a stop leaves nothing in flight", "something is");
    SIM_HOLDS(w, jat_shares_octets(w->j->shares) == 0,
              "a stop leaves nothing that is kept", "%lu octets are",
              jat_shares_octets(w->j->shares));
}

static bool is_first(const struct sim_world *w, unsigned i, bool of_domain)
{
    for (unsigned k = 0; k < i; k++)
        if (w->people[k].domain == w->people[i].domain &&
            (of_domain || w->people[k].user == w->people[i].user))
            return false;
    return true;
}

/* Under these options each of the people (of_domain: of the domains) may have
 * `room` requests in flight. */
static void audit(struct sim_world *w, const struct sim_options *o,
                  bool of_domain, unsigned room, const char *what)
{
    if (jat_configure(w->j, sim_options_config(o)) != JAT_OK)
        sim_wrong(w, "a configuration is taken", "at the audit");
    for (unsigned i = 0; i < w->plan->n_requesters; i++)
        if (is_first(w, i, of_domain) &&
            (!of_domain || w->people[i].domain > 0))
            fill(w, &w->people[i], room + 1, room, what);
    end_all(w);
}

void sim_books_audit(struct sim_world *w)
{
    struct sim_options o = {{0}};
    struct jat_endpoint_state state = {.show = JAT_SHOW_NONE};
    bool added;

    end_all(w);
    (void)jat_configure(w->j, sim_options_config(&o));
    (void)jat_put_endpoint(w->j, JAT_STR("svc@" SIM_LOCAL "/a"), &state, w->now,
                           &added);
    (void)sim_option_set(&o, "max_pending_per_user", "2");
    audit(w, &o, false, 2, "after a stop each user has all of his share");
    (void)sim_option_set(&o, "max_pending_per_user", "1000");
    (void)sim_option_set(&o, "max_pending_per_domain", "3");
    audit(w, &o, true, 3, "after a stop each domain has all of its share");
    (void)sim_option_set(&o, "max_pending_per_domain", "10000");
    (void)sim_option_set(&o, "max_pending", "20");
    if (jat_configure(w->j, sim_options_config(&o)) == JAT_OK)
        fill(w, &w->people[0], 21, w->people[0].domain > 0 ? 10 : 20,
             "after a stop all have all of their share");
    end_all(w);
}
