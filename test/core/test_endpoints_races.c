/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Several threads at one table. */
#include "endpoints_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, TURNS = 20000, STAY = 8, CHANGE = 8 };

struct race {
    struct jat_endpoints *t;
    jat_eid stay[STAY];
    _Atomic uint32_t outbound_taken;
};

static void *use(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    for (uint64_t i = 0; i < TURNS; i++) {
        struct jat_choice how = {.balance =
                                     (enum jat_balance)(i % JAT_BALANCE_COUNT),
                                 .random = jat_mix64(i),
                                 .key = jat_mix64(~i)};
        struct jat_endpoint e;
        jat_buf_reset(&buf, SIZE_MAX);
        unsigned held = jat_endpoints_hold(r->t);
        enum jat_err err = jat_endpoints_choose(r->t, &how, &buf, &e);
        if (err == JAT_OK)
            jat_endpoints_begin(r->t, e.eid);
        jat_endpoints_let_go(r->t, held);
        if (err != JAT_OK)
            return r;
        end(r->t, e.eid, i % 2 == 0 ? JAT_ENDED_RESULT : JAT_ENDED_FAILED, 7);
        if (begin_outbound(r->t, r->stay[0], 1000))
            atomic_fetch_add(&r->outbound_taken, 1);
        struct jat_str name = jid((unsigned)(i % (STAY + CHANGE)));
        if (jat_endpoints_find(r->t, name, BOTH, &buf, &e) == JAT_OK &&
            !jat_str_eq(jat_buf_str(&buf, e.jid), name))
            return r;
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void *come_and_go(void *arg)
{
    struct race *r = arg;
    for (unsigned i = 0; i < TURNS / 4; i++) {
        unsigned k = STAY + i % CHANGE;
        jat_eid eid;
        if (i / CHANGE % 2 == 0)
            jat_endpoints_put(r->t, jid(k), shown(k), i % 3 ? &ONLINE : &AWAY,
                              0, 10000, NULL, NULL);
        else
            jat_endpoints_remove(r->t, jid(k), &eid);
    }
    return NULL;
}

static void threads_choose_while_endpoints_come_and_go(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct race r = {.t = endpoints()};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < STAY; i++)
        r.stay[i] = put(r.t, i, &ONLINE);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, i == 0 ? come_and_go : use, &r);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    for (unsigned i = 0; i < STAY; i++) {
        struct jat_endpoint_row e = see(r.t, r.stay[i]);
        assert_int_equal(e.requests, 0);
        assert_true(e.answered > 0 && e.failed > 0);
    }
    assert_int_equal(see(r.t, r.stay[0]).outbound, 1000);
    assert_int_equal(r.outbound_taken, 1000);
    jat_endpoints_free(r.t);
}

struct removal {
    struct jat_endpoints *t;
    atomic_bool done;
};

static void *remove_first(void *arg)
{
    struct removal *r = arg;
    jat_eid eid;
    enum jat_err err = jat_endpoints_remove(r->t, jid(0), &eid);
    atomic_store(&r->done, true);
    return err == JAT_OK ? NULL : r;
}

static void no_endpoint_goes_while_the_table_is_held(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL);
    struct removal r = {.t = endpoints()};
    jat_eid eid = put(r.t, 0, &ONLINE);
    struct jat_buf buf = JAT_BUF_INIT;
    pthread_t thread;
    void *wrong;
    unsigned held = jat_endpoints_hold(r.t);
    pthread_create(&thread, NULL, remove_first, &r);
    for (int i = 0; i < 100; i++) {
        struct jat_endpoint e;
        nanosleep(&(struct timespec){0, 200000}, NULL);
        jat_buf_reset(&buf, SIZE_MAX);
        assert_int_equal(jat_endpoints_read(r.t, eid, &buf, &e), JAT_OK);
        assert_str(jat_buf_str(&buf, e.jid), jid(0));
        assert_false(atomic_load(&r.done));
    }
    jat_endpoints_let_go(r.t, held);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    jat_buf_fini(&buf);
    assert_false(is_alive(r.t, eid));
    jat_endpoints_free(r.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(threads_choose_while_endpoints_come_and_go),
        TEST(no_endpoint_goes_while_the_table_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
