/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Limits: what is beyond them is refused, and all that was counted is given
 * back, however a record ends. */
#include "jat_fixture.h"

#define PU P "/" U
#define FULL "error resource-constraint"

static unsigned serial;

/* How many requests of this user are taken before one is refused. */
static unsigned room(const char *user, const char *to)
{
    for (unsigned n = 0; n < 100; n++) {
        const char *says = get(line("%u", serial++), user, to);
        if (strncmp(says, "request", 7) != 0 &&
            strncmp(says, "outbound", 8) != 0) {
            assert_words(says, FULL);
            return n;
        }
    }
    return 100;
}

static void max_pending_bounds_all_records_of_both_ways(void **state)
{
    (void)state;
    proxy("max_pending=5 outbound=any local_domains=example.net");
    come(A);
    assert_int_equal(room(U, P), 5);
    assert_int_equal(room("v@example.net", P), 0);
    assert_int_equal(room(A, PU), 0);
    close_all();
    assert_int_equal(room(A, PU), 5);
    assert_int_equal(room(U, P), 0);
    close_all();
    assert_int_equal(room(U, shown(A)), 5);
    close_all();
}

static void max_pending_per_user_counts_the_bare_jid(void **state)
{
    (void)state;
    proxy("max_pending_per_user=3");
    come(A);
    assert_int_equal(room("u@example.net/r", P), 3);
    assert_int_equal(room("u@example.net/s", P), 0);
    assert_int_equal(room("u@example.net", P), 0);
    assert_int_equal(room("v@example.net/r", P), 3);
    close_all();
}

static void max_pending_per_domain_counts_remote_domains_only(void **state)
{
    (void)state;
    proxy("max_pending_per_domain=3 local_domains=home.example "
          "local_domains=away.example");
    come(A);
    assert_int_equal(room("u@example.net/r", P), 3);
    assert_int_equal(room("v@example.net/r", P), 0);
    assert_int_equal(room("example.net", P), 0);
    assert_int_equal(room("u@other.example/r", P), 3);
    assert_int_equal(room("u@home.example/r", P), 100);
    assert_int_equal(room("u@away.example/r", P), 100);
    close_all();
}

static void max_outbound_per_endpoint_counts_each_endpoint(void **state)
{
    (void)state;
    proxy("max_outbound_per_endpoint=2 outbound=any");
    come(A);
    come(B);
    assert_int_equal(room(A, PU), 2);
    assert_int_equal(room(A, P "/v@example.net"), 0);
    assert_int_equal(room(B, PU), 2);
    assert_int_equal(room(U, P), 100);
    close_all();
    assert_int_equal(room(A, PU), 2);
    result(last_id, U, shown(A));
    close_all();
}

/* Of so many requests of `weight' octets, how many packets are kept. All are
 * forwarded. */
static unsigned kept(unsigned n, const char *user)
{
    unsigned all = 0;
    for (unsigned i = 0; i < n; i++) {
        get(line("%u", serial++), user, P);
        assert_int_equal(kind(&decision), REQUEST);
        all += decision.forward.keep;
    }
    return all;
}

static void packets_are_kept_within_the_shares_of_the_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000 local_domains=home.example");
    come(A);
    weight = 100;
    /* a bare JID: a hundredth */
    assert_int_equal(kept(7, "u@home.example/r"), 7);
    assert_int_equal(kept(7, "u@home.example/s"), 3);
    assert_int_equal(kept(1, "u@home.example"), 0);
    assert_int_equal(count("retry_memory"), 1000);
    weight = 1;
    assert_int_equal(kept(1, "u@home.example/r"), 0);
    weight = 1001;
    assert_int_equal(kept(1, "v@home.example/r"), 0);
    weight = 1000;
    assert_int_equal(kept(1, "v@home.example/r"), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
    /* a remote domain: a tenth; its own name is a user like another */
    unsigned n = 0;
    for (unsigned i = 0; i < 20; i++)
        n += kept(1, line("u%u@example.net/r", i));
    assert_int_equal(n, 10);
    assert_int_equal(kept(1, "example.net"), 0);
    assert_int_equal(kept(1, "example.com"), 1);
    close_all();
    /* all remote domains: a half */
    for (unsigned i = n = 0; i < 100; i++)
        n += kept(1, line("u@d%u.example.net/r", i));
    assert_int_equal(n, 50);
    /* the server's own: what is left of the whole */
    for (unsigned i = n = 0; i < 100; i++)
        n += kept(1, line("u%u@home.example/r", i));
    assert_int_equal(n, 50);
    assert_int_equal(count("retry_memory"), 100000);
    expire();
    close_all();
    assert_int_equal(count("retry_memory"), 0);
    for (unsigned i = n = 0; i < 200; i++)
        n += kept(1, line("u%u@home.example/r", i));
    assert_int_equal(n, 100);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

static void what_cannot_be_sent_again_takes_no_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000 outbound=any");
    come(A);
    set("1", U, P);
    get("2", U, shown(A));
    get("3", A, PU);
    weight = 0;
    assert_int_equal(kept(1, U), 0);
    weight = UINT32_MAX;
    assert_int_equal(kept(1, U), 0);
    weight = 100;
    reload("max_retry_memory=100000 retries=0");
    assert_int_equal(kept(1, U), 0);
    reload("max_retry_memory=0");
    assert_int_equal(kept(1, U), 0);
    assert_int_equal(count("retry_memory"), 0);
    close_all();
}

/* It is what it was when the packet was weighed, whatever is configured then.
 */
static void the_memory_of_a_packet_is_given_back_after_a_reload(void **state)
{
    (void)state;
    proxy("max_retry_memory=100000");
    come(A);
    assert_int_equal(kept(10, U), 10);
    reload("max_retry_memory=50000 local_domains=example.net");
    assert_int_equal(kept(1, U), 0);
    for (unsigned i = 0; i < 6; i++)
        result(line("%u", serial - 11 + i), A, PU);
    assert_int_equal(count("retry_memory"), 400);
    assert_int_equal(kept(2, U), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
}

/* The retry has the packet, and with it the share. */
static void the_smallest_packet_gives_its_octet_back(void **state)
{
    (void)state;
    proxy("max_retry_memory=20000");
    come(A);
    weight = 1;
    assert_int_equal(kept(1, U), 1);
    assert_int_equal(count("retry_memory"), 1);
    close_all();
    assert_int_equal(count("retry_memory"), 0);
}

static void a_retry_keeps_its_share_of_the_memory(void **state)
{
    (void)state;
    proxy("max_retry_memory=20000 retries=2");
    come(A);
    come(B);
    come(C);
    weight = 200;
    assert_int_equal(kept(1, U), 1);
    uint64_t record = decision.forward.record;
    for (unsigned i = 0; i < 2; i++) {
        assert_non_null(strstr(bounce(record, false), "retry"));
        record = nexts[0];
        assert_true(outcomes.v[0].kept);
        assert_int_equal(count("retry_memory"), 200);
        assert_int_equal(kept(1, U), 0);
    }
    assert_non_null(strstr(bounce(record, false), "kept"));
    assert_int_equal(count("retry_memory"), 0);
    assert_int_equal(kept(1, U), 1);
    close_all();
}

/* The first one, all records, then the user, then the domain. */
static void a_refusal_says_which_limit_is_reached(void **state)
{
    (void)state;
    proxy("max_pending=6 max_pending_per_user=1 max_pending_per_domain=2 "
          "max_outbound_per_endpoint=1 outbound=any "
          "local_domains=example.org");
    come(A);
    get("1", U, P);
    assert_words(get("2", U, P), FULL);
    assert_words(why(), "max_pending_per_user");
    get("1", "v@example.net", P);
    assert_words(get("1", "w@example.net", P), FULL);
    assert_words(why(), "max_pending_per_domain");
    get("1", A, PU);
    get("1", "u@example.com", P);
    assert_words(get("1", "u@example.edu", P), FULL);
    assert_words(why(), "max_pending_remote");
    get("1", "v@example.org", P);
    get("1", "w@example.org", P);
    assert_words(get("1", "x@example.org", P), FULL);
    assert_words(why(), "max_pending");
    assert_words(get("2", A, PU), FULL);
    assert_words(why(), "max_pending");
    result("1", A, PU);
    assert_words(get("2", A, PU), FULL);
    assert_words(why(), "max_outbound_per_endpoint");
    close_all();
}

static void max_endpoints_refuses_the_newest(void **state)
{
    (void)state;
    proxy("max_endpoints=2");
    come(A);
    come(B);
    assert_int_equal(put_as(C, JAT_SHOW_NONE, false), JAT_EFULL);
    come(A); /* an update */
    go(B);
    come(C);
    assert_int_equal(count("endpoints"), 2);
}

static void max_stanza_size_bounds_what_is_parsed(void **state)
{
    (void)state;
    const char *xml = iq("get", "1", U, P);
    proxy(line("max_stanza_size=%zu", strlen(xml)));
    come(A);
    assert_words(said(xml), "request " PU " > " A " #1 keep");
    assert_words(get("22", U, P), "failed too_big");
    close_all();
}

static void an_id_of_more_than_1024_octets_is_refused(void **state)
{
    (void)state;
    proxy("outbound=any");
    come(A);
    const char *longest = times('i', 1024), *longer = times('i', 1025);
    get(longest, U, P);
    assert_words(result(longest, A, PU),
                 line("answer %s > %s #%s kept", P, U, longest));
    assert_words(get(longer, U, P), "error policy-violation");
    assert_words(get(longer, A, PU), "error policy-violation");
    assert_words(result(longer, A, PU), "drop unsolicited");
}

/* One way for a request to end, whatever it was counted for. */
typedef void ending(uint64_t record);

static void by_answer(uint64_t record)
{
    (void)record;
    const char *id = line("%s", last_id);
    result(id, A, PU);
    assert_int_equal(kind(&decision), ANSWER);
}

static void by_deadline(uint64_t record)
{
    (void)record;
    now += 60000;
    assert_non_null(strstr(expire(), "fail"));
}

static void by_bounce(uint64_t record)
{
    assert_non_null(strstr(bounce(record, true), "fail"));
}

static void by_abort(uint64_t record)
{
    assert_non_null(strstr(
        came(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh())), "fail"));
}

static void by_going(uint64_t record)
{
    (void)record;
    assert_non_null(strstr(go(A), "fail"));
    come(A);
}

static void by_drain(uint64_t record)
{
    (void)record;
    assert_non_null(strstr(close_all(), "fail"));
}

static void by_retry_and_answer(uint64_t record)
{
    come(B);
    assert_non_null(strstr(bounce(record, true), "retry"));
    result(last_id, B, PU);
    assert_int_equal(kind(&decision), ANSWER);
    go(B);
}

static void by_retry_and_drain(uint64_t record)
{
    come(B);
    assert_non_null(strstr(bounce(record, true), "retry"));
    close_all();
    go(B);
}

/* The server refused it. */
static void by_refusal(uint64_t record)
{
    assert_non_null(strstr(bounce_refused(record), "service-unavailable"));
}

static void quotas_are_given_back_however_a_request_ends(void **state)
{
    static ending *const endings[] = {
        by_answer, by_deadline,         by_bounce,          by_abort,  by_going,
        by_drain,  by_retry_and_answer, by_retry_and_drain, by_refusal};
    static const char *const limits[] = {
        "max_pending=1 local_domains=example.net", "max_pending_per_user=1",
        "max_pending_per_domain=1", "max_pending=3"};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        proxy(limits[l]);
        come(A);
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
            for (unsigned n = 0; n < 2; n++) {
                get(line("%u", serial++), U, P);
                assert_int_equal(kind(&decision), REQUEST);
                assert_int_equal(count("retry_memory"), weight);
                uint64_t record = decision.forward.record;
                const char *id = line("%s", last_id);
                assert_words(get("full", U, P), FULL);
                (void)snprintf(last_id, sizeof last_id, "%s", id);
                endings[i](record);
            }
        }
        assert_int_equal(count("pending") + count("retry_memory"), 0);
        /* exactly one fits again */
        assert_int_equal(room(U, P), 1);
        close_all();
        /* and nothing is counted for an endpoint */
        struct jat_endpoint_row e;
        uint32_t cursor = 0;
        assert_int_equal(jat_next_endpoint(j, &cursor, &decided, &e), JAT_OK);
        assert_int_equal(e.requests, 0);
    }
}

static void outbound_shares_are_given_back_however_a_request_ends(void **state)
{
    static ending *const endings[] = {by_deadline, by_abort, by_drain,
                                      by_refusal};
    static const char *const limits[] = {"max_pending=1",
                                         "max_outbound_per_endpoint=1"};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        proxy(line("outbound=any %s", limits[l]));
        come(A);
        for (size_t i = 0; i <= sizeof endings / sizeof endings[0]; i++) {
            get(line("%u", serial++), A, PU);
            assert_int_equal(kind(&decision), OUTBOUND);
            uint64_t record = decision.forward.record;
            const char *id = line("%s", last_id);
            assert_words(get("full", A, PU), FULL);
            assert_words(why(),
                         l == 0 ? "max_pending" : "max_outbound_per_endpoint");
            if (i < sizeof endings / sizeof endings[0])
                endings[i](record);
            else
                result(id, U, shown(A));
        }
        assert_int_equal(room(A, PU), 1);
        assert_words(
            go(A),
            line("fail recipient-unavailable " PU " > " A " #%u", serial - 2));
        come(A);
        assert_int_equal(room(A, PU), 1);
        close_all();
    }
}

static void a_refused_outbound_request_costs_nothing(void **state)
{
    (void)state;
    proxy("max_pending=3 max_outbound_per_endpoint=1 outbound=any "
          "local_domains=example.net");
    come(A);
    assert_int_equal(room(A, PU), 1);
    for (int i = 0; i < 10; i++)
        assert_words(get("x", A, PU), FULL);
    assert_int_equal(room(U, P), 2);
    close_all();
    assert_int_equal(room(U, P), 3);
    close_all();
}

static void a_refused_request_costs_nothing(void **state)
{
    (void)state;
    proxy("max_pending_per_user=1 max_pending=6 max_pending_per_domain=2");
    come(A);
    assert_int_equal(room(U, P), 1);
    for (int i = 0; i < 10; i++)
        get("x", U, P);
    assert_int_equal(room("v@example.net", P), 1);
    for (int i = 0; i < 10; i++)
        get("x", "w@example.net", P);
    assert_int_equal(room("w@example.com", P), 1);
    close_all();
    assert_int_equal(room("w@example.net", P), 1);
    assert_int_equal(room(U, P), 1);
    close_all();
}

static void a_refused_request_leaves_no_handle(void **state)
{
    (void)state;
    proxy("max_pending_per_user=1");
    come(A);
    for (int i = 0; i < 10; i++) {
        const char *part = times('x', 1000);
        get("1", line("u@%s.net/%d%s", part, i, part), P);
        assert_int_equal(kind(&decision), i == 0 ? REQUEST : JAT_DO_REFUSE);
        assert_int_equal(count("handles"), 1);
    }
    close_all();
}

static void a_lower_limit_after_a_reload_holds_at_once(void **state)
{
    (void)state;
    proxy("");
    come(A);
    for (int i = 0; i < 5; i++)
        get(line("%d", i), U, P);
    reload("max_pending_per_user=3");
    assert_int_equal(room(U, P), 0);
    for (int i = 0; i < 3; i++)
        result(line("%d", i), A, PU);
    assert_int_equal(room(U, P), 1);
    close_all();
}

static void a_domain_that_becomes_local_gets_its_share_back(void **state)
{
    (void)state;
    proxy("max_pending_per_domain=2");
    come(A);
    assert_int_equal(room(U, P), 2);
    reload("max_pending_per_domain=2 local_domains=example.net");
    get("y", U, P);
    assert_int_equal(kind(&decision), REQUEST);
    reload("max_pending_per_domain=2");
    assert_int_equal(room(U, P), 0);
    close_all();
    assert_int_equal(room(U, P), 2);
    close_all();
}

static void the_counters_add_up_after_any_mixture(void **state)
{
    (void)state;
    proxy("outbound=any retries=2 timeout=500 max_pending_per_user=20 "
          "balance=least_pending");
    for (int i = 0; i < 20000; i++) {
        const char *e = line("%s/%u", T, random_below(5));
        const char *u = line("u%u@example.net/r", random_below(5));
        const char *id = line("%u", random_below(20));
        struct jat_buf b = JAT_BUF_INIT;
        struct jat_pending p;
        uint64_t cursor = 0, refs[1] = {0};
        jat_eid eid;
        switch (random_below(12)) {
        case 0:
            come(e);
            break;
        case 1:
            if (random_below(4) == 0 &&
                jat_remove_endpoint(j, str(e), &eid) == JAT_OK) {
                cursor = 0;
                assert_int_equal(
                    jat_sweep(j, eid, &cursor, now, SIZE_MAX, fresh()), JAT_OK);
            }
            break;
        case 2:
        case 3:
        case 4:
            if (strncmp(random_below(2) ? get(id, u, P) : set(id, u, P), "req",
                        3) == 0)
                refs[0] = decision.forward.record;
            if (refs[0] != 0 && random_below(3) == 0)
                bounce(refs[0], random_below(2) == 0);
            break;
        case 5:
            get(id, e, line("%s/%s", P, u));
            break;
        case 6:
        case 7:
        case 8: /* the answer to some record */
            if (jat_next_pending(j, &cursor, now, &b, &p) == JAT_OK) {
                const char *who =
                    line("%.*s", (int)p.endpoint.n, b.p + p.endpoint.at);
                const char *user = line("%.*s", (int)p.user.n, b.p + p.user.at);
                const char *of = line("%.*s", (int)p.id.n, b.p + p.id.at);
                if (p.direction == JAT_OUT)
                    result(of, user, shown(who));
                else
                    result(of, who, line("%s/%s", P, user));
            }
            break;
        case 9:
            now += random_below(100);
            jat_expire(j, now, 5, fresh());
            break;
        case 10:
            result(id, e, line("%s/%s", P, u));
            break;
        default:
            (void)jat_abort(j, decision.forward.record, JAT_WHY_INTERNAL, now,
                            fresh());
        }
        jat_buf_fini(&b);
        uint64_t in, out;
        books(&in, &out);
        assert_int_equal(in, out);
        if (i % 100 == 0)
            while (n_lines > 0)
                free(lines[--n_lines]);
    }
    assert_true(count("answers") > 20 && count("outbound_answers") > 20 &&
                count("retries") > 20 && count("gone") > 20 &&
                count("timeouts") > 20);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    while (jat_next_endpoint(j, &cursor, &decided, &e) == JAT_OK)
        assert_int_equal(e.requests + e.outbound, 0);
    come(A);
    assert_int_equal(room("u1@example.net/r", P), 20);
    close_all();
}

/* Shares: what strangers do costs nobody else anything. */

#define HOME "home.example"
#define LOCAL "local_domains=" HOME " "

/* Whether the target may write to this one first. */
static bool may_write_to(const char *user)
{
    const char *says = get(line("%u", serial++), A, line(P "/%s", user));
    if (kind(&decision) != OUTBOUND)
        assert_words(says, "error forbidden");
    return kind(&decision) == OUTBOUND;
}

static void speaks(const char *user)
{
    const char *id = line("%u", serial++);
    get(id, user, P);
    assert_int_equal(kind(&decision), REQUEST);
    result(id, A, from_of());
    assert_int_equal(kind(&decision), ANSWER);
}

static void remote_domains_have_half_of_max_pending_together(void **state)
{
    (void)state;
    proxy(LOCAL "max_pending=10 outbound=any");
    come(A);
    for (unsigned i = 0; i < 100; i++) {
        get(line("%u", serial++), line("u@sub%u.example.net", i), P);
        assert_int_equal(kind(&decision), i < 5 ? REQUEST : JAT_DO_REFUSE);
    }
    assert_int_equal(count("pending"), 5);
    assert_int_equal(room("u@" HOME, P), 5);
    close_all();
    /* what the server's own have is theirs */
    assert_int_equal(room("u@" HOME, P), 10);
    assert_int_equal(room(U, P), 0);
    close_all();
    /* and the target's requests are nobody's */
    assert_int_equal(room(A, PU), 10);
    close_all();
    assert_int_equal(room(U, P), 5);
    close_all();
    assert_int_equal(room(U, P), 5);
    close_all();
}

static void of_one_pending_request_a_remote_domain_may_have_it(void **state)
{
    (void)state;
    proxy(LOCAL "max_pending=1");
    come(A);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(room(U, P), 1);
        close_all();
    }
}

static void one_domain_makes_only_its_own_contacts_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=100");
    come(A);
    speaks("u@" HOME "/r");
    speaks("u@other.example/r");
    for (unsigned i = 0; i < 1000; i++)
        speaks(line("u%u@example.net/r", i));
    assert_int_equal(count("contacts"), 12);
    assert_true(may_write_to("u@" HOME "/r"));
    assert_true(may_write_to("u@other.example/r"));
    assert_false(may_write_to("u989@example.net/r"));
    assert_true(may_write_to("u990@example.net/r"));
    assert_true(may_write_to("u999@example.net/r"));
    close_all();
}

static void domains_without_number_make_no_contact_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=100");
    come(A);
    for (unsigned i = 0; i < 40; i++)
        speaks(line("u%u@" HOME "/r", i));
    speaks("u@other.example/r");
    for (unsigned i = 0; i < 1000; i++)
        speaks(line("u@sub%u.example.net/r", i));
    assert_int_equal(count("contacts"), 90);
    for (unsigned i = 0; i < 40; i++)
        assert_true(may_write_to(line("u%u@" HOME "/r", i)));
    assert_true(may_write_to("u@other.example/r"));
    assert_true(may_write_to("u@sub0.example.net/r"));
    assert_false(may_write_to("u@sub999.example.net/r"));
    /* a domain that has one may use its place for another one */
    speaks("v@other.example/r");
    assert_true(may_write_to("v@other.example/r"));
    for (unsigned i = 40; i < 140; i++)
        speaks(line("u%u@" HOME "/r", i));
    assert_true(may_write_to("u139@" HOME "/r"));
    assert_true(may_write_to("u@sub0.example.net/r"));
    close_all();
    /* until theirs are over */
    now += LIFE(600000);
    expire();
    speaks("u@sub999.example.net/r");
    assert_true(may_write_to("u@sub999.example.net/r"));
    close_all();
}

/* A JID that no address can carry. */
static const char *long_jid(const char *domain, unsigned n)
{
    return line("%s%u@%s/%s", times('u', 900), n, domain, times('r', 900));
}

/* That target may write to the address that it was shown. */
static bool has_handle(const char *address)
{
    const char *says = get(line("%u", serial++), A, address);
    if (kind(&decision) != OUTBOUND)
        assert_words(says, "error item-not-found");
    return kind(&decision) == OUTBOUND;
}

static const char *speaks_as_handle(const char *user)
{
    const char *id = line("%u", serial++), *as;
    get(id, user, P);
    assert_int_equal(kind(&decision), REQUEST);
    as = from_of();
    result(id, A, as);
    assert_int_equal(kind(&decision), ANSWER);
    return as;
}

static void nobody_makes_the_handles_of_others_forgotten(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=20 timeout=1000");
    come(A);
    const char *home = speaks_as_handle(long_jid(HOME, 0));
    const char *other = speaks_as_handle(long_jid("other.example", 0));
    const char *first = speaks_as_handle(long_jid("example.net", 0));
    now += 1000; /* nothing is held any more */
    for (unsigned i = 1; i < 50; i++) {
        speaks_as_handle(long_jid("example.net", i));
        now += 1000;
    }
    assert_int_equal(count("handles"), 4);
    assert_true(has_handle(home));
    assert_true(has_handle(other));
    assert_false(has_handle(first));
    for (unsigned i = 0; i < 50; i++)
        get(line("%u", serial++), long_jid(line("sub%u.example", i), i), P);
    assert_int_equal(count("handles"), 11);
    assert_true(has_handle(home));
    assert_true(has_handle(other));
    close_all();
}

static void a_handle_lives_as_long_as_its_record(void **state)
{
    (void)state;
    proxy(LOCAL "max_contacts=20 timeout=1000 contact_timeout=1");
    come(A);
    const char *as[2];
    for (unsigned i = 0; i < 2; i++) {
        get(line("long %u", i), long_jid("example.net", i), P);
        assert_int_equal(kind(&decision), REQUEST);
        as[i] = from_of();
    }
    /* no room for a third one of this domain: it is refused, and none of the
     * two is lost */
    assert_words(get("third", long_jid("example.net", 2), P), FULL);
    now += 999;
    assert_words(get("third", long_jid("example.net", 2), P), FULL);
    assert_int_equal(count("pending"), 2);
    for (unsigned i = 0; i < 2; i++)
        assert_true(has_handle(as[i]));
    result("long 0", A, as[0]);
    assert_int_equal(kind(&decision), ANSWER);
    close_all();
    now += 1;
    get("third", long_jid("example.net", 2), P);
    assert_int_equal(kind(&decision), REQUEST);
    close_all();
}

/* The answer finds its record by the address itself. */
static void an_answer_needs_no_handle(void **state)
{
    (void)state;
    proxy("max_contacts=20 timeout=1000 contact_timeout=1");
    come(A);
    get("1", long_jid("example.net", 1), P);
    const char *as = from_of();
    now += 999;
    jat_expire(j, now, 256, fresh());
    now += 1; /* the handle is over, the record not closed yet */
    assert_words(get("2", A, as), "error item-not-found");
    assert_words(result("1", A, as),
                 line("answer " P " > %s #1 kept", long_jid("example.net", 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(max_pending_bounds_all_records_of_both_ways),
        CASE(max_pending_per_user_counts_the_bare_jid),
        CASE(max_pending_per_domain_counts_remote_domains_only),
        CASE(max_outbound_per_endpoint_counts_each_endpoint),
        CASE(packets_are_kept_within_the_shares_of_the_memory),
        CASE(what_cannot_be_sent_again_takes_no_memory),
        CASE(the_memory_of_a_packet_is_given_back_after_a_reload),
        CASE(the_smallest_packet_gives_its_octet_back),
        CASE(a_retry_keeps_its_share_of_the_memory),
        CASE(a_refusal_says_which_limit_is_reached),
        CASE(max_endpoints_refuses_the_newest),
        CASE(max_stanza_size_bounds_what_is_parsed),
        CASE(an_id_of_more_than_1024_octets_is_refused),
        CASE(quotas_are_given_back_however_a_request_ends),
        CASE(outbound_shares_are_given_back_however_a_request_ends),
        CASE(a_refused_outbound_request_costs_nothing),
        CASE(a_refused_request_costs_nothing),
        CASE(a_refused_request_leaves_no_handle),
        CASE(a_lower_limit_after_a_reload_holds_at_once),
        CASE(a_domain_that_becomes_local_gets_its_share_back),
        CASE(the_counters_add_up_after_any_mixture),
        CASE(remote_domains_have_half_of_max_pending_together),
        CASE(of_one_pending_request_a_remote_domain_may_have_it),
        CASE(one_domain_makes_only_its_own_contacts_forgotten),
        CASE(domains_without_number_make_no_contact_forgotten),
        CASE(nobody_makes_the_handles_of_others_forgotten),
        CASE(a_handle_lives_as_long_as_its_record),
        CASE(an_answer_needs_no_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
