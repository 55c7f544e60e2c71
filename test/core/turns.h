/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What a worker does in one turn: a table of functions, and how often each. */
#ifndef TURNS_H
#define TURNS_H

#include "traffic.h"

typedef void turn_fn(struct worker *);

static void ask(struct worker *w)
{
    char from[NAME];
    struct letter l;
    user_name(w, from);
    if (begin_request(w, from, P, &l))
        send_letter(w, &l);
}

/* To the address that an endpoint is shown under. */
static void ask_one(struct worker *w)
{
    char from[NAME], resource[NAME], to[2 * NAME];
    uint32_t cursor = below(w, TARGETS * RESOURCES);
    struct jat_endpoint_row e;
    struct letter l;
    jat_buf_reset(&w->buf, SIZE_MAX);
    if (jat_next_endpoint(j, &cursor, 0, &w->buf, &e) != JAT_OK)
        return;
    copy_span(resource, &w->buf, e.is.shown);
    snprintf(to, sizeof to, P "/%s", resource);
    user_name(w, from);
    if (begin_request(w, from, to, &l))
        send_letter(w, &l);
}

static void ask_back(struct worker *w)
{
    struct letter l, out;
    if (take_letter(w, &l) && !l.outbound &&
        begin_request(w, l.to, l.from, &out))
        send_letter(w, &out);
}

static void answer(struct worker *w)
{
    struct letter l;
    if (take_letter(w, &l))
        answer_letter(w, &l);
}

/* An id that was never asked, and somebody who was not asked. */
static void forge(struct worker *w)
{
    struct letter l;
    if (!take_letter(w, &l))
        return;
    send_letter(w, &l);
    if (one_in(w, 2))
        snprintf(l.id, sizeof l.id, "never");
    else
        snprintf(l.to, sizeof l.to, "eve@example.net/r");
    if (handle_iq(w, "result", l.id, l.to, l.from) != JAT_DO_DROP)
        w->wrong = "a forged answer went through";
}

/* Messages. What is passed on stays in the bags as letters without a record,
 * for others to answer. */
static void talk(struct worker *w)
{
    char from[NAME];
    struct letter l;
    user_name(w, from);
    if (pass_stanza(w, "message", one_in(w, 8) ? "headline" : "chat", from, P,
                    &l))
        send_letter(w, &l);
}

static void talk_back(struct worker *w)
{
    struct letter l, next;
    const char *type = one_in(w, 4) ? "error" : "chat";
    if (take_letter(w, &l) &&
        pass_stanza(w, "message", type, l.to, l.from, &next))
        send_letter(w, &next);
}

static void show_or_hide(struct worker *w)
{
    struct letter l, next;
    if (!take_letter(w, &l))
        return;
    send_letter(w, &l); /* it may be answered all the same */
    if (!l.outbound)
        (void)pass_stanza(w, "presence", one_in(w, 3) ? "unavailable" : "",
                          l.to, l.from, &next);
}

static void bounce_one(struct worker *w)
{
    struct letter l;
    if (take_letter(w, &l))
        jat_bounce(j, l.record, (enum jat_how)below(w, JAT_HOW_COUNT),
                   time_now(), &w->outcomes);
}

static void abort_one(struct worker *w)
{
    struct letter l;
    if (take_letter(w, &l))
        jat_abort(j, l.record, JAT_WHY_INTERNAL, time_now(), &w->outcomes);
}

static void expire_some(struct worker *w)
{
    jat_expire(j, time_now(), 16, &w->outcomes);
}

static void drain_some(struct worker *w)
{
    jat_close_all(j, time_now(), 4, &w->outcomes);
}

static void pass_time(struct worker *w)
{
    atomic_fetch_add_explicit(&clock_ms, below(w, 100), memory_order_relaxed);
}

static void remove_one(struct worker *w)
{
    char name[NAME];
    jat_eid eid;
    uint64_t cursor = 0;
    endpoint_name(w, name);
    if (jat_remove_endpoint(j, str(name), &eid) != JAT_OK)
        return;
    enum jat_err err;
    do {
        err = jat_sweep(j, eid, &cursor, time_now(), 64, &w->outcomes);
        see_outcomes(w);
    } while (err != JAT_OK);
}

static void reconfigure(struct worker *w)
{
    struct jat_config *c = some_config(w, true);
    enum jat_err err = c == NULL ? JAT_ENOMEM : jat_configure(j, c);
    if (is_wrong(err))
        w->wrong = "no new configuration";
    if (err != JAT_OK)
        jat_config_free(c);
}

static void look_at_counters(struct worker *w)
{
    const char *name;
    uint64_t value;
    for (unsigned i = 0; jat_counter(j, i, &name, &value); i++)
        if (value > UINT32_MAX)
            w->wrong = "a counter below zero";
}

static void look_at_endpoints(struct worker *w)
{
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    jat_buf_reset(&w->buf, SIZE_MAX);
    while (jat_next_endpoint(j, &cursor, 0, &w->buf, &e) == JAT_OK)
        if (e.requests > NUMBERS || e.outbound > NUMBERS)
            w->wrong = "an endpoint with less than no requests";
}

static void look_at_pending(struct worker *w)
{
    struct jat_pending p;
    uint64_t cursor = 0;
    jat_buf_reset(&w->buf, SIZE_MAX);
    for (unsigned i = 0; i < 20; i++)
        if (jat_next_pending(j, &cursor, time_now(), &w->buf, &p) != JAT_OK)
            break;
}

static void open_one(struct worker *w)
{
    struct letter l;
    enum jat_role role;
    if (!take_letter(w, &l))
        return;
    send_letter(w, &l);
    jat_buf_reset(&w->buf, SIZE_MAX);
    const char *resource = strchr(l.from, '/');
    if (resource != NULL)
        jat_open(j, str(resource + 1), time_now(), &role, &w->buf);
}

static const struct {
    turn_fn *fn;
    unsigned weight;
} turns[] = {
    {ask, 250},
    {ask_one, 80},
    {ask_back, 80},
    {answer, 330},
    {forge, 20},
    {talk, 100},
    {talk_back, 100},
    {show_or_hide, 60},
    {bounce_one, 60},
    {abort_one, 20},
    {expire_some, 50},
    {drain_some, 2},
    {pass_time, 50},
    {put_one, 20},
    {remove_one, 10},
    {reconfigure, 1},
    {look_at_counters, 10},
    {look_at_endpoints, 10},
    {look_at_pending, 10},
    {open_one, 20},
};

static unsigned all_weights(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++)
        sum += turns[i].weight;
    return sum;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    unsigned all = all_weights();
    for (unsigned t = 0; t < w->turns && w->wrong == NULL; t++) {
        unsigned i = 0;
        for (unsigned k = below(w, all); k >= turns[i].weight; i++)
            k -= turns[i].weight;
        turns[i].fn(w);
        see_outcomes(w);
    }
    return NULL;
}

#endif
