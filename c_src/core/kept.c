/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "kept.h"

#include <stdatomic.h>

#include "mem.h"
#include "quota.h"

/* Parts of the whole that one of them may have. */
#define USERS 100U
#define DOMAINS 10U
#define REMOTES 2U

struct jat_kept {
    _Alignas(64) _Atomic uint64_t all, remote;
    _Alignas(64) struct jat_quota *users;
    struct jat_quota *domains;
};

enum jat_err jat_kept_new(const struct jat_seed *seed, struct jat_kept **out)
{
    struct jat_kept *k = jat_calloc_aligned(64, sizeof(*k));
    enum jat_err err;

    if (k == NULL)
        return JAT_ENOMEM;
    if ((err = jat_quota_new(seed, &k->users)) != JAT_OK ||
        (err = jat_quota_new(seed, &k->domains)) != JAT_OK) {
        jat_kept_free(k);
        return err;
    }
    atomic_init(&k->all, 0);
    atomic_init(&k->remote, 0);
    *out = k;
    return JAT_OK;
}

void jat_kept_free(struct jat_kept *k)
{
    if (k == NULL)
        return;
    jat_quota_free(k->users);
    jat_quota_free(k->domains);
    jat_free_aligned(k);
}

static bool add(_Atomic uint64_t *to, uint32_t n, uint32_t max)
{
    uint64_t old = atomic_load_explicit(to, memory_order_relaxed);

    while (old + n <= max)
        if (atomic_compare_exchange_weak_explicit(
                to, &old, old + n, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

static void sub(_Atomic uint64_t *from, uint32_t n)
{
    atomic_fetch_sub_explicit(from, n, memory_order_relaxed);
}

enum jat_err jat_kept_take(struct jat_kept *k, uint64_t user, uint64_t domain,
                           uint32_t n, uint32_t whole)
{
    bool remote = domain != JAT_NOBODY;
    enum jat_err err = JAT_EFULL;

    if (!add(&k->all, n, whole))
        return JAT_EFULL;
    if (remote && !add(&k->remote, n, whole / REMOTES))
        goto no_remote;
    err = jat_quota_take_all(k->users, user, whole / USERS, n);
    if (err != JAT_OK)
        goto no_user;
    err = jat_quota_take_all(k->domains, domain, whole / DOMAINS, n);
    if (err != JAT_OK)
        goto no_domain;
    return JAT_OK;

no_domain:
    jat_quota_give(k->users, user, n);
no_user:
    if (remote)
        sub(&k->remote, n);
no_remote:
    sub(&k->all, n);
    return err;
}

void jat_kept_give(struct jat_kept *k, uint64_t user, uint64_t domain,
                   uint32_t n)
{
    jat_quota_give(k->domains, domain, n);
    jat_quota_give(k->users, user, n);
    if (domain != JAT_NOBODY)
        sub(&k->remote, n);
    sub(&k->all, n);
}

uint64_t jat_kept_count(struct jat_kept *k)
{
    return atomic_load_explicit(&k->all, memory_order_relaxed);
}
