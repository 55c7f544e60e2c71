/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <string.h>

#include "sim.h"

static struct jat_str jid_of(const struct sim_place *p)
{
    return jat_str(p->jid, strlen(p->jid));
}

uint8_t sim_place_of(const struct sim_world *w, const char *jid)
{
    for (uint8_t i = 0; i < SIM_ENDPOINTS; i++)
        if (strcmp(w->places[i].jid, jid) == 0)
            return i;
    return SIM_NOBODY;
}

unsigned sim_place_count(const struct sim_world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        n += w->places[i].online;
    return n;
}

unsigned sim_place_awake(const struct sim_world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        n += w->places[i].online && !w->places[i].state.pending;
    return n;
}

void sim_place_addresses(struct sim_world *w)
{
    struct jat_endpoint_row e;
    uint32_t cursor = 0;

    jat_buf_reset(&w->buf, SIZE_MAX);
    while (jat_next_endpoint(w->j, &cursor, w->now, &w->buf, &e) == JAT_OK) {
        char jid[SIM_ADDRESS];
        uint8_t place;

        sim_join(&w->buf, jat_parts_cut(e.is.jid, e.is.cut), jid);
        place = sim_place_of(w, jid);
        if (place == SIM_NOBODY)
            continue;
        w->places[place].eid = e.is.eid;
        snprintf(w->places[place].address, SIM_ADDRESS, SIM_HOST "/%.*s",
                 (int)e.is.shown.n, w->buf.p + e.is.shown.at);
    }
}

/* Tells the core what it is. */
static void put(struct sim_world *w, struct sim_place *p)
{
    bool full =
        !p->online &&
        sim_place_count(w) >= sim_option_number(&w->options, SIM_MAX_ENDPOINTS);
    bool added = false;
    enum jat_err err =
        jat_put_endpoint(w->j, jid_of(p), &p->state, w->now, &added);

    w->calls++;
    sim_choice_turn_lost(w);
    SIM_HOLDS(w, err == (full ? JAT_EFULL : JAT_OK),
              "an endpoint is taken while there is room", "%s: %s", p->jid,
              jat_err_name(err));
    SIM_HOLDS(w, err != JAT_OK || added == !p->online,
              "the table holds who is online", "%s is%s new", p->jid,
              added ? "" : " not");
    if (err != JAT_OK || p->online)
        return;
    p->online = true;
    p->requests = p->outbound = 0;
    p->answered = p->failed = p->last_answer = 0;
    sim_health_begin(p);
    sim_place_addresses(w);
}

static void begin_sweep(struct sim_world *w, unsigned place, unsigned session,
                        jat_eid eid)
{
    w->sweeps =
        sim_grow(w->sweeps, w->n_sweeps, &w->cap_sweeps, sizeof *w->sweeps);
    w->sweeps[w->n_sweeps] = (struct sim_sweep){
        .eid = eid, .session = session, .place = (uint8_t)place};
    sim_queue_put(&w->queue, w->now, SIM_DUE_SWEEP, w->n_sweeps++, 0);
}

void sim_place_leave(struct sim_world *w, unsigned place)
{
    struct sim_place *p = &w->places[place];
    jat_eid eid = 0;
    enum jat_err err = jat_remove_endpoint(w->j, jid_of(p), &eid);

    w->calls++;
    sim_choice_turn_lost(w);
    sim_tell(w, "%s is gone", p->jid);
    SIM_HOLDS(w, err == (p->online ? JAT_OK : JAT_ENOTFOUND),
              "the table holds who is online", "%s: %s", p->jid,
              jat_err_name(err));
    if (p->online) {
        SIM_HOLDS(w, eid == p->eid, "an endpoint keeps its reference", "%s",
                  p->jid);
        begin_sweep(w, place, p->session, eid);
    }
    p->session++;
    p->online = p->alive = p->state.pending = false;
    p->back = 0;
}

void sim_place_come(struct sim_world *w, const struct sim_step *s)
{
    struct sim_place *p = &w->places[s->who];

    if (p->online && !p->alive)
        sim_place_leave(w, s->who); /* a new session in place of the old one */
    sim_tell(w, "%s is online, show %s, priority %d", p->jid,
             jat_show_name((enum jat_show)s->a), (int)(s->luck >> 32) % 5 - 1);
    p->state.show = (enum jat_show)s->a;
    p->state.priority = (int)(s->luck >> 32) % 5 - 1;
    put(w, p);
    p->alive = p->online;
}

void sim_place_drain(struct sim_world *w, const struct sim_step *s)
{
    struct sim_place *p = &w->places[s->who];

    p->state.drained = !p->state.drained;
    sim_tell(w, "%s is %s by command", p->jid,
             p->state.drained ? "drained" : "not drained");
    if (p->online)
        put(w, p);
}

/* What its session had in its hands: some of it comes back at once. */
static void bounce_some(struct sim_world *w, unsigned place)
{
    const struct sim_place *p = &w->places[place];

    for (unsigned i = 0; i < w->n_open; i++) {
        unsigned t = w->open[i];
        const struct sim_try *v = &w->tries[t];
        struct luck l = luck_of(w->requests[v->request].step->luck, 99);

        if (v->place == place && v->session == p->session &&
            !w->requests[v->request].out && luck_one_in(&l, 2))
            sim_queue_put(&w->queue, w->now + 1 + luck_below(&l, 50),
                          SIM_DUE_BOUNCE, t, JAT_HOW_LOST);
    }
}

void sim_place_crash(struct sim_world *w, const struct sim_step *s)
{
    struct sim_place *p = &w->places[s->who];

    if (!p->online || !p->alive)
        return;
    sim_tell(w, "%s crashes, which is known in %u ms", p->jid, s->a);
    bounce_some(w, s->who);
    p->alive = false;
    sim_queue_put(&w->queue, w->now + s->a, SIM_DUE_NOTICE, s->who, p->session);
}

void sim_place_noticed(struct sim_world *w, unsigned place, unsigned session)
{
    if (w->places[place].session == session && w->places[place].online)
        sim_place_leave(w, place);
}

void sim_place_pend(struct sim_world *w, const struct sim_step *s)
{
    struct sim_place *p = &w->places[s->who];
    bool resumes = s->luck % 3 != 0;

    if (!p->online || !p->alive || p->state.pending)
        return;
    sim_tell(w, "the stream of %s breaks, it is %s in %u ms", p->jid,
             resumes ? "resumed" : "given up", s->a);
    p->state.pending = true;
    p->pending = w->now;
    p->back = w->now + s->a;
    put(w, p);
    sim_queue_put(&w->queue, p->back,
                  resumes ? SIM_DUE_RESUMED : SIM_DUE_NOTICE, s->who,
                  p->session);
}

void sim_place_resumed(struct sim_world *w, unsigned place, unsigned session)
{
    struct sim_place *p = &w->places[place];

    if (p->session != session || !p->online || !p->alive)
        return;
    sim_tell(w, "%s is resumed", p->jid);
    p->state.pending = false;
    put(w, p);
}

void sim_place_hang(struct sim_world *w, const struct sim_step *s)
{
    struct sim_place *p = &w->places[s->who];

    if (!p->online || !p->alive)
        return;
    sim_tell(w, "%s hangs for %u ms", p->jid, s->a);
    if (p->back < w->now + s->a)
        p->back = w->now + s->a;
}
