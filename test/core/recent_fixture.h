/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What was seen lately, for the tests of recent.c. */
#ifndef RECENT_FIXTURE_H
#define RECENT_FIXTURE_H

#include "tables.h"

#include "recent.h"

static inline struct jat_recent *recent(void)
{
    struct jat_recent *t;
    assert_int_equal(jat_recent_new(&SEED, &t), JAT_OK);
    return t;
}

/* The key of a name, whose octets must live as long. */
static inline struct jat_recent_key by(const struct jat_recent *t,
                                       struct jat_str name)
{
    return jat_recent_text(t, name);
}

static inline bool holds(struct jat_recent *t, struct jat_str key, uint64_t now,
                         struct jat_str value)
{
    struct jat_buf buf = JAT_BUF_INIT;
    enum jat_err err = jat_recent_search(t, by(t, key), now, &buf);
    bool same = err == JAT_OK && jat_str_eq(jat_str(buf.p, buf.n), value);
    assert_true(err == JAT_OK || (err == JAT_ENOTFOUND && buf.n == 0));
    jat_buf_fini(&buf);
    return same;
}

static inline enum jat_err put_value(struct jat_recent *t, struct jat_str key,
                                     struct jat_str value, uint64_t until,
                                     size_t max)
{
    return jat_recent_put(t, by(t, key), value,
                          &(struct jat_stay){.until = until}, max);
}

static inline bool put(struct jat_recent *t, struct jat_str key, uint64_t until,
                       size_t max)
{
    return put_value(t, key, JAT_STR("v"), until, max) == JAT_OK;
}

static inline bool touches(struct jat_recent *t, struct jat_str key,
                           uint64_t now, uint64_t until)
{
    return jat_recent_touch(t, by(t, key), JAT_NO_GROUP, now, until);
}

enum { LONG = 1 << 30 };

static inline enum jat_err put_in(struct jat_recent *t, uint64_t group,
                                  struct jat_str key, size_t max)
{
    struct jat_stay stay = {.group = group, .until = LONG};
    return jat_recent_put(t, by(t, key), JAT_STR("v"), &stay, max);
}

/* How many of these are there; %u is one of 0 .. n - 1. */
static inline unsigned how_many(struct jat_recent *t, const char *name,
                                unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += holds(t, text("%s %u", name, i), 0, JAT_STR("v"));
    return found;
}

/* As keys are: random. */
static inline uint64_t group_of(unsigned n)
{
    return jat_mix64(n + 1);
}

#endif
