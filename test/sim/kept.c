/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Sessions and kept keys: what stays with an endpoint, and until when. */
#include <string.h>

#include "sim.h"

#define PEOPLE (SIM_DOMAINS * SIM_USERS)

/* Places in w->kept: sessions of any requester, then those of each, then what
 * `sticky` chooses by, once for each way to hash it. */
enum {
    OF_ANYBODY = 0,
    OF_ONE = OF_ANYBODY + SIM_SESSIONS_MAX + 1,
    OF_KEYS = OF_ONE + PEOPLE * (SIM_SESSIONS_MAX + 1)
};
_Static_assert(OF_KEYS + 3 * SIM_STICKY_KEYS == SIM_KEPT, "room for all");

/* The option `sessions`: which attribute, which kind. */
static bool has_sessions(const struct sim_world *w)
{
    return *sim_option_word(&w->options, SIM_SESSIONS) != '\0';
}

static bool is_kind(const struct sim_world *w, const char *kind)
{
    const char *words = sim_option_word(&w->options, SIM_SESSIONS);
    const char *blank = strchr(words, ' ');

    return blank != NULL && strcmp(blank + 1, kind) == 0;
}

static bool is_sticky(const struct sim_world *w)
{
    return sim_option_is(&w->options, SIM_BALANCE, "sticky");
}

static int session_key(const struct sim_world *w, const struct sim_request *q,
                       unsigned name)
{
    const struct sim_person *p = &w->people[q->person];

    if (is_kind(w, "any_requester"))
        return (int)(OF_ANYBODY + name);
    return (int)(OF_ONE +
                 (p->domain * SIM_USERS + p->user) * (SIM_SESSIONS_MAX + 1) +
                 name);
}

int sim_sticky_key(const struct sim_world *w, const struct sim_request *q)
{
    unsigned hashed = 0;

    if (!is_sticky(w))
        return -1;
    if (sim_option_is(&w->options, SIM_ENCODING, "sealed"))
        hashed = 1U + w->options.pick[SIM_KEYS];
    return (int)(OF_KEYS + hashed * SIM_STICKY_KEYS + sim_choice_key(w, q));
}

static struct sim_keep *alive(struct sim_world *w, int key)
{
    return key >= 0 && w->kept[key].until > w->now ? &w->kept[key] : NULL;
}

/* A use that is worth noting. */
static void use(const struct sim_world *w, struct sim_keep *k, int64_t time)
{
    uint64_t until = w->now + (uint64_t)time;

    if (!k->asked && until > k->until + (until - w->now) / 64)
        k->until = until;
}

/* Another endpoint may have it: its own has gone or has failed the request. */
static bool is_lost(struct sim_world *w, const struct sim_keep *k,
                    const struct sim_request *q, unsigned place)
{
    unsigned tried = q->tried & ~(1U << place);

    return (tried >> k->place & 1) != 0 ||
           (k->place != place && (!w->places[k->place].online ||
                                  sim_unresumed(w, &w->places[k->place])));
}

/* The key belongs to `place` from now on; stays: not if another one has it that
 * is there and has not failed the request. */
static void keep(struct sim_world *w, int key, const struct sim_request *q,
                 unsigned place, bool stays, int64_t time)
{
    struct sim_keep *k = alive(w, key);
    uint64_t until = w->now + (uint64_t)time;

    if (k == NULL) {
        w->kept[key] =
            (struct sim_keep){.place = (uint8_t)place, .until = until};
        return;
    }
    if (!stays || is_lost(w, k, q, place))
        k->place = (uint8_t)place;
    k->asked = false;
    if (k->place == place)
        k->told = false;
    if (k->until < until)
        k->until = until;
}

static int64_t number(const struct sim_world *w, enum sim_option which)
{
    return sim_option_number(&w->options, which);
}

enum jat_why sim_kept_ask(struct sim_world *w, struct sim_request *q)
{
    bool by_room = is_sticky(w) && q->step->room > 0 &&
                   sim_option_is(&w->options, SIM_STICKY_BY, "room");
    bool own = is_kind(w, "own");
    struct sim_keep *k;
    int key;

    q->session = -1;
    if (!has_sessions(w) || q->step->session == 0 || !q->any ||
        (is_kind(w, "any_requester") && by_room))
        return JAT_WHY_COUNT;
    key = session_key(w, q, q->step->session);
    q->by_sessionid = strncmp(sim_option_word(&w->options, SIM_SESSIONS),
                              "sessionid ", 10) == 0;
    k = alive(w, key);
    if (k != NULL)
        use(w, k, number(w, SIM_SESSION_TIMEOUT));
    if (k != NULL && !w->places[k->place].online) {
        if (!k->told) {
            q->session = key;
            q->bound = k->place;
            q->any = false;
            return q->by_sessionid ? JAT_WHY_SESSION_GONE
                                   : JAT_WHY_ENDPOINT_GONE;
        }
        k = NULL; /* as if there were none, until the endpoint is back */
    }
    /* one that is not resumed in time loses the session to whoever is chosen */
    if (k != NULL && !sim_unresumed(w, &w->places[k->place])) {
        k->told = false;
        q->bound = k->place;
        q->any = false;
    }
    if (k != NULL || own)
        q->session = key;
    return JAT_WHY_COUNT;
}

/* Of one that has waited: where its session is. */
static struct sim_keep *session_of(struct sim_world *w,
                                   const struct sim_request *q)
{
    struct sim_keep *k = alive(w, q->session);

    return k != NULL && !k->told ? k : NULL;
}

bool sim_kept_is_gone(struct sim_world *w, const struct sim_request *q)
{
    const struct sim_keep *k = q->session < 0 ? NULL : session_of(w, q);

    return k != NULL && !w->places[k->place].online;
}

enum jat_why sim_kept_gone(struct sim_world *w, const struct sim_request *q)
{
    struct sim_keep *k = alive(w, q->session);

    if (k != NULL && (q->any || k->place == q->bound))
        k->until = 0;
    return q->by_sessionid ? JAT_WHY_SESSION_GONE : JAT_WHY_ENDPOINT_GONE;
}

void sim_kept_released(struct sim_world *w, const struct sim_request *q,
                       unsigned place)
{
    keep(w, q->session, q, place, false, number(w, SIM_SESSION_TIMEOUT));
}

void sim_kept_begun(struct sim_world *w, const struct sim_request *q,
                    unsigned place)
{
    if (q->session >= 0 && q->any)
        keep(w, q->session, q, place, true, number(w, SIM_SESSION_TIMEOUT));
}

uint8_t sim_kept_place(struct sim_world *w, const struct sim_request *q)
{
    int64_t ttl = number(w, SIM_STICKY_TTL);
    struct sim_keep *k = q->released ? session_of(w, q) : NULL;

    if (k != NULL)
        return w->places[k->place].online &&
                       !sim_unresumed(w, &w->places[k->place])
                   ? k->place
                   : SIM_NOBODY;
    k = alive(w, q->sticky);
    if (k == NULL || ttl == 0 || !is_sticky(w) ||
        (q->tried >> k->place & 1) != 0 || !w->places[k->place].online ||
        sim_unresumed(w, &w->places[k->place]))
        return SIM_NOBODY;
    return k->place;
}

void sim_kept_used(struct sim_world *w, const struct sim_request *q)
{
    int64_t ttl = number(w, SIM_STICKY_TTL);
    struct sim_keep *k = alive(w, q->sticky);

    /* only the requester uses it, not a retry */
    if (ttl > 0 && is_sticky(w) && k != NULL && q->n_tries == 0)
        use(w, k, ttl);
}

void sim_kept_answered(struct sim_world *w, const struct sim_request *q,
                       unsigned place, unsigned session)
{
    int64_t ttl = number(w, SIM_STICKY_TTL);

    if (has_sessions(w) && session > 0) {
        int key = session_key(w, q, session);

        keep(w, key, q, place, is_kind(w, "any_requester") || key == q->session,
             number(w, SIM_SESSION_TIMEOUT));
    }
    if (ttl > 0 && is_sticky(w) && q->sticky >= 0)
        keep(w, q->sticky, q, place, true, ttl);
}

/* The endpoint that the request has gone to has its key until it is due. */
void sim_kept_sent(struct sim_world *w, const struct sim_request *q,
                   unsigned place)
{
    int64_t ttl = number(w, SIM_STICKY_TTL);
    uint64_t until = w->now + (uint64_t)ttl;
    struct sim_keep *k = alive(w, q->sticky);

    if (ttl == 0 || !is_sticky(w) || q->sticky < 0 || !q->any ||
        (k != NULL && (k->place == place || !is_lost(w, k, q, place))))
        return;
    w->kept[q->sticky] =
        (struct sim_keep){.place = (uint8_t)place,
                          .until = q->deadline < until ? q->deadline : until,
                          .asked = true};
}

enum jat_why sim_kept_lost(struct sim_world *w, const struct sim_request *q,
                           unsigned place, enum jat_why why)
{
    if (q->session < 0 || (why != JAT_WHY_GONE && why != JAT_WHY_BOUNCED))
        return why;
    if (w->kept[q->session].place == place)
        w->kept[q->session].told = true;
    return q->by_sessionid ? JAT_WHY_SESSION_GONE : why;
}
