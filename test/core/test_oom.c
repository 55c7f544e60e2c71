/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Want of memory when a record has been made or taken: then nothing may fail
 * any more, only less be done. All other want of memory: scarce.h. */
#include "turns.h"

/* With n allocations, and again with enough if those were none. *enough: there
 * was no need of more. */
#define WITH(n, enough, call)                                                  \
    __extension__({                                                            \
        allow(n);                                                              \
        enum jat_err err_ = (call);                                            \
        (enough) = allowed_left() > 0;                                         \
        allow_all();                                                           \
        err_ == JAT_ENOMEM ? (call) : err_;                                    \
    })

static void a_request_goes_on_though_its_contact_is_not_noted(void **state)
{
    unsigned noted = 0, lost = 0;
    bool enough = false;
    (void)state;
    for (unsigned n = 0; !enough; n++) {
        proxy("");
        come(A);
        const char *question = iq("get", "1", U, P);
        assert_int_equal(WITH(n, enough, handle(question)), JAT_OK);
        assert_words(words(JAT_OK), "request " PU " > " A " #1 keep");
        bool known = strcmp(get("2", A, PU), "error forbidden") != 0;
        noted += known;
        lost += !known;
        close_all();
    }
    assert_true(noted > 0 && lost > 0);
}

static void a_message_goes_on_though_nothing_is_noted(void **state)
{
    unsigned noted = 0, lost = 0;
    bool enough = false;
    (void)state;
    for (unsigned n = 0; !enough; n++) {
        proxy("");
        come(A);
        const char *xml = message("chat", U, P);
        assert_int_equal(WITH(n, enough, handle(xml)), JAT_OK);
        assert_words(words(JAT_OK), "pass in " PU " > " A);
        bool known = said(message("error", U, shown(A)))[0] == 'p';
        assert_int_equal(count("conversations"), known);
        assert_true(count("contacts") <= 1 && (known || !enough));
        noted += known;
        lost += !known;
    }
    assert_true(noted > 0 && lost > 0);
}

static void a_request_that_cannot_be_sent_again_fails(void **state)
{
    unsigned again = 0, failed = 0;
    bool enough = false;
    (void)state;
    for (unsigned n = 0; !enough; n++) {
        proxy("");
        come(A);
        get("1", U, P);
        uint64_t record = decision.forward.record;
        come(B);
        assert_int_equal(
            WITH(n, enough, jat_bounce(j, record, JAT_HOW_LOST, now, fresh())),
            JAT_OK);
        assert_int_equal(outcomes.n, 1);
        bool retried = outcomes.v[0].fate == JAT_FATE_RETRY;
        again += retried;
        failed += outcomes.v[0].fate == JAT_FATE_FAIL;
        assert_int_equal(count("pending"), retried);
        close_all();
    }
    assert_true(again > 0 && failed > 0);
}

/* A request to A that no stanza makes: its record's strings leave no room for
 * the JID of another endpoint. Returns the record. */
static uint64_t put_long_request(void)
{
    struct jat_request r = {.direction = JAT_IN,
                            .any_endpoint = true,
                            .retries = 1,
                            .user = str(U),
                            .user_cut = {1, sizeof "u@example.net" - 1},
                            .shown = str(U),
                            .asked = str(times('p', 14000)),
                            .asked_cut = {0, 14000},
                            .id = JAT_STR("1"),
                            .deadline = now + 1000};
    struct jat_endpoint e;
    struct jat_put put;
    struct jat_buf id = JAT_BUF_INIT;
    enum jat_why full;
    assert_int_equal(
        jat_endpoints_find(j->endpoints, str(A), JAT_NO_STRINGS, NULL, &e),
        JAT_OK);
    r.eid = e.eid;
    r.eid_hash = e.hash;
    assert_int_equal(
        jat_shares_take(j->shares, atomic_load(&j->config), &r.share, &full),
        JAT_OK);
    unsigned held = jat_endpoints_hold(j->endpoints);
    jat_endpoints_begin(j->endpoints, e.eid);
    jat_endpoints_let_go(j->endpoints, held);
    assert_non_null(jat_buf_room(&id, JAT_OURS_N));
    assert_int_equal(jat_inflight_put(j->inflight, &r, NULL, now, &id, &put),
                     JAT_OK);
    jat_buf_fini(&id);
    jat_stats_add(&j->stats, JAT_STAT_requests);
    return put.ref;
}

static void a_request_without_room_for_its_next_endpoint_fails(void **state)
{
    unsigned again = 0, failed = 0;
    bool enough = false;
    (void)state;
    for (unsigned n = 0; !enough; n++) {
        proxy("");
        come(A);
        uint64_t record = put_long_request();
        come(B);
        assert_int_equal(
            WITH(n, enough,
                 jat_bounce(j, record, JAT_HOW_UNDELIVERED, now, fresh())),
            JAT_OK);
        assert_int_equal(outcomes.n, 1);
        bool retried = outcomes.v[0].fate == JAT_FATE_RETRY;
        assert_words(outcome_words(&outcomes.v[0]),
                     retried ? "retry " PU " > " B " #1"
                             : line("fail recipient-unavailable %s > " U " #1",
                                    times('p', 14000)));
        again += retried;
        failed += !retried;
        assert_int_equal(count("pending"), retried);
        assert_int_equal(endpoint(A).requests, 0);
        assert_int_equal(endpoint(B).requests, retried);
        close_all();
    }
    assert_true(again > 0 && failed > 0);
}

/* Closes all with n allocations at first; how many outcomes there were, and how
 * many of them were retries. */
static size_t close_all_with(unsigned n, bool *enough, size_t *retries,
                             enum jat_err (*fn)(struct jat_outcomes *))
{
    size_t closed = 0;
    enum jat_err err;
    *enough = true;
    *retries = 0;
    allow(n);
    do {
        err = fn(fresh());
        *enough = *enough && allowed_left() > 0;
        allow_all();
        closed += outcomes.n;
        for (size_t i = 0; i < outcomes.n; i++)
            *retries += outcomes.v[i].fate == JAT_FATE_RETRY;
    } while (err != JAT_OK);
    return closed;
}

static enum jat_err drain_256(struct jat_outcomes *out)
{
    return jat_close_all(j, now, 256, out);
}

static enum jat_err expire_256(struct jat_outcomes *out)
{
    return jat_expire(j, now, 256, out);
}

static jat_eid gone;
static uint64_t sweep_cursor;

static enum jat_err sweep_all(struct jat_outcomes *out)
{
    return jat_sweep(j, gone, &sweep_cursor, now, 64, out);
}

static void close_one_with_an_id_of(size_t len)
{
    bool enough = false;
    size_t retries;
    for (unsigned n = 0; !enough; n++) {
        const char *e = line(T "/%s", times('e', 1000));
        proxy("outbound=any");
        come(e);
        assert_int_equal(handle(iq("get", times('i', len), e, PU)), JAT_OK);
        now += 60000;
        assert_int_equal(close_all_with(n, &enough, &retries,
                                        n % 2 ? expire_256 : drain_256),
                         1);
        assert_int_equal(count("forgotten"), 0);
    }
}

static void every_asker_is_told_however_long_its_id_is(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 1024; len += 64) /* a longer one is refused */
        close_one_with_an_id_of(len);
}

static void each_request_of_an_endpoint_that_goes_has_its_outcome(void **state)
{
    enum { MANY = 20 };
    bool enough = false;
    size_t retries;
    (void)state;
    for (unsigned n = 0; !enough; n++) {
        proxy("");
        come(A);
        for (int i = 0; i < MANY; i++)
            get(line("%d", i), U, P);
        come(B);
        sweep_cursor = 0;
        assert_int_equal(jat_remove_endpoint(j, str(A), &gone), JAT_OK);
        assert_int_equal(close_all_with(n, &enough, &retries, sweep_all), MANY);
        assert_int_equal(count("pending"), retries);
        assert_int_equal(count("gone"), MANY);
        close_all();
    }
    assert_int_equal(retries, MANY);
}

static void whatever_fails_a_request_ends_once(void **state)
{
    static const unsigned rates[] = {3, 10, 50, 500};
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        begin_workers(5000);
        memory_is_scarce = true;
        allow_most(rates[i]);
        work(&workers[0]);
        allow_all();
        memory_is_scarce = false;
        if (workers[0].wrong != NULL)
            fail_msg("one in %u: %s", rates[i], workers[0].wrong);
        check();
        jat_instance_free(j);
        j = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_request_goes_on_though_its_contact_is_not_noted),
        CASE(a_message_goes_on_though_nothing_is_noted),
        CASE(a_request_that_cannot_be_sent_again_fails),
        CASE(a_request_without_room_for_its_next_endpoint_fails),
        CASE(every_asker_is_told_however_long_its_id_is),
        CASE(each_request_of_an_endpoint_that_goes_has_its_outcome),
        CASE(whatever_fails_a_request_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
