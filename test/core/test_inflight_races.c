/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Several threads at one table. */
#include "inflight_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, RECORDS = 20000, SAME = 3000 };

struct race {
    struct jat_inflight *t;
    uint64_t refs[RECORDS];
    atomic_int won[RECORDS];
    atomic_int winners[THREADS], next_thread;
    atomic_int same_kept, same_wrong;
};

static void win(struct race *r, int thread, const struct jat_request *q)
{
    atomic_fetch_add(&r->won[q->share.user], 1);
    atomic_fetch_add(&r->winners[thread], 1);
}

static bool take_one(struct race *r, int thread, unsigned i, uint64_t *cursor,
                     uint32_t *shard, struct jat_buf *buf,
                     struct jat_request *out)
{
    uint64_t ref;
    size_t budget = SIZE_MAX;
    struct jat_request q = request(JAT_STR("u"), i % 2 + 1, text("%u", i));
    switch (thread) {
    case 0:
        return take_answer(r->t, &q, q.id, buf, out, &ref) == JAT_OK;
    case 1:
        return jat_inflight_take_ref(r->t, r->refs[RECORDS - 1 - i], 0, buf,
                                     out) == JAT_OK;
    case 2:
        return jat_inflight_take_due(r->t, UINT64_MAX, 0, shard, buf, out,
                                     &ref) == JAT_OK;
    default:
        return jat_inflight_take_endpoint(r->t, 1, 0, cursor, &budget, buf, out,
                                          &ref) == JAT_OK;
    }
}

static void *take_all(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_request out;
    int thread = atomic_fetch_add(&r->next_thread, 1);
    uint64_t cursor = 0;
    uint32_t shard = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        jat_buf_reset(&buf, SIZE_MAX);
        if (take_one(r, thread, i, &cursor, &shard, &buf, &out))
            win(r, thread, &out);
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void run(void *(*f)(void *), struct race *r)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, f, r);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void taking_a_record_has_exactly_one_winner(void **state)
{
    (void)state;
    static struct race r;
    int sum = 0;
    jat_mem_set(NULL, NULL);
    r.t = inflight();
    for (unsigned i = 0; i < RECORDS; i++) {
        struct jat_request q = request(JAT_STR("u"), i % 2 + 1, text("%u", i));
        q.share.user = i;
        r.refs[i] = put(r.t, &q, 0).put.ref;
    }
    run(take_all, &r);
    for (unsigned i = 0; i < RECORDS; i++)
        assert_int_equal(atomic_load(&r.won[i]), 1);
    for (int i = 0; i < THREADS; i++)
        sum += atomic_load(&r.winners[i]);
    assert_int_equal(sum, RECORDS);
    assert_int_equal(jat_inflight_count(r.t), 0);
    jat_inflight_free(r.t);
}

/* All threads put the same key again and again, and answer what they put. */
static void *put_the_same(void *arg)
{
    struct race *r = arg;
    struct jat_buf buf = JAT_BUF_INIT;
    int thread = atomic_fetch_add(&r->next_thread, 1);
    for (unsigned i = 0; i < SAME; i++) {
        struct jat_request out, q = request(JAT_STR("u"), 1, JAT_STR("1"));
        struct jat_put made;
        struct jat_str sent;
        uint64_t got;
        q.share.user = (uint64_t)thread << 32 | i;
        jat_buf_reset(&buf, SIZE_MAX);
        if (try_put(r->t, &q, 0, &made, &sent) != JAT_OK)
            atomic_fetch_add(&r->same_wrong, 1);
        if (!made.replaced && atomic_fetch_add(&r->same_kept, 1) != 0)
            atomic_fetch_add(&r->same_wrong, 1);
        if (!made.replaced)
            atomic_fetch_sub(&r->same_kept, 1);
        if (take_answer(r->t, &q, sent, &buf, &out, &got) != JAT_OK ||
            got != made.ref || out.share.user != q.share.user)
            atomic_fetch_add(&r->same_wrong, 1);
    }
    jat_buf_fini(&buf);
    return NULL;
}

static void no_id_is_in_flight_twice(void **state)
{
    (void)state;
    static struct race r;
    jat_mem_set(NULL, NULL);
    r.t = inflight();
    run(put_the_same, &r);
    assert_int_equal(atomic_load(&r.same_wrong), 0);
    assert_int_equal(jat_inflight_count(r.t), 0);
    jat_inflight_free(r.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(taking_a_record_has_exactly_one_winner),
        TEST(no_id_is_in_flight_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
