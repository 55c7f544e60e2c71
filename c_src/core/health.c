/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "health.h"

#include <stddef.h>
#include <string.h>

#define FINE 20U /* values are 2^-20 ms */
#define MS_MAX (UINT64_C(1) << 24)
#define RECORDS_MAX (UINT64_C(1) << 20)
#define LIVES 10U /* a value that was halved so often says nothing */
#define ERRORS 5U /* in a row, without a result */

void jat_health_init(struct jat_health *h)
{
    pthread_mutex_init(&h->mutex, NULL);
}

void jat_health_fini(struct jat_health *h)
{
    pthread_mutex_destroy(&h->mutex);
}

void jat_health_begin(struct jat_health *h, uint64_t now)
{
    size_t from = offsetof(struct jat_health, lanes);

    memset((char *)h + from, 0, sizeof(*h) - from);
    h->heard = now;
}

static uint64_t since(uint64_t then, uint64_t now)
{
    return now > then ? now - then : 0;
}

/* The estimate */

/* Halved for each half-life, in a straight line between. */
static uint64_t decayed(uint64_t value, uint64_t ms)
{
    uint64_t lives = ms / JAT_HALF_LIFE, rest = ms % JAT_HALF_LIFE;

    if (lives > LIVES)
        return 0;
    value >>= lives;
    return value - value / 2 * rest / JAT_HALF_LIFE;
}

static bool knows(const struct jat_lane *l, uint64_t now)
{
    return l->at != 0 && since(l->at, now) / JAT_HALF_LIFE < LIVES;
}

/* What the sample counts as, at least. */
static uint64_t floor_of(struct jat_lane *l, enum jat_ended ended,
                         uint64_t value)
{
    uint64_t slow = (uint64_t)JAT_SLOW << FINE;

    if (ended == JAT_ENDED_RESULT) {
        l->errors = 0;
        return 0;
    }
    if (ended == JAT_ENDED_ERROR && l->errors < ERRORS) {
        l->errors++;
        return value;
    }
    return value > slow ? value : slow;
}

void jat_health_took(struct jat_health *h, enum jat_ended ended, uint64_t who,
                     uint64_t ms, uint64_t now)
{
    struct jat_lane *l = &h->lanes[who % JAT_LANES];
    uint64_t sample = (ms < MS_MAX ? ms : MS_MAX) << FINE, value, least, dt;

    if (ended == JAT_ENDED_FAILED || ended == JAT_ENDED_OTHERWISE)
        return;
    pthread_mutex_lock(&h->mutex);
    dt = since(l->at, now);
    value = l->at == 0 ? 0 : decayed(l->value, dt);
    least = floor_of(l, ended, value);
    if (sample < least)
        sample = least;
    /* one below: what is above it decays */
    l->value = l->at != 0 && sample < l->value
                   ? sample + decayed(l->value - sample, dt)
                   : sample;
    if (now > l->at)
        l->at = now;
    pthread_mutex_unlock(&h->mutex);
}

uint32_t jat_health_estimate(struct jat_health *h, uint64_t now)
{
    uint64_t sum = 0;
    unsigned n = 0;

    pthread_mutex_lock(&h->mutex);
    for (unsigned i = 0; i < JAT_LANES; i++) {
        const struct jat_lane *l = &h->lanes[i];

        if (knows(l, now)) {
            sum += decayed(l->value, since(l->at, now));
            n++;
        }
    }
    pthread_mutex_unlock(&h->mutex);
    return n == 0 ? 0 : 1 + (uint32_t)((sum / n) >> FINE);
}

uint64_t jat_health_cost(struct jat_health *h, uint32_t records, uint64_t now)
{
    uint64_t ms = jat_health_estimate(h, now), n = records;

    if (ms == 0 && n > 0)
        ms = JAT_SLOW;
    return (ms + 1) * ((n < RECORDS_MAX ? n : RECORDS_MAX) + 1);
}

/* Ejection */

static void end_row(struct jat_health *h)
{
    h->timeouts = 0;
    h->n_users = 0;
}

static void note_user(struct jat_health *h, uint64_t user)
{
    for (unsigned i = 0; i < h->n_users; i++)
        if (h->users[i] == user)
            return;
    if (h->n_users < JAT_SUSPECT_USERS)
        h->users[h->n_users++] = user;
}

static bool is_long(const struct jat_health *h)
{
    return h->timeouts >= JAT_SUSPECT_TIMEOUTS &&
           h->n_users >= JAT_SUSPECT_USERS;
}

bool jat_health_timed_out(struct jat_health *h, uint64_t user,
                          uint64_t answered)
{
    bool suspect;

    pthread_mutex_lock(&h->mutex);
    if (h->answered != answered)
        end_row(h);
    h->answered = answered;
    if (h->timeouts < UINT32_MAX)
        h->timeouts++;
    note_user(h, user);
    suspect = is_long(h);
    pthread_mutex_unlock(&h->mutex);
    return suspect;
}

static bool in_row(const struct jat_health *h, const struct jat_vitals *v)
{
    return is_long(h) && h->answered == v->answered;
}

bool jat_health_is_suspect(const struct jat_health *h,
                           const struct jat_vitals *v, uint64_t now)
{
    return h->until == 0 && in_row(h, v) &&
           (v->last_answer == 0 || since(v->last_answer, now) >= JAT_QUIET);
}

void jat_health_eject(struct jat_health *h, uint64_t now)
{
    uint64_t steps = h->ejections + 1U;

    if (steps > JAT_EJECTIONS_MAX)
        steps = JAT_EJECTIONS_MAX;
    h->until = now + steps * JAT_EJECTION;
    h->due = true;
    h->after_ejection = true;
    h->open = false;
    end_row(h);
}

void jat_health_eject_until(struct jat_health *h, uint64_t until)
{
    if (until > h->until)
        h->until = until;
    end_row(h);
}

void jat_health_release(struct jat_health *h)
{
    h->until = 0;
    end_row(h);
}

/* Pings */

static void hear(struct jat_health *h, uint64_t at)
{
    if (at <= h->heard)
        return;
    h->heard = at;
    h->missed = 0;
    h->ejections = 0;
    h->open = false;
    h->after_ejection = h->after_ejection && h->due;
}

static void miss(struct jat_health *h)
{
    h->open = false;
    if (h->missed < UINT32_MAX)
        h->missed++;
    if (h->after_ejection && h->ejections < JAT_EJECTIONS_MAX)
        h->ejections++;
    h->after_ejection = false;
}

/* Whether it has been quiet for so long; after the first ping that it has
 * missed, the second one follows at once. */
static bool is_idle(const struct jat_health *h, uint64_t interval, uint64_t now)
{
    if (interval == 0 || h->open)
        return false;
    if (h->missed > 0 && h->missed < JAT_PINGS_MISSED)
        return true;
    return since(h->heard, now) >= interval &&
           since(h->pinged, now) >= interval;
}

void jat_health_tick(struct jat_health *h, const struct jat_vitals *v,
                     uint64_t interval, uint64_t now)
{
    hear(h, v->last_answer);
    if (h->open && since(h->pinged, now) >= JAT_PING_WAIT)
        miss(h);
    if (h->until != 0 && now >= h->until)
        jat_health_release(h);
    if (is_idle(h, interval, now))
        h->due = true;
}

bool jat_health_is_watched(const struct jat_health *h,
                           const struct jat_vitals *v)
{
    return h->until != 0 || h->due || h->open || in_row(h, v);
}

void jat_health_ping(struct jat_health *h, uint64_t now)
{
    h->due = false;
    h->open = true;
    h->pinged = now;
}

void jat_health_ponged(struct jat_health *h, bool answered, uint64_t now)
{
    if (answered)
        hear(h, now > h->heard ? now : h->heard + 1);
    else if (h->open)
        miss(h);
}
