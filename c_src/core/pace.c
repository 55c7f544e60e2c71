/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "pace.h"

#include <pthread.h>

#include "mem.h"
#include "quota.h"
#include "table.h"

#define SECOND 1000U   /* ms */
#define STANZA 1000U   /* parts of one stanza: a rate of one is one part a ms */
#define WAYS 8U        /* places of a set: a key may have any of them */
#define USER_SETS 16U  /* of a shard: places for 8192 bare JIDs in all, ... */
#define DOMAIN_SETS 2U /* ... and for 1024 domains */

struct bucket {
    uint64_t key;        /* 0: nobody's */
    uint64_t left, when; /* parts that were left then */
    uint64_t told;       /* not told again before */
};

struct set {
    struct bucket of[WAYS];
};

struct shard {
    _Alignas(JAT_SHARD_ALIGN) pthread_mutex_t mutex;
    struct set users[USER_SETS], domains[DOMAIN_SETS];
};

struct jat_pace {
    struct shard shards[JAT_SHARDS];
};

enum jat_err jat_pace_new(struct jat_pace **out)
{
    struct jat_pace *p = jat_calloc_aligned(JAT_SHARD_ALIGN, sizeof(*p));

    if (p == NULL)
        return JAT_ENOMEM;
    for (unsigned i = 0; i < JAT_SHARDS; i++)
        pthread_mutex_init(&p->shards[i].mutex, NULL);
    *out = p;
    return JAT_OK;
}

void jat_pace_free(struct jat_pace *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < JAT_SHARDS; i++)
        pthread_mutex_destroy(&p->shards[i].mutex);
    jat_free_aligned(p);
}

/* What is left at `now`. (Time of another thread may be a little behind.) */
static uint64_t left_at(const struct bucket *b, uint64_t rate, uint64_t now)
{
    uint64_t full = rate * STANZA, passed = now > b->when ? now - b->when : 0;

    if (b->key == 0 || passed >= SECOND || b->left + passed * rate >= full)
        return full;
    return b->left + passed * rate;
}

/* The bucket of the key, filled up to now; if it has none yet, in the place of
 * the one that has most left. */
static struct bucket *bucket_of(struct set *set, uint64_t key, uint64_t rate,
                                uint64_t now)
{
    struct bucket *fullest = &set->of[0];

    for (unsigned i = 0; i < WAYS; i++) {
        struct bucket *b = &set->of[i];

        b->left = left_at(b, rate, now);
        b->when = now > b->when ? now : b->when;
        if (b->key == key)
            return b;
        if (b->left > fullest->left)
            fullest = b;
    }
    *fullest = (struct bucket){key, rate * STANZA, now, 0};
    return fullest;
}

static bool take(struct bucket *b)
{
    bool enough = b->left >= STANZA;

    b->left -= enough ? STANZA : 0;
    return enough;
}

static bool take_domain(struct jat_pace *p, uint64_t key, uint64_t rate,
                        uint64_t now)
{
    struct shard *s = &p->shards[jat_shard_of(key)];
    bool enough;

    if (key == JAT_NOBODY)
        return true;
    pthread_mutex_lock(&s->mutex);
    enough = take(bucket_of(&s->domains[key % DOMAIN_SETS], key, rate, now));
    pthread_mutex_unlock(&s->mutex);
    return enough;
}

static bool take_user(struct jat_pace *p, uint64_t key, uint64_t rate,
                      uint64_t now)
{
    struct shard *s = &p->shards[jat_shard_of(key)];
    bool enough;

    pthread_mutex_lock(&s->mutex);
    enough = take(bucket_of(&s->users[key % USER_SETS], key, rate, now));
    pthread_mutex_unlock(&s->mutex);
    return enough;
}

/* Whether the user may be told now; then it may not for a second. */
static bool tell(struct jat_pace *p, uint64_t key, uint64_t rate, uint64_t now)
{
    struct shard *s = &p->shards[jat_shard_of(key)];
    struct bucket *b;
    bool may;

    pthread_mutex_lock(&s->mutex);
    b = bucket_of(&s->users[key % USER_SETS], key, rate, now);
    may = now >= b->told;
    if (may)
        b->told = now + SECOND;
    pthread_mutex_unlock(&s->mutex);
    return may;
}

enum jat_pace_verdict jat_pace_take(struct jat_pace *p,
                                    const struct jat_config *config,
                                    const struct jat_share *sender,
                                    bool may_tell, uint64_t now)
{
    uint64_t rate = (uint64_t)config->message_rate;
    uint64_t of_domain = (uint64_t)config->message_rate_per_domain;

    if (take_user(p, sender->user, rate, now) &&
        take_domain(p, sender->domain, of_domain, now))
        return JAT_PACE_OK;
    return may_tell && tell(p, sender->user, rate, now) ? JAT_PACE_TELL
                                                        : JAT_PACE_DROP;
}
