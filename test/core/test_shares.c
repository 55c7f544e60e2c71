/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What each may have is taken, and given back. */
#include "shares_fixture.h"

#define E "svc@example.org/a"

/* Records */

static void each_has_its_share_of_the_records(void **state)
{
    (void)state;
    limit_records();
    assert_int_equal(room_of(1, false, LOCAL, false), 5);
    assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_USER);
    assert_int_equal(room_of(1, false, 1, true), 5);
    assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_USER);
    assert_int_equal(room_of(1, true, 1, false), 7);
    assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_DOMAIN);
    assert_int_equal(room_of(1, true, 1, true), 10);
    assert_int_equal(full, JAT_WHY_MAX_PENDING_REMOTE);
    assert_int_equal(room_of(1, true, LOCAL, false), 20);
    assert_int_equal(full, JAT_WHY_MAX_PENDING);
    /* remote domains cannot take what the server's own need */
    for (unsigned i = 0; i < 10; i++)
        assert_true(takes(i, i + 1, 0));
    assert_int_equal(room_of(100, true, LOCAL, false), 10);
    assert_int_equal(full, JAT_WHY_MAX_PENDING);
}

static void remote_domains_have_half_one_at_least(void **state)
{
    (void)state;
    for (unsigned max = 1; max < 200; max++) {
        config->max_pending = max;
        assert_int_equal(room_of(1, true, 1, true), max == 1 ? 1 : max / 2);
        /* what they may not have, the others may */
        assert_int_equal(room_of(1, true, LOCAL, false), max);
    }
}

static void exactly_max_can_be_taken(void **state)
{
    (void)state;
    for (unsigned max = 1; max < 200; max++) {
        config->max_pending_per_user = max;
        assert_int_equal(room_of(max, false, 1, true), max);
        config->max_pending_per_user = INT32_MAX;
        config->max_pending_per_domain = max;
        assert_int_equal(room_of(max, true, max, false), max);
        config->max_pending_per_domain = INT32_MAX;
        config->max_pending = max;
        assert_int_equal(room_of(max, false, LOCAL, false), max);
        config->max_pending = INT32_MAX;
    }
    assert_all_is_free();
}

static void a_smaller_max_holds_from_the_next_call_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        assert_true(takes(1, LOCAL, 0));
    config->max_pending_per_user = 10;
    for (unsigned left = 50; left >= 10; left--) {
        assert_false(takes(1, LOCAL, 0));
        assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_USER);
        assert_true(takes(2, LOCAL, 0));
        give(2, LOCAL, 0);
        give(1, LOCAL, 0);
    }
    assert_int_equal(room_of(1, false, LOCAL, false), 1);
    config->max_pending = 5;
    assert_false(takes(2, LOCAL, 0));
    assert_int_equal(full, JAT_WHY_MAX_PENDING);
    config->max_pending = 20;
    assert_int_equal(room_of(2, true, LOCAL, false), 11);
    config->max_pending_per_user = 15;
    assert_int_equal(room_of(1, false, LOCAL, false), 6);
}

/* Memory */

static void each_has_its_share_of_the_memory(void **state)
{
    (void)state;
    assert_int_equal(memory_of(1, false, LOCAL, false), 100);
    assert_int_equal(memory_of(1, false, 1, false), 100);
    assert_int_equal(memory_of(1, true, 1, false), 1000);
    assert_int_equal(memory_of(1, true, 1, true), 5000);
    assert_int_equal(memory_of(1, true, LOCAL, false), 10000);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(keeps(i, i / 10 + 1, 100), 100);
    assert_int_equal(jat_shares_octets(shares), 5000);
    assert_int_equal(memory_of(100, true, 6, false), 0);
    assert_int_equal(memory_of(100, true, LOCAL, false), 5000);
    assert_int_equal(jat_shares_octets(shares), 5000);
}

/* Whichever share it is that has no room for them: the request may go on, but
 * not be sent again. */
static void octets_without_room_are_not_taken_from_any_share(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 41; i++) /* all but 900 of the remote ones' */
        assert_int_equal(keeps(100 + i, i / 10 + 1, 100), 100);
    assert_int_equal(keeps(1, 6, 60), 60);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(keeps(1, 7, 41), 0); /* the user's */
        assert_int_equal(keeps(2, LOCAL, 101), 0);
        assert_int_equal(keeps(2, 1, 1), 0);   /* the domain's */
        assert_int_equal(keeps(2, 7, 841), 0); /* the remote ones' */
        assert_int_equal(keeps(2, LOCAL, 5841), 0);
        assert_int_equal(keeps(2, LOCAL, UINT32_MAX), 0);
    }
    assert_int_equal(jat_shares_octets(shares), 4160);
    assert_int_equal(memory_of(1, false, LOCAL, false), 40);
    assert_int_equal(memory_of(2, false, LOCAL, false), 100);
    assert_int_equal(memory_of(200, true, 5, false), 840);
    assert_int_equal(memory_of(200, true, 6, false), 840);
    assert_int_equal(memory_of(200, true, 20, true), 840);
    assert_int_equal(memory_of(200, true, LOCAL, false), 5840);
    /* without memory nobody keeps anything */
    config->max_retry_memory = 0;
    assert_int_equal(keeps(3, LOCAL, 1), 0);
    assert_int_equal(jat_shares_octets(shares), 4160);
}

/* What does not come to pass */

static void what_is_refused_changes_nothing(void **state)
{
    (void)state;
    limit_records();
    config->max_retry_memory = 2000;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(keeps(1, 1, 2), 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(keeps(2, 1, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_false(takes(1, LOCAL, 1));
        assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_USER);
        assert_false(takes(1, 2, 1));
        assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_USER);
        assert_false(takes(3, 1, 1));
        assert_int_equal(full, JAT_WHY_MAX_PENDING_PER_DOMAIN);
        config->max_pending = 14;
        assert_false(takes(3, 2, 1));
        assert_int_equal(full, JAT_WHY_MAX_PENDING_REMOTE);
        config->max_pending = 7;
        assert_false(takes(3, LOCAL, 1));
        assert_int_equal(full, JAT_WHY_MAX_PENDING);
        limit_records();
    }
    assert_int_equal(jat_shares_octets(shares), 16);
    assert_int_equal(room_of(2, false, LOCAL, false), 3);
    assert_int_equal(room_of(3, false, 2, false), 3);
    assert_int_equal(room_of(3, true, LOCAL, false), 13);
    config->max_pending = config->max_pending_per_user = 10000;
    assert_int_equal(memory_of(3, false, LOCAL, false), 20);
    assert_int_equal(memory_of(2, false, LOCAL, false), 14);
}

static void what_there_is_no_memory_for_changes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        struct jat_share s = share(i, i % 2 == 0 ? LOCAL : i, 3);
        unsigned failed = 0;
        for (enum jat_err err = JAT_ENOMEM; err != JAT_OK; failed++) {
            allow(failed);
            err = take(&s);
            allow_all();
            assert_true(err == JAT_OK || err == JAT_ENOMEM);
            assert_int_equal(s.octets, 3);
            assert_int_equal(jat_shares_octets(shares),
                             3 * (i + (err == JAT_OK)));
        }
        assert_true(i > 0 || failed > 2); /* user and domain */
    }
    for (unsigned i = 0; i < 3000; i++)
        give(i, i % 2 == 0 ? LOCAL : i, 3);
    assert_all_is_free();
}

static void without_memory_there_are_no_shares(void **state)
{
    (void)state;
    struct jat_shares *l = NULL;
    FAIL_EACH_ALLOCATION(jat_shares_new(&SEED, endpoints, &l), l == NULL);
    jat_shares_free(l);
    jat_shares_free(NULL);
}

/* Keys */

static void a_domain_is_not_the_user_of_its_name(void **state)
{
    (void)state;
    struct jat_str name = JAT_STR("example.net");
    assert_int_not_equal(jat_shares_user(shares, name),
                         jat_shares_domain(shares, config, name));
    assert_int_not_equal(jat_shares_user(shares, name),
                         jat_shares_user(shares, JAT_STR("example.ne")));
    assert_int_not_equal(
        jat_shares_domain(shares, config, name),
        jat_shares_domain(shares, config, JAT_STR("example.ne")));
    assert_int_not_equal(jat_shares_user(shares, name), JAT_NOBODY);
    assert_int_not_equal(jat_shares_domain(shares, config, name), JAT_NOBODY);
    /* one of this server's counts for nobody */
    assert_int_equal(jat_shares_domain(shares, config, JAT_STR("example.com")),
                     JAT_NOBODY);
}

/* Client-initiated requests, and how records end */

static jat_eid come(const char *jid)
{
    static const struct jat_endpoint_state state = {JAT_SHOW_NONE, 0, false,
                                                    false};
    jat_eid eid;
    struct jat_str name = jat_str(jid, strlen(jid));
    assert_int_equal(
        jat_endpoints_put(endpoints, name, name, &state, 0, 100, &eid, NULL),
        JAT_OK);
    return eid;
}

static struct jat_endpoint_row see(jat_eid eid)
{
    struct jat_endpoint_row e;
    assert_true(row_of(endpoints, eid, &e));
    return e;
}

static void end_as(const struct jat_request *r, enum jat_end how)
{
    unsigned held = jat_endpoints_hold(endpoints);
    jat_shares_end(shares, r, how, 77);
    jat_endpoints_let_go(endpoints, held);
}

/* How it ends makes no difference. */
static void end_out(jat_eid eid)
{
    struct jat_request r = {.direction = JAT_OUT, .eid = eid};
    end_as(&r, JAT_END_ABORTED);
}

static bool takes_out(jat_eid eid)
{
    unsigned held = jat_endpoints_hold(endpoints);
    enum jat_err err = jat_shares_take_out(shares, config, eid, &full);
    jat_endpoints_let_go(endpoints, held);
    assert_true(err == JAT_OK || err == JAT_EFULL);
    return err == JAT_OK;
}

static unsigned room_out(jat_eid eid)
{
    unsigned n = 0;
    while (takes_out(eid))
        n++;
    for (unsigned i = 0; i < n; i++)
        end_out(eid);
    return n;
}

static void client_initiated_requests_count_twice(void **state)
{
    (void)state;
    jat_eid one = come(E), other = come(E "b"), gone = come(E "c");
    config->max_pending = 8;
    config->max_outbound_per_endpoint = 3;
    assert_int_equal(room_out(one), 3);
    assert_int_equal(full, JAT_WHY_MAX_OUTBOUND);
    for (unsigned i = 0; i < 3; i++)
        assert_true(takes_out(one));
    assert_int_equal(see(one).outbound, 3);
    assert_int_equal(room_out(one), 0);
    assert_int_equal(room_out(other), 3);
    assert_int_equal(room_of(1, true, LOCAL, false), 5); /* of the eight */
    assert_int_equal(room_of(1, true, 1, true), 4);      /* not of the half */
    for (unsigned i = 0; i < 5; i++)
        assert_true(takes(i, LOCAL, 0));
    assert_int_equal(room_out(other), 0);
    assert_int_equal(full, JAT_WHY_MAX_PENDING);
    assert_int_equal(see(other).outbound, 0);
    for (unsigned i = 0; i < 5; i++)
        give(i, LOCAL, 0);
    /* one that has gone takes nothing, and what it had is given back */
    assert_true(takes_out(gone));
    assert_int_equal(jat_endpoints_remove(endpoints, JAT_STR(E "c"), &gone),
                     JAT_OK);
    assert_int_equal(room_out(gone), 0);
    assert_int_equal(full, JAT_WHY_MAX_OUTBOUND);
    assert_int_equal(room_of(1, true, LOCAL, false), 4);
    end_out(gone);
    for (unsigned i = 0; i < 3; i++)
        end_out(one);
    assert_int_equal(see(one).outbound, 0);
    assert_all_is_free();
}

static void begin_at(jat_eid eid)
{
    unsigned held = jat_endpoints_hold(endpoints);
    jat_endpoints_begin(endpoints, eid);
    jat_endpoints_let_go(endpoints, held);
}

static const struct {
    unsigned answered, failed;
} told[JAT_END_COUNT] = {
    [JAT_END_RESULT] = {1, 0},    [JAT_END_ERROR] = {1, 0},
    [JAT_END_TIMED_OUT] = {0, 1}, [JAT_END_BOUNCED] = {0, 1},
    [JAT_END_REFUSED] = {0, 0},   [JAT_END_GONE] = {0, 1},
    [JAT_END_MOVED] = {0, 1},     [JAT_END_ABORTED] = {0, 1},
    [JAT_END_STOPPED] = {0, 1},
};

static void each_end_gives_all_back_but_a_move(void **state)
{
    (void)state;
    for (int i = 0; i < JAT_END_COUNT; i++)
        for (unsigned domain = LOCAL; domain < 2; domain++) {
            enum jat_end how = (enum jat_end)i;
            jat_eid eid = come(E);
            struct jat_request r = {
                .direction = JAT_IN, .eid = eid, .share = share(1, domain, 50)};
            assert_int_equal(take(&r.share), JAT_OK);
            begin_at(eid);
            end_as(&r, how);
            struct jat_endpoint_row e = see(eid);
            assert_int_equal(e.requests, 0);
            assert_int_equal(e.answered, told[i].answered);
            assert_int_equal(e.failed, told[i].failed);
            assert_int_equal(e.last_answer, told[i].answered ? 77 : 0);
            if (how == JAT_END_MOVED) {
                assert_int_equal(jat_shares_octets(shares), 50);
                assert_int_equal(memory_of(1, false, domain, false), 50);
                config->max_pending_per_user = 3;
                assert_int_equal(room_of(1, false, domain, false), 2);
                config->max_pending_per_user = INT32_MAX;
                jat_shares_give(shares, &r.share);
            }
            assert_all_is_free();
            assert_int_equal(jat_endpoints_remove(endpoints, JAT_STR(E), &eid),
                             JAT_OK);
        }
}

static void each_end_of_a_client_initiated_request_gives_back(void **state)
{
    (void)state;
    jat_eid eid = come(E);
    for (int i = 0; i < JAT_END_COUNT; i++) {
        /* whose share it has is for the requester's contact alone */
        struct jat_request r = {
            .direction = JAT_OUT, .eid = eid, .share = share(1, 1, 0)};
        assert_true(takes_out(eid));
        assert_int_equal(see(eid).outbound, 1);
        end_as(&r, (enum jat_end)i);
        struct jat_endpoint_row e = see(eid);
        assert_int_equal(e.outbound + e.requests, 0);
        assert_int_equal(e.answered + e.failed + e.last_answer, 0);
        assert_all_is_free();
    }
}

static void the_end_of_one_whose_endpoint_has_gone_gives_back(void **state)
{
    (void)state;
    struct jat_request r = {
        .direction = JAT_IN, .eid = come(E), .share = share(1, 1, 50)};
    assert_int_equal(take(&r.share), JAT_OK);
    begin_at(r.eid);
    jat_eid eid;
    assert_int_equal(jat_endpoints_remove(endpoints, JAT_STR(E), &eid), JAT_OK);
    eid = come(E);
    end_as(&r, JAT_END_GONE);
    assert_int_equal(see(eid).failed, 0);
    assert_all_is_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_has_its_share_of_the_records),
        CASE(remote_domains_have_half_one_at_least),
        CASE(exactly_max_can_be_taken),
        CASE(a_smaller_max_holds_from_the_next_call_on),
        CASE(each_has_its_share_of_the_memory),
        CASE(octets_without_room_are_not_taken_from_any_share),
        CASE(what_is_refused_changes_nothing),
        CASE(what_there_is_no_memory_for_changes_nothing),
        CASE(without_memory_there_are_no_shares),
        CASE(a_domain_is_not_the_user_of_its_name),
        CASE(client_initiated_requests_count_twice),
        CASE(each_end_gives_all_back_but_a_move),
        CASE(each_end_of_a_client_initiated_request_gives_back),
        CASE(the_end_of_one_whose_endpoint_has_gone_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
