/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Who is ejected, silent and pinged. The core decides, and here is seen whether
 * it might: what it says of an endpoint is kept in place->health. */
#include <string.h>

#include "sim.h"

/* As the page has them, not as the core has them. */
#define SECOND 1000U
#define TIMEOUTS 5U /* in a row, ... */
#define USERS 3U    /* ... of so many */
#define QUIET 10000U
#define EJECTION 30000U
#define PINGS 2U

static bool is_on(const struct sim_world *w, enum sim_option which)
{
    return sim_option_number(&w->options, which) > 0;
}

static unsigned count(const struct sim_world *w, unsigned bit)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        n += w->places[i].online && (w->places[i].health & bit) != 0;
    return n;
}

void sim_health_begin(struct sim_place *p)
{
    p->health = 0;
    p->until = 0;
    p->timeouts = p->n_row_users = 0;
    p->pings = p->ejections = 0;
    p->pinged = false;
    p->doubt = false;
}

static void hear(struct sim_place *p)
{
    p->pings = p->ejections = 0;
}

void sim_health_answered(struct sim_place *p)
{
    p->timeouts = p->n_row_users = 0;
    hear(p);
}

void sim_health_timed_out(struct sim_world *w, struct sim_place *p,
                          const struct sim_request *q)
{
    const struct sim_person *u = &w->people[q->person];
    unsigned user = u->domain * SIM_USERS + u->user;

    if (!q->any || q->n_tries > 1 || !is_on(w, SIM_OUTLIER_EJECTION))
        return;
    p->timeouts++;
    for (unsigned i = 0; i < p->n_row_users; i++)
        if (p->row_users[i] == user)
            return;
    if (p->n_row_users < USERS)
        p->row_users[p->n_row_users++] = user;
}

static bool another_answers(const struct sim_world *w, unsigned place)
{
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        const struct sim_place *p = &w->places[i];

        if (i != place && p->online && p->last_answer != 0 &&
            w->now - p->last_answer < QUIET)
            return true;
    }
    return false;
}

/* All that an ejection needs. */
static bool is_suspect(const struct sim_world *w, unsigned place)
{
    const struct sim_place *p = &w->places[place];

    return is_on(w, SIM_OUTLIER_EJECTION) && p->timeouts >= TIMEOUTS &&
           p->n_row_users >= USERS &&
           (p->last_answer == 0 || w->now - p->last_answer >= QUIET) &&
           another_answers(w, place);
}

static void ejected(struct sim_world *w, unsigned place, uint64_t left)
{
    struct sim_place *p = &w->places[place];

    sim_tell(w, "%s is ejected for %lu ms", p->jid, left);
    w->stats[JAT_STAT_ejections]++;
    SIM_HOLDS(w, p->doubt || is_suspect(w, place),
              "who is ejected has let five requests of three time out",
              "%c: %u of %u", 'a' + place, p->timeouts, p->n_row_users);
    SIM_HOLDS(w, left > 0 && left % EJECTION == 0,
              "an ejection lasts 30 s, or some times that", "%lu ms", left);
    SIM_HOLDS(w, p->doubt || left / EJECTION <= 1 + p->ejections,
              "only pings without an answer make ejections longer",
              "%lu ms after %u", left, p->ejections);
    SIM_HOLDS(w, left <= 300000, "an ejection is over in 300 s", "%lu ms",
              left);
    p->until = w->now + left;
    p->timeouts = p->n_row_users = 0;
    p->ejections++;
    p->pinged = true;
}

static void back(struct sim_world *w, unsigned place, bool crowded)
{
    struct sim_place *p = &w->places[place];

    sim_tell(w, "%s is back", p->jid);
    SIM_HOLDS(w, p->until <= w->now || crowded,
              "who is ejected stays so for its time", "%c: %lu ms too early",
              'a' + place, p->until - w->now);
    p->until = 0;
    p->timeouts = p->n_row_users = 0;
}

/* What the core says now. */
static void changed(struct sim_world *w, unsigned place,
                    const struct jat_endpoint_row *e, bool crowded)
{
    struct sim_place *p = &w->places[place];
    unsigned is = e->draining & (JAT_DRAIN_EJECTED | JAT_DRAIN_SILENT);
    unsigned news = is & ~p->health, over = p->health & ~is;

    p->health = is;
    if ((news & JAT_DRAIN_EJECTED) != 0)
        ejected(w, place, e->ejected);
    if ((over & JAT_DRAIN_EJECTED) != 0)
        back(w, place, crowded);
    if (news & JAT_DRAIN_SILENT)
        sim_tell(w, "%s is silent", p->jid);
    SIM_HOLDS(w,
              (is & JAT_DRAIN_SILENT) == 0 || p->doubt ||
                  (p->pings >= PINGS && is_on(w, SIM_PING_INTERVAL)),
              "who is silent has not answered two pings", "%c: %u", 'a' + place,
              p->pings);
}

/* Calls `changed` for each endpoint; or, after a reload, takes it as it is. */
static void read_all(struct sim_world *w, bool as_it_is, bool crowded)
{
    struct jat_endpoint_row e;
    uint32_t cursor = 0;

    jat_buf_reset(&w->buf, SIZE_MAX);
    while (jat_next_endpoint(w->j, &cursor, w->now, &w->buf, &e) == JAT_OK) {
        char jid[SIM_ADDRESS];
        uint8_t i;

        sim_join(&w->buf, jat_parts_cut(e.is.jid, e.is.cut), jid);
        i = sim_place_of(w, jid);
        if (i == SIM_NOBODY)
            continue;
        if (as_it_is) {
            w->places[i].doubt = true;
            w->places[i].health =
                e.draining & (JAT_DRAIN_EJECTED | JAT_DRAIN_SILENT);
            w->places[i].until = w->now + e.ejected;
        } else {
            changed(w, i, &e, crowded);
        }
    }
}

void sim_health_reloaded(struct sim_world *w)
{
    read_all(w, true, false);
}

static void check_all(struct sim_world *w)
{
    unsigned n = count(w, JAT_DRAIN_EJECTED), half = sim_place_count(w) / 2;

    SIM_HOLDS(w, n <= half, "never more than half are ejected", "%u of %u", n,
              sim_place_count(w));
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        const struct sim_place *p = &w->places[i];

        SIM_HOLDS(w,
                  !p->online || (p->health & JAT_DRAIN_EJECTED) == 0 ||
                      p->until > w->now,
                  "an ejection ends in time", "%c: %lu ms late", 'a' + i,
                  w->now - p->until);
        if (!p->online || p->doubt || (p->health & JAT_DRAIN_EJECTED) != 0)
            continue;
        SIM_HOLDS(w, !is_suspect(w, i) || n + 1 > half,
                  "who lets requests time out is ejected",
                  "%c: %u timeouts of %u", 'a' + i, p->timeouts,
                  p->n_row_users);
    }
}

static void ping(struct sim_world *w, const struct jat_ping *ping)
{
    for (unsigned i = 0; i < SIM_ENDPOINTS; i++) {
        struct sim_place *p = &w->places[i];
        uint64_t at = p->back > w->now ? p->back : w->now + 5;

        if (!p->online || p->eid != ping->eid)
            continue;
        sim_tell(w, "%s is pinged", p->jid);
        SIM_HOLDS(w, p->pinged || p->doubt || is_on(w, SIM_PING_INTERVAL),
                  "only who is ejected or quiet is pinged", "%c", 'a' + i);
        p->pings++;
        p->pinged = false;
        sim_queue_put(&w->queue, p->alive ? at : w->now + 20, SIM_DUE_PONG, i,
                      p->session);
        return;
    }
    sim_wrong(w, "who is pinged is online", "%lu", ping->eid);
}

void sim_health_ponged(struct sim_world *w, unsigned place, unsigned session)
{
    struct sim_place *p = &w->places[place];

    if (!p->online || p->session != session)
        return;
    if (p->alive && p->back > w->now) {
        sim_queue_put(&w->queue, p->back, SIM_DUE_PONG, place, session);
        return;
    }
    sim_tell(w, "the ping of %s %s", p->jid,
             p->alive ? "is answered" : "comes back");
    jat_ponged(w->j, p->eid, p->alive, w->now);
    if (p->alive)
        hear(p);
    read_all(w, false, false);
}

void sim_health_tick(struct sim_world *w)
{
    struct jat_ping next;
    uint32_t cursor = 0;
    bool crowded = count(w, JAT_DRAIN_EJECTED) > sim_place_count(w) / 2;
    bool due = w->ticked == 0 || w->now >= w->ticked + SECOND;

    jat_tick(w->j, w->now);
    w->calls++;
    if (due)
        w->ticked = w->now;
    read_all(w, false, crowded);
    sim_choice_turn_lost(w);
    if (due)
        check_all(w);
    jat_buf_reset(&w->buf, SIZE_MAX);
    while (jat_next_ping(w->j, &cursor, w->now, &w->buf, &next) == JAT_OK)
        ping(w, &next);
}

bool sim_health_is_watched(const struct sim_world *w)
{
    return is_on(w, SIM_PING_INTERVAL) || is_on(w, SIM_SLOW_START) ||
           count(w, JAT_DRAIN_EJECTED | JAT_DRAIN_SILENT) > 0;
}
