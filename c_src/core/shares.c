/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "shares.h"

#include <stdatomic.h>

#include "mem.h"
#include "quota.h"

/* Parts of max_retry_memory that one of them may have. */
#define USERS 100U
#define DOMAINS 10U

struct jat_shares {
    /* what every request counts against: one line */
    _Alignas(64) _Atomic uint32_t records;
    _Atomic uint32_t remote_records;
    _Atomic uint32_t octets, remote_octets;
    /* bare JIDs and domains; their keys differ */
    _Alignas(64) struct jat_quota *quota;
    struct jat_endpoints *endpoints;
};

enum jat_err jat_shares_new(const struct jat_seed *seed,
                            struct jat_endpoints *endpoints,
                            struct jat_shares **out)
{
    struct jat_shares *all = jat_calloc_aligned(64, sizeof(*all));
    enum jat_err err;

    if (all == NULL)
        return JAT_ENOMEM;
    if ((err = jat_quota_new(seed, &all->quota)) != JAT_OK) {
        jat_free_aligned(all);
        return err;
    }
    all->endpoints = endpoints;
    *out = all;
    return JAT_OK;
}

void jat_shares_free(struct jat_shares *all)
{
    if (all == NULL)
        return;
    jat_quota_free(all->quota);
    jat_free_aligned(all);
}

/* Keys */

uint64_t jat_shares_user(const struct jat_shares *all, struct jat_str bare)
{
    return jat_quota_key(all->quota, bare);
}

/* A domain may be somebody's bare JID, too, so its key is another one. */
uint64_t jat_shares_domain(const struct jat_shares *all,
                           const struct jat_config *config,
                           struct jat_str domain)
{
    return jat_list_has(&config->local_domains, domain)
               ? JAT_NOBODY
               : jat_mix64(jat_quota_key(all->quota, domain));
}

/* What all have together */

/* Adds n to what may be at most max. */
static bool add(_Atomic uint32_t *to, uint32_t n, uint32_t max)
{
    uint32_t old = atomic_load_explicit(to, memory_order_relaxed);

    while (n <= max && old <= max - n)
        if (atomic_compare_exchange_weak_explicit(
                to, &old, old + n, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

static void sub(_Atomic uint32_t *from, uint32_t n)
{
    if (n > 0)
        atomic_fetch_sub_explicit(from, n, memory_order_relaxed);
}

/* Half, but one at least: however many remote domains there are, the server's
 * own users keep the other half. */
static uint32_t half(uint32_t max)
{
    return max < 2 ? 1 : max / 2;
}

/* *full: the limit that is reached. */
static bool take_records(struct jat_shares *all,
                         const struct jat_config *config, bool remote,
                         enum jat_why *full)
{
    uint32_t max = (uint32_t)config->max_pending;

    *full = JAT_WHY_MAX_PENDING;
    if (!add(&all->records, 1, max))
        return false;
    *full = JAT_WHY_MAX_PENDING_REMOTE;
    if (!remote || add(&all->remote_records, 1, half(max)))
        return true;
    sub(&all->records, 1);
    return false;
}

static void give_records(struct jat_shares *all, bool remote)
{
    sub(&all->remote_records, remote ? 1 : 0);
    sub(&all->records, 1);
}

/* How many of n octets there is room for: all or none. */
static uint32_t take_octets(struct jat_shares *all, bool remote, uint32_t n,
                            uint32_t whole)
{
    if (n == 0 || !add(&all->octets, n, whole))
        return 0;
    if (!remote || add(&all->remote_octets, n, whole / 2))
        return n;
    sub(&all->octets, n);
    return 0;
}

static void give_octets(struct jat_shares *all, bool remote, uint32_t n)
{
    sub(&all->remote_octets, remote ? n : 0);
    sub(&all->octets, n);
}

/* The shares of a request */

static bool is_remote(const struct jat_share *s)
{
    return s->domain != JAT_NOBODY;
}

/* Takes the shares of the requester, then those of its domain. *octets: what
 * was taken of the common memory; afterwards the same, or 0 if one of the two
 * has no room for it. */
static enum jat_err take_own(struct jat_shares *all,
                             const struct jat_config *config,
                             const struct jat_share *s, uint32_t *octets,
                             enum jat_why *full)
{
    uint32_t whole = (uint32_t)config->max_retry_memory, of_user;
    enum jat_err err;

    *full = JAT_WHY_MAX_PENDING_PER_USER;
    err = jat_quota_take(all->quota, s->user,
                         (uint32_t)config->max_pending_per_user, whole / USERS,
                         octets);
    if (err != JAT_OK)
        return err;
    of_user = *octets;
    *full = JAT_WHY_MAX_PENDING_PER_DOMAIN;
    err = jat_quota_take(all->quota, s->domain,
                         (uint32_t)config->max_pending_per_domain,
                         whole / DOMAINS, octets);
    if (err != JAT_OK)
        jat_quota_give(all->quota, s->user, 1, of_user);
    else if (*octets < of_user)
        jat_quota_give(all->quota, s->user, 0, of_user);
    return err;
}

enum jat_err jat_shares_take(struct jat_shares *all,
                             const struct jat_config *config,
                             struct jat_share *s, enum jat_why *full)
{
    bool remote = is_remote(s);
    uint32_t taken, octets;
    enum jat_err err;

    if (!take_records(all, config, remote, full))
        return JAT_EFULL;
    taken = octets =
        take_octets(all, remote, s->octets, (uint32_t)config->max_retry_memory);
    err = take_own(all, config, s, &octets, full);
    if (err != JAT_OK) {
        give_octets(all, remote, taken);
        give_records(all, remote);
        return err;
    }
    give_octets(all, remote, taken - octets);
    s->octets = octets;
    return JAT_OK;
}

void jat_shares_give(struct jat_shares *all, const struct jat_share *s)
{
    bool remote = is_remote(s);

    jat_quota_give(all->quota, s->domain, 1, s->octets);
    jat_quota_give(all->quota, s->user, 1, s->octets);
    give_octets(all, remote, s->octets);
    give_records(all, remote);
}

void jat_shares_give_octets(struct jat_shares *all, const struct jat_share *s)
{
    jat_quota_give(all->quota, s->domain, 0, s->octets);
    jat_quota_give(all->quota, s->user, 0, s->octets);
    give_octets(all, is_remote(s), s->octets);
}

enum jat_err jat_shares_take_out(struct jat_shares *all,
                                 const struct jat_config *config, jat_eid eid,
                                 enum jat_why *full)
{
    if (!take_records(all, config, false, full))
        return JAT_EFULL;
    *full = JAT_WHY_MAX_OUTBOUND;
    if (jat_endpoints_begin_outbound(
            all->endpoints, eid, (uint32_t)config->max_outbound_per_endpoint))
        return JAT_OK;
    give_records(all, false);
    return JAT_EFULL;
}

void jat_shares_end(struct jat_shares *all, const struct jat_request *r,
                    enum jat_end end, uint64_t now)
{
    /* what the server refuses says nothing of the endpoint */
    static const enum jat_ended told[JAT_END_COUNT] = {
        [JAT_END_RESULT] = JAT_ENDED_RESULT,
        [JAT_END_ERROR] = JAT_ENDED_ERROR,
        [JAT_END_TIMED_OUT] = JAT_ENDED_TIMED_OUT,
        [JAT_END_BOUNCED] = JAT_ENDED_LOST,
        [JAT_END_REFUSED] = JAT_ENDED_OTHERWISE,
        [JAT_END_GONE] = JAT_ENDED_LOST,
        [JAT_END_MOVED] = JAT_ENDED_LOST,
        [JAT_END_ABORTED] = JAT_ENDED_FAILED,
        [JAT_END_STOPPED] = JAT_ENDED_FAILED,
    };

    if (r->direction == JAT_OUT) {
        jat_endpoints_end_outbound(all->endpoints, r->eid);
        give_records(all, false);
        return;
    }
    jat_endpoints_end(all->endpoints,
                      &(struct jat_ending){.eid = r->eid,
                                           .ended = told[end],
                                           .chosen = r->any_endpoint,
                                           .first = r->n_tried == 0,
                                           .released = r->released,
                                           .user = r->share.user,
                                           .domain = r->share.domain,
                                           .born = r->born,
                                           .now = now});
    if (end != JAT_END_MOVED)
        jat_shares_give(all, &r->share);
}

uint64_t jat_shares_octets(struct jat_shares *all)
{
    return atomic_load_explicit(&all->octets, memory_order_relaxed);
}
