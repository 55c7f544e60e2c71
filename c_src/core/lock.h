/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A lock for tables that are read far more often than written: each thread
 * reads under a mutex that (nearly) nobody else touches, a writer takes them
 * all. No counter that all readers write. */
#ifndef JAT_LOCK_H
#define JAT_LOCK_H

#include <pthread.h>

#define JAT_LOCK_STRIPES 16

struct jat_rwlock_stripe {
    _Alignas(64) pthread_mutex_t mutex;
};

struct jat_rwlock {
    struct jat_rwlock_stripe stripe[JAT_LOCK_STRIPES];
};

void jat_rwlock_init(struct jat_rwlock *l);
void jat_rwlock_fini(struct jat_rwlock *l);
/* Returns the stripe that was taken, to be given to the unlock. */
unsigned jat_rwlock_read(struct jat_rwlock *l);
void jat_rwlock_read_done(struct jat_rwlock *l, unsigned stripe);
void jat_rwlock_write(struct jat_rwlock *l);
void jat_rwlock_write_done(struct jat_rwlock *l);

/* A small number for the calling thread (0, 1, 2 ...), the same in every call:
 * spreads threads over stripes. */
unsigned jat_thread_number(void);

#endif
