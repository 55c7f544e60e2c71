/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The shares of one proxy host, its limits wide open, for the tests of
 * shares.c. How much somebody has is seen by how much more can be taken. */
#ifndef SHARES_FIXTURE_H
#define SHARES_FIXTURE_H

#include "tables.h"

#include "quota.h"

#define WHOLE 10000U

static struct jat_endpoints *endpoints;
static struct jat_config *config;
static struct jat_shares *shares;
static enum jat_why full; /* of the last one that was refused */

static inline int begin(void **state)
{
    count_blocks(state);
    config = jat_config_new();
    assert_non_null(config);
    config->max_pending = config->max_pending_per_user = INT32_MAX;
    config->max_pending_per_domain = INT32_MAX;
    config->max_outbound_per_endpoint = INT32_MAX;
    config->max_retry_memory = WHOLE;
    assert_int_equal(jat_config_str(config, JAT_STR("local_domains"),
                                    JAT_STR("example.com")),
                     JAT_OK);
    assert_int_equal(jat_endpoints_new(&SEED, &endpoints), JAT_OK);
    assert_int_equal(jat_shares_new(&SEED, endpoints, &shares), JAT_OK);
    return 0;
}

static inline int end(void **state)
{
    jat_shares_free(shares);
    jat_endpoints_free(endpoints);
    jat_config_free(config);
    return no_block_left(state);
}

/* Small limits, each of them another one. */
static inline void limit_records(void)
{
    config->max_pending = 20;
    config->max_pending_per_domain = 7;
    config->max_pending_per_user = 5;
}

/* Who asks: keys are seeded hashes, so any number will do. */
static inline struct jat_share share(unsigned user, unsigned domain,
                                     uint32_t octets)
{
    return (struct jat_share){jat_mix64(user + 1),
                              domain == 0 ? JAT_NOBODY : jat_mix64(~domain),
                              octets};
}

enum { LOCAL = 0 };

static inline enum jat_err take(struct jat_share *s)
{
    return jat_shares_take(shares, config, s, &full);
}

static inline bool takes(unsigned user, unsigned domain, uint32_t octets)
{
    struct jat_share s = share(user, domain, octets);
    enum jat_err err = take(&s);
    assert_true(err == JAT_OK || err == JAT_EFULL);
    assert_int_equal(s.octets, octets);
    return err == JAT_OK;
}

static inline void give(unsigned user, unsigned domain, uint32_t octets)
{
    struct jat_share s = share(user, domain, octets);
    jat_shares_give(shares, &s);
}

/* How many more records of these there is room for: of one user, or of a user
 * for each; of one domain, or of a domain for each. */
static inline unsigned room_of(unsigned user, bool users, unsigned domain,
                               bool domains)
{
    unsigned n = 0;
    while (takes(user + (users ? n : 0), domain + (domains ? n : 0), 0))
        n++;
    for (unsigned i = 0; i < n; i++)
        give(user + (users ? i : 0), domain + (domains ? i : 0), 0);
    return n;
}

/* How many more octets of these are taken, one by one. */
static inline unsigned memory_of(unsigned user, bool users, unsigned domain,
                                 bool domains)
{
    unsigned n = 0;
    for (;; n++) {
        unsigned u = user + (users ? n : 0), d = domain + (domains ? n : 0);
        struct jat_share s = share(u, d, 1);
        assert_int_equal(take(&s), JAT_OK);
        if (s.octets == 0) {
            give(u, d, 0);
            break;
        }
    }
    for (unsigned i = 0; i < n; i++)
        give(user + (users ? i : 0), domain + (domains ? i : 0), 1);
    return n;
}

/* Octets that are taken of so many. */
static inline uint32_t keeps(unsigned user, unsigned domain, uint32_t octets)
{
    struct jat_share s = share(user, domain, octets);
    assert_int_equal(take(&s), JAT_OK);
    assert_true(s.octets == 0 || s.octets == octets);
    return s.octets;
}

/* As in the beginning. */
static inline void assert_all_is_free(void)
{
    struct jat_config was = *config;
    assert_int_equal(jat_shares_octets(shares), 0);
    limit_records();
    assert_int_equal(room_of(1, false, 1, false), 5);
    assert_int_equal(room_of(1, true, 1, false), 7);
    assert_int_equal(room_of(1, true, 1, true), 10);
    assert_int_equal(room_of(1, true, LOCAL, false), 20);
    *config = was;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

#endif
