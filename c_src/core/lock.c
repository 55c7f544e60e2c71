/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "lock.h"

#include <stdatomic.h>

void jat_rwlock_init(struct jat_rwlock *l)
{
    for (unsigned i = 0; i < JAT_LOCK_STRIPES; i++)
        pthread_mutex_init(&l->stripe[i].mutex, NULL);
}

void jat_rwlock_fini(struct jat_rwlock *l)
{
    for (unsigned i = 0; i < JAT_LOCK_STRIPES; i++)
        pthread_mutex_destroy(&l->stripe[i].mutex);
}

unsigned jat_rwlock_read(struct jat_rwlock *l)
{
    unsigned stripe = jat_thread_number() % JAT_LOCK_STRIPES;

    pthread_mutex_lock(&l->stripe[stripe].mutex);
    return stripe;
}

void jat_rwlock_read_done(struct jat_rwlock *l, unsigned stripe)
{
    pthread_mutex_unlock(&l->stripe[stripe].mutex);
}

/* Always in the same order: two writers cannot wait for each other. */
void jat_rwlock_write(struct jat_rwlock *l)
{
    for (unsigned i = 0; i < JAT_LOCK_STRIPES; i++)
        pthread_mutex_lock(&l->stripe[i].mutex);
}

void jat_rwlock_write_done(struct jat_rwlock *l)
{
    for (unsigned i = JAT_LOCK_STRIPES; i-- > 0;)
        pthread_mutex_unlock(&l->stripe[i].mutex);
}

unsigned jat_thread_number(void)
{
    static atomic_uint next = 1;
    static _Thread_local unsigned number_plus_one;

    if (number_plus_one == 0)
        number_plus_one =
            atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    return number_plus_one - 1;
}
