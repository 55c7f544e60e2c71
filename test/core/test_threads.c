/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Eight threads do everything at once with one proxy host; made for the thread
 * sanitizer. The same seeds give the same attempts, though not the same order.
 *
 * TURNS in the environment: how much each thread does. */
#include "turns.h"

#define TURNS 10000

/* The turns of each thread are one in `part` of all. */
static void begin_threads(unsigned part)
{
    const char *all = getenv("TURNS");
    jat_mem_set(NULL, NULL); /* the counting allocator counts for one thread */
    begin_workers((all == NULL ? TURNS : (unsigned)atoi(all)) / part);
}

static void run_workers(void *(*f)(void *))
{
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, f, &workers[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        if (workers[i].wrong != NULL)
            fail_msg("%s", workers[i].wrong);
}

static void whatever_happens_at_once_a_request_ends_once(void **state)
{
    (void)state;
    begin_threads(1);
    run_workers(work);
    check();
    assert_true(count("answers") > 0 && count("outbound_answers") > 0 &&
                count("retries") > 0 && count("timeouts") > 0 &&
                count("messages") > 0 && count("outbound_messages") > 0 &&
                count("presences") > 0 && count("limited") > 0);
}

/* All eight want to end the same requests at the same time. */

enum { EACH = 32 };

static pthread_barrier_t barrier;
static struct letter asked[EACH];

static void ask_all(struct worker *w)
{
    char name[NAME];
    for (unsigned i = 0; i < TARGETS * RESOURCES; i++)
        put_one(w);
    for (unsigned i = 0; i < EACH;) {
        user_name(w, name);
        i += begin_request(w, name, P, &asked[i]);
    }
}

static void end_one(struct worker *w, const struct letter *l)
{
    struct jat_endpoint_state state = {JAT_SHOW_NONE, 0, false, false};
    uint64_t time = time_now(), cursor = 0;
    struct jat_outcomes *o = &w->outcomes;
    jat_eid eid;
    bool added;
    switch (w->number) {
    case 0:
    case 1:
        answer_letter(w, l);
        break;
    case 2:
    case 3:
        jat_bounce(j, l->record, JAT_HOW_UNDELIVERED, time, o);
        break;
    case 4:
        jat_abort(j, l->record, JAT_WHY_INTERNAL, time, o);
        break;
    case 5:
        jat_expire(j, time + 60000, 1, o);
        break;
    case 6:
        jat_close_all(j, time, 1, o);
        break;
    default:
        if (jat_remove_endpoint(j, str(l->to), &eid) == JAT_OK)
            jat_sweep(j, eid, &cursor, time, SIZE_MAX, o);
        if (jat_put_endpoint(j, str(l->to), &state, time, &added) != JAT_OK)
            w->wrong = "no endpoint";
    }
}

static void *compete(void *arg)
{
    struct worker *w = arg;
    for (unsigned t = 0; t < w->turns; t++) {
        if (w->number == 0)
            ask_all(w);
        pthread_barrier_wait(&barrier);
        for (unsigned i = 0; i < EACH; i++) {
            end_one(w, &asked[(i + w->number % 2 * EACH / 2) % EACH]);
            see_outcomes(w);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void of_eight_who_end_a_request_one_does(void **state)
{
    (void)state;
    begin_threads(50);
    pthread_barrier_init(&barrier, NULL, WORKERS);
    run_workers(compete);
    pthread_barrier_destroy(&barrier);
    check();
}

/* Endpoints come and go so fast that many a request is put when its endpoint
 * has just been swept. */
static void *come_and_go(void *arg)
{
    struct worker *w = arg;
    for (unsigned t = 0; t < w->turns && w->wrong == NULL; t++) {
        if (w->number % 4 != 0)
            ask(w);
        else if (one_in(w, 2))
            put_one(w);
        else
            remove_one(w);
        see_outcomes(w);
    }
    return NULL;
}

static void no_request_is_left_with_an_endpoint_that_goes(void **state)
{
    (void)state;
    begin_threads(2);
    run_workers(come_and_go);
    check();
    assert_true(count("gone") > 0);
}

/* The same with presence: check() looks for what is left. */
static void *come_and_show(void *arg)
{
    struct worker *w = arg;
    for (unsigned t = 0; t < w->turns && w->wrong == NULL; t++) {
        pass_time(w);
        if (one_in(w, 8))
            talk(w);
        else if (w->number % 4 != 0)
            show_or_hide(w);
        else if (one_in(w, 2))
            put_one(w);
        else
            remove_one(w);
        see_outcomes(w);
    }
    return NULL;
}

static void nobody_is_left_with_an_endpoint_that_goes(void **state)
{
    uint64_t hidden = 0;
    (void)state;
    begin_threads(2);
    run_workers(come_and_show);
    for (unsigned i = 0; i < WORKERS; i++)
        hidden += workers[i].seen[HIDDEN];
    assert_true(hidden > 0);
    check();
    assert_true(count("presences") > hidden);
}

/* Mostly nobody is there, so that many a request waits. Each thread has its
 * part in what makes it go on, or end. */
static void *come_and_wait(void *arg)
{
    struct worker *w = arg;
    for (unsigned t = 0; t < w->turns && w->wrong == NULL; t++) {
        unsigned what = below(w, 64);
        if (what < 1)
            put_one(w);
        else if (what < 8)
            remove_one(w);
        else if (what < 10)
            pass_time(w);
        else if (what < 16)
            expire_some(w);
        else if (what < 18)
            bounce_one(w);
        else if (what < 20)
            abort_one(w);
        else if (what < 36)
            answer(w);
        else if (what < 40)
            ask_one(w);
        else
            ask(w);
        see_outcomes(w);
    }
    return NULL;
}

static void whoever_waits_goes_on_or_fails_once(void **state)
{
    uint64_t held = 0, released = 0;
    (void)state;
    begin_threads(1);
    struct jat_config *c = some_config(&workers[0], false);
    assert_int_equal(jat_config_int(c, JAT_STR("wait_for_endpoint"), 3000),
                     JAT_OK);
    assert_int_equal(jat_configure(j, c), JAT_OK);
    run_workers(come_and_wait);
    for (unsigned i = 0; i < WORKERS; i++) {
        held += workers[i].seen[HELD];
        released += workers[i].seen[RELEASED];
    }
    assert_true(held > 100 && released > 100 && count("no_endpoint") > 0);
    check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(whatever_happens_at_once_a_request_ends_once),
        CASE(of_eight_who_end_a_request_one_does),
        CASE(no_request_is_left_with_an_endpoint_that_goes),
        CASE(nobody_is_left_with_an_endpoint_that_goes),
        CASE(whoever_waits_goes_on_or_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
