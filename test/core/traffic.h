/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Traffic through one proxy host, by one thread or several, and its books. Each
 * request has a number, its id; whoever sees it end notes that, and when all
 * has come to an end each must have had exactly one. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "jat_fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 8
#define TARGETS 2
#define RESOURCES 4 /* of each target */
#define USERS 12
#define NUMBERS (1U << 22)
#define NAME 192

/* Who has an end and how many; shared by all. */
static _Atomic unsigned char begun[NUMBERS], ended[NUMBERS];
static _Atomic unsigned next_number;
static _Atomic uint64_t clock_ms;

/* A request that was forwarded, as the one that it was forwarded to sees it. */
struct letter {
    bool outbound;
    uint64_t record;
    char from[NAME], to[NAME], id[NAME];
};

/* What is on its way. Anybody may take what anybody has sent; several bags, so
 * that their mutexes do not put the threads into one order. */
enum { BAGS = 16, BAG = 64 };

static struct bag {
    pthread_mutex_t mutex;
    unsigned n;
    struct letter letters[BAG];
} bags[BAGS];

/* What is seen: first what there is a counter of the same name for. */
enum seen {
    REQUESTS,
    OUTBOUND_REQUESTS,
    ANSWERS,
    OUTBOUND_ANSWERS,
    RETRIES,
    REFUSED,
    MESSAGES,
    OUTBOUND_MESSAGES,
    PRESENCES,
    COUNTERS,
    FAILED = COUNTERS,
    FORGOTTEN,
    HIDDEN,
    HELD,
    RELEASED,
    SEEN_COUNT
};

static const char *const counters[COUNTERS] = {
    "requests",         "outbound_requests", "answers",
    "outbound_answers", "retries",           "refused",
    "messages",         "outbound_messages", "presences"};

/* One thread: its random numbers, buffers, and what it saw. */
struct worker {
    pthread_t thread;
    unsigned number, turns;
    uint64_t random;
    struct jat_buf buf;
    struct jat_decision decision;
    struct jat_outcomes outcomes;
    char xml[1024];
    uint64_t seen[SEEN_COUNT];
    const char *wrong; /* what must not be */
};

static unsigned below(struct worker *w, unsigned n)
{
    w->random += 0x9e3779b97f4a7c15U;
    return (unsigned)(jat_mix64(w->random) >> 32) % n;
}

static bool one_in(struct worker *w, unsigned n)
{
    return below(w, n) == 0;
}

static void nth_user(unsigned i, char *to)
{
    snprintf(to, NAME, "u%u@%s/r%u", i, i % 2 ? "example.net" : "example.com",
             i % 3);
}

static void user_name(struct worker *w, char *to)
{
    nth_user(below(w, USERS), to);
}

static void endpoint_name(struct worker *w, char *to)
{
    snprintf(to, NAME, "svc%u@example.org/%u", below(w, TARGETS),
             below(w, RESOURCES));
}

static void copy_span(char *to, const struct jat_buf *b, struct jat_span s)
{
    snprintf(to, NAME, "%.*s", (int)s.n, s.n == 0 ? "" : b->p + s.at);
}

static void copy_parts(char *to, const struct jat_buf *b, struct jat_parts p)
{
#define PART(s) (int)p.s.n, p.s.n == 0 ? "" : b->p + p.s.at
    snprintf(to, NAME, "%.*s%s%.*s%s%.*s", PART(user), p.user.n ? "@" : "",
             PART(server), p.resource.n ? "/" : "", PART(resource));
#undef PART
}

/* Letters */

static void send_letter(struct worker *w, const struct letter *l)
{
    struct bag *b = &bags[below(w, BAGS)];
    pthread_mutex_lock(&b->mutex);
    /* what falls out of a full bag is never answered */
    b->letters[b->n < BAG ? b->n++ : below(w, BAG)] = *l;
    pthread_mutex_unlock(&b->mutex);
}

/* One letter of a random bag; now and then it stays there, too, so that the
 * same request is answered, bounces ... more than once. */
static bool take_letter(struct worker *w, struct letter *l)
{
    struct bag *b = &bags[below(w, BAGS)];
    pthread_mutex_lock(&b->mutex);
    bool any = b->n > 0;
    if (any) {
        unsigned i = below(w, b->n);
        *l = b->letters[i];
        if (!one_in(w, 3))
            b->letters[i] = b->letters[--b->n];
    }
    pthread_mutex_unlock(&b->mutex);
    return any;
}

/* Ends */

static void end_of(struct worker *w, const char *id)
{
    unsigned number = (unsigned)atoi(strncmp(id, "rr-", 3) == 0 ? id + 3 : id);
    if (number >= NUMBERS || atomic_fetch_add(&ended[number], 1) != 0)
        w->wrong = "a request has ended twice";
}

static void see_outcomes(struct worker *w)
{
    const struct jat_buf *b = &w->outcomes.text;
    for (size_t i = 0; i < w->outcomes.n; i++) {
        const struct jat_outcome *o = &w->outcomes.v[i];
        struct letter l = {.record = o->next};
        copy_span(l.id, b, o->id);
        switch (o->fate) {
        case JAT_FATE_RETRY:
        case JAT_FATE_RELEASE:
            w->seen[o->fate == JAT_FATE_RETRY ? RETRIES : RELEASED]++;
            copy_parts(l.from, b, o->from);
            copy_parts(l.to, b, o->to);
            send_letter(w, &l);
            break;
        case JAT_FATE_FAIL:
            w->seen[FAILED]++;
            end_of(w, l.id);
            break;
        case JAT_FATE_FORGET:
            w->seen[FORGOTTEN]++;
            end_of(w, l.id);
            break;
        case JAT_FATE_UNAVAILABLE:
            w->seen[HIDDEN]++;
            break;
        case JAT_FATE_HOLD:
            w->seen[RETRIES]++;
            break;
        }
    }
    jat_buf_reset(&w->outcomes.text, SIZE_MAX);
    w->outcomes.n = 0;
}

/* Allocations fail now and then. */
static bool memory_is_scarce;

static bool is_wrong(enum jat_err err)
{
    return err != JAT_OK &&
           !(memory_is_scarce && (err == JAT_ENOMEM || err == JAT_ECRYPTO));
}

static uint64_t time_now(void)
{
    return atomic_load_explicit(&clock_ms, memory_order_relaxed);
}

static unsigned handle_stanza(struct worker *w, const char *name,
                              const char *type, const char *id,
                              const char *from, const char *to,
                              const char *children)
{
    int n = snprintf(w->xml, sizeof w->xml,
                     "<%s xmlns='jabber:client'%s%s%s id='%s' from='%s' "
                     "to='%s'>%s</%s>",
                     name, *type ? " type='" : "", type, *type ? "'" : "", id,
                     from, to, children, name);
    jat_buf_reset(&w->buf, SIZE_MAX);
    enum jat_err err = jat_handle(j, jat_str(w->xml, (size_t)n), JAT_STR(""), 0,
                                  100, time_now(), &w->buf, &w->decision);
    if (is_wrong(err))
        w->wrong = "a stanza was refused";
    if (err != JAT_OK)
        return JAT_DO_DROP;
    w->seen[REFUSED] += w->decision.verb == JAT_DO_REFUSE;
    return kind(&w->decision);
}

static unsigned handle_iq(struct worker *w, const char *type, const char *id,
                          const char *from, const char *to)
{
    static const char *const payloads[] = {
        PAYLOAD,
        "<x xmlns='urn:own' sid='1'/>",
        "<x xmlns='urn:own' sid='2'/>",
        "<x xmlns='urn:any' id='1'/>",
    };
    unsigned which = one_in(w, 4) ? 1 + below(w, 3) : 0;
    return handle_stanza(w, "iq", type, id, from, to, payloads[which]);
}

/* A message, or presence, from `from` to `to`. If it is passed on: the letter
 * that it becomes. */
static bool pass_stanza(struct worker *w, const char *name, const char *type,
                        const char *from, const char *to, struct letter *l)
{
    const struct jat_pass *p = &w->decision.pass;
    bool is_message = *name == 'm';
    if (handle_stanza(w, name, type, "m", from, to,
                      is_message ? "<body/>" : "") != JAT_DO_PASS)
        return false;
    w->seen[!is_message              ? PRESENCES
            : p->direction == JAT_IN ? MESSAGES
                                     : OUTBOUND_MESSAGES]++;
    *l = (struct letter){.outbound = p->direction == JAT_OUT, .id = "m"};
    copy_parts(l->from, &w->buf, p->from);
    copy_parts(l->to, &w->buf, p->to);
    return true;
}

/* The id that the stanza of this one goes on with. */
static void copy_id(char *to, const struct worker *w, const char *id)
{
    if (w->decision.forward.new_id)
        copy_span(to, &w->buf, w->decision.forward.id);
    else
        snprintf(to, NAME, "%s", id);
}

/* A new request; the letter that it becomes. */
static bool begin_request(struct worker *w, const char *from, const char *to,
                          struct letter *l)
{
    unsigned number = atomic_fetch_add(&next_number, 1);
    char id[NAME];
    snprintf(id, sizeof id, "%s%u", one_in(w, 16) ? "rr-" : "", number);
    unsigned what = handle_iq(w, one_in(w, 2) ? "get" : "set", id, from, to);
    if (number >= NUMBERS)
        w->wrong = "out of numbers";
    if (w->wrong != NULL ||
        (what != REQUEST && what != OUTBOUND && what != JAT_DO_HOLD))
        return false;
    atomic_store(&begun[number], 1);
    if (what == JAT_DO_HOLD) { /* its letter comes when it is released */
        w->seen[HELD]++;
        w->seen[REQUESTS]++;
        return false;
    }
    *l = (struct letter){.outbound = what == OUTBOUND,
                         .record = w->decision.forward.record};
    copy_parts(l->from, &w->buf, w->decision.forward.from);
    copy_parts(l->to, &w->buf, w->decision.forward.to);
    copy_id(l->id, w, id);
    w->seen[l->outbound ? OUTBOUND_REQUESTS : REQUESTS]++;
    return true;
}

static void answer_letter(struct worker *w, const struct letter *l)
{
    char id[NAME];
    if (handle_iq(w, one_in(w, 4) ? "error" : "result", l->id, l->to,
                  l->from) != ANSWER)
        return;
    copy_id(id, w, l->id);
    w->seen[l->outbound ? OUTBOUND_ANSWERS : ANSWERS]++;
    end_of(w, id);
}

/* The proxy host */

static void put_one(struct worker *w)
{
    char name[NAME];
    struct jat_endpoint_state s = {(enum jat_show)below(w, JAT_SHOW_COUNT), 0,
                                   one_in(w, 8), one_in(w, 16)};
    bool added;
    endpoint_name(w, name);
    if (is_wrong(jat_put_endpoint(j, str(name), &s, time_now(), &added)))
        w->wrong = "no endpoint";
}

static const struct {
    const char *name, *values[3];
} choices[] = {
    {"balance", {"round_robin", "least_pending", "sticky"}},
    {"encoding", {"sealed", "sealed", "jid"}},
    {"outbound", {"any", "any", "reply"}},
    {"sticky_by", {"full", "domain", "bare"}},
    {"drain_show", {"dnd", "xa", "away"}},
    {"local_domains", {"example.com", "example.net", "localhost"}},
    {"keys",
     {"a key of thirty-two octets, one .", "a key of thirty-two octets, two .",
      "a key of thirty-two octets, three"}},
};

static const char *const sessions[] = {"urn:own", "sid", "own",
                                       "urn:any", "id",  "any_requester"};

#define N_CHOICES (sizeof choices / sizeof choices[0])

static const struct {
    const char *name;
    unsigned below;
} numbers[] = {
    {"retries", 4},
    {"timeout", 20000},
    {"contact_timeout", 20000},
    {"max_contacts", 30},
    {"max_sessions", 30},
    {"session_timeout", 20000},
    {"sticky_ttl", 20000},
    {"max_pending", 2000},
    {"max_pending_per_user", 200},
    {"max_outbound_per_endpoint", 100},
    {"message_rate", 40},
    {"message_rate_per_domain", 200},
    {"wait_for_endpoint", 4000},
};

#define N_NUMBERS (sizeof numbers / sizeof numbers[0])

static enum jat_err set_word(struct jat_config *c, const char *name,
                             const char *value)
{
    size_t n = strcmp(name, "keys") == 0 ? JAT_SEAL_KEY : strlen(value);
    return jat_config_str(c, str(name), jat_str(value, n));
}

static enum jat_err fill_config(struct worker *w, struct jat_config *c,
                                bool vary)
{
    enum jat_err err = set_word(c, "host", P);
    for (unsigned i = 0; err == JAT_OK && i < TARGETS; i++)
        err =
            set_word(c, "targets", i ? "svc1@example.org" : "svc0@example.org");
    for (size_t i = 0; err == JAT_OK && vary && i < N_CHOICES; i++)
        if (one_in(w, 2))
            err = set_word(c, choices[i].name, choices[i].values[below(w, 3)]);
    for (size_t i = 0; err == JAT_OK && vary && i < 6; i++)
        err = set_word(c, "sessions", sessions[i]);
    for (size_t i = 0; err == JAT_OK && vary && i < N_NUMBERS; i++)
        err = jat_config_int(c, str(numbers[i].name),
                             1 + below(w, numbers[i].below));
    /* the last key is the same in all: what it has sealed can be opened */
    return err == JAT_OK
               ? set_word(c, "keys", "the key that is in each list ...")
               : err;
}

/* A configuration, or NULL without memory. */
static struct jat_config *some_config(struct worker *w, bool vary)
{
    struct jat_config *c = jat_config_new();
    enum jat_err err = c == NULL ? JAT_ENOMEM : fill_config(w, c, vary);
    if (is_wrong(err))
        w->wrong = "no configuration";
    if (err == JAT_OK)
        return c;
    jat_config_free(c);
    return NULL;
}

static struct worker workers[WORKERS];

static void begin_workers(unsigned n)
{
    static const unsigned char seed[24] = "a seed of 24 octets ...";
    memset(begun, 0, sizeof begun);
    memset(ended, 0, sizeof ended);
    atomic_store(&next_number, 0);
    atomic_store(&clock_ms, 1000);
    for (unsigned i = 0; i < BAGS; i++) {
        pthread_mutex_init(&bags[i].mutex, NULL);
        bags[i].n = 0;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = (struct worker){
            .number = i, .turns = n, .random = jat_mix64(i + 1)};
    struct jat_config *c = some_config(&workers[0], false);
    assert_int_equal(jat_instance_new(c, seed, &j), JAT_OK);
}

/* The books */

static void end_all(struct worker *w)
{
    while (jat_close_all(j, time_now(), 256, &w->outcomes) == JAT_EFULL)
        see_outcomes(w);
    see_outcomes(w);
}

/* Requests that had no end that was seen. */
static unsigned unended(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < next_number && i < NUMBERS; i++) {
        assert_in_range(ended[i], 0, begun[i]);
        n += (unsigned)begun[i] - ended[i];
    }
    return n;
}

/* Unless it waits for the next one. */
static void no_request_waits_for_an_endpoint_that_has_gone(void)
{
    struct jat_request r;
    struct jat_endpoint e;
    uint64_t cursor = 0, ref;
    jat_buf_reset(&decided, SIZE_MAX);
    while (jat_inflight_next(j->inflight, &cursor, &decided, &r, &ref) ==
           JAT_OK)
        assert_true(r.direction == JAT_OUT || r.eid == 0 ||
                    jat_endpoints_get(j->endpoints, r.eid, JAT_NO_STRINGS, NULL,
                                      &e) == JAT_OK);
}

/* Notes the endpoint. (To ask for it here would be to take two locks the other
 * way round than those who show it.) */
static bool note_endpoint(struct jat_str value, const void *eids)
{
    struct jat_buf *const *to = eids;
    jat_buf_add(*to, jat_str(value.p, sizeof(jat_eid)));
    return false;
}

static void nobody_is_shown_an_endpoint_that_has_gone(void)
{
    struct jat_buf eids = JAT_BUF_INIT, *to = &eids;
    struct jat_endpoint e;
    uint64_t cursor = 0;
    size_t budget = SIZE_MAX;
    jat_eid eid;
    assert_int_equal(jat_recent_take_next(j->seen, note_endpoint, &to, &cursor,
                                          &budget, &decided),
                     JAT_ENOTFOUND);
    for (size_t i = 0; i < eids.n; i += sizeof eid) {
        memcpy(&eid, eids.p + i, sizeof eid);
        assert_int_equal(
            jat_endpoints_get(j->endpoints, eid, JAT_NO_STRINGS, NULL, &e),
            JAT_OK);
    }
    jat_buf_fini(&eids);
}

static void nothing_is_counted_for_an_endpoint(void)
{
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    jat_buf_reset(&decided, SIZE_MAX);
    while (jat_next_endpoint(j, &cursor, 0, &decided, &e) == JAT_OK)
        assert_int_equal(e.requests + e.outbound, 0);
}

/* Each user has room for exactly as many as the limits say. */
static void nothing_is_counted_for_a_user(struct worker *w)
{
    enum { ROOM = 5 };
    struct jat_config *c = some_config(w, false);
    struct letter l;
    assert_int_equal(jat_config_int(c, JAT_STR("max_pending_per_user"), ROOM),
                     JAT_OK);
    /* of which remote domains have half */
    assert_int_equal(
        jat_config_int(c, JAT_STR("max_pending"), 2 * ROOM * USERS), JAT_OK);
    assert_int_equal(jat_configure(j, c), JAT_OK);
    put_one(w);
    for (unsigned i = 0; i < USERS; i++) {
        char name[NAME];
        nth_user(i, name);
        for (unsigned k = 0; k <= ROOM; k++)
            assert_int_equal(begin_request(w, name, P, &l), k < ROOM);
    }
    end_all(w);
}

/* All has come to an end: the books balance. */
static void check(void)
{
    struct worker *w = &workers[0];
    uint64_t seen[SEEN_COUNT] = {0};
    no_request_waits_for_an_endpoint_that_has_gone();
    nobody_is_shown_an_endpoint_that_has_gone();
    end_all(w);
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned k = 0; k < SEEN_COUNT; k++)
            seen[k] += workers[i].seen[k];
    for (unsigned k = 0; k < COUNTERS; k++)
        assert_int_equal(count(counters[k]), seen[k]);
    /* An answer to a session that has gone takes the record with it: no end
     * that anybody could see. */
    assert_int_equal(unended(), count("forgotten") - seen[FORGOTTEN]);
    assert_int_equal(count("timeouts") + count("bounces") +
                         count("refused_by_server") + count("gone") +
                         count("unresumed") + count("aborted") +
                         count("no_endpoint"),
                     seen[FAILED] + count("forgotten") + seen[RETRIES]);
    assert_int_equal(count("pending"), 0);
    assert_int_equal(count("retry_memory"), 0);
    assert_int_equal(count("shown_presences"), 0);
    nothing_is_counted_for_an_endpoint();
    nothing_is_counted_for_a_user(w);
    for (unsigned k = 0; k < COUNTERS; k++)
        print_message("%" PRIu64 " %s%s", seen[k], counters[k],
                      k + 1 < COUNTERS ? ", " : "\n");
    for (unsigned i = 0; i < WORKERS; i++) {
        jat_buf_fini(&workers[i].buf);
        jat_outcomes_fini(&workers[i].outcomes);
    }
}

#endif
