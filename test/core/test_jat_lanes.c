/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Who waits for which endpoint, and who holds up whom (wait_for_endpoint). */
#include "jat_fixture.h"

#define V "v@example.net/r"
#define PV P "/" V
#define COMMANDS "http://jabber.org/protocol/commands"
#define IBB "http://jabber.org/protocol/ibb"
#define SESSIONS                                                               \
    "sessions=" COMMANDS " sessions=sessionid sessions=own "                   \
    "sessions=" IBB " sessions=sid sessions=own "
#define BY_ROOM "balance=sticky sticky_by=urn:room sticky_by_attribute=room "

static const char *gone(const char *to, const char *id)
{
    return line("fail recipient-unavailable %s > " U " #%s kept", to, id);
}

static const char *request(const char *user, const char *to, const char *id)
{
    return line("request " P "/%s > %s #%s keep", user, to, id);
}

static const char *release(const char *user, const char *to, const char *id)
{
    return line("release " P "/%s > %s #%s kept", user, to, id);
}

/* The address of an endpoint that has gone. */
static const char *former(const char *jid)
{
    come(jid);
    const char *to = shown(jid);
    go(jid);
    return to;
}

/* One endpoint */

static void a_request_to_an_endpoint_waits_for_that_one(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    const char *to = former(A);
    come(B);
    assert_words(get("1", U, to), "hold");
    assert_words(set("2", U, to), "hold");
    assert_words(expire(), "");
    assert_false(outcomes.soon);
    come(A);
    assert_words(expire(),
                 "release " PU " > " A " #1; release " PU " > " A " #2");
    assert_true(outcomes.soon);
    assert_words(result("1", B, PU), "drop unsolicited");
    assert_words(result("1", A, PU), line("answer %s > " U " #1", to));
    assert_words(result("2", A, PU), line("answer %s > " U " #2", to));
    assert_words(expire(), "");
    assert_false(outcomes.soon);
    assert_int_equal(count("pending") + count("retry_memory"), 0);
}

static void in_vain_it_gets_the_error_of_one_that_does_not_wait(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    const char *to = former(A);
    assert_words(get("1", U, to), "hold");
    come(B);
    now += 4999;
    assert_words(expire(), "");
    now += 1;
    assert_words(expire(), gone(to, "1"));
    assert_int_equal(outcomes.v[0].why, JAT_WHY_ENDPOINT_GONE);
    assert_int_equal(count("no_endpoint"), 1);
    assert_words(expire(), "");
    assert_int_equal(jat_queue_count(&j->queue), 0);
    /* without the option, or where its packet cannot be kept, at once */
    weight = 0;
    assert_words(get("2", U, to), "error recipient-unavailable");
    assert_words(why(), "endpoint_gone");
    weight = 100;
    reload("");
    assert_words(get("3", U, to), "error recipient-unavailable");
    assert_words(why(), "endpoint_gone");
}

static void nobody_waits_for_whom_p_would_not_take(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    const char *to = former(A);
    assert_words(get("1", U, P "/nobody"), "error item-not-found");
    reload("wait_for_endpoint=5000 resources=b");
    assert_words(get("2", U, to), "error recipient-unavailable");
    assert_words(why(), "endpoint_gone");
    reload("wait_for_endpoint=5000 resources=a");
    assert_words(get("3", U, to), "hold");
    close_all();
}

/* To one endpoint it is in order, and nothing else waits for it. */
static void each_address_has_an_order_of_its_own(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    const char *a = former(A);
    come(B);
    assert_words(get("1", U, a), "hold");
    assert_words(get("2", U, P), request(U, B, "2"));
    assert_words(get("3", U, shown(B)), "request " PU " > " B " #3");
    come(A);
    assert_words(get("4", U, a), "hold");
    assert_words(get("5", V, a), "request " PV " > " A " #5");
    assert_words(expire(),
                 "release " PU " > " A " #1; release " PU " > " A " #4");
    /* they may be on their way still */
    assert_words(get("6", U, a), "hold");
    assert_words(expire(), "release " PU " > " A " #6");
    assert_words(expire(), "");
    assert_words(get("7", U, a), "request " PU " > " A " #7");
    close_all();
}

/* Lanes of endpoints that do not come keep nobody waiting: to look at one
 * costs little. */
static void those_who_do_not_come_hold_up_nobody(void **state)
{
    enum { MANY = 600 };
    (void)state;
    proxy("wait_for_endpoint=5000");
    for (unsigned i = 0; i < MANY; i++)
        assert_words(get(line("%u", i), U, former(line(T "/%u", i))), "hold");
    assert_words(expire(), "");
    const char *to = former(A);
    assert_words(get("a", U, to), "hold");
    come(A);
    assert_words(expire(), "release " PU " > " A " #a");
    /* and yet one call does not look at any number */
    assert_int_equal(jat_expire(j, now, 1, fresh()), JAT_EFULL);
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

/* Sessions */

static const char *session_at(const char *ns, const char *attribute)
{
    return line("<x xmlns='%s' node='n' %s='s'/>", ns, attribute);
}

static const char *ask(const char *id, const char *payload)
{
    return said(stanza("iq", "set", id, U, P, payload));
}

/* A session at A, which goes. */
static const char *session_gone(const char *ns, const char *attribute)
{
    const char *payload = session_at(ns, attribute);
    come(A);
    ask("0", payload);
    said(stanza("iq", "result", "0", A, PU, payload));
    assert_int_equal(kind(&decision), ANSWER);
    go(A);
    come(B);
    return payload;
}

static void a_session_waits_for_its_endpoint(void **state)
{
    (void)state;
    proxy(SESSIONS "wait_for_endpoint=5000");
    const char *payload = session_gone(COMMANDS, "sessionid");
    assert_words(ask("1", payload), "hold");
    assert_words(ask("2", payload), "hold");
    assert_words(expire(), "");
    assert_int_equal(count("sessions"), 1);
    come(A);
    assert_words(ask("3", payload), "hold");
    assert_words(expire(), "release " PU " > " A " #1; release " PU " > " A
                           " #2; release " PU " > " A " #3");
    assert_words(expire(), "");
    assert_words(ask("4", payload), "request " PU " > " A " #4");
    assert_words(result("1", A, PU), "answer " P " > " U " #1");
    close_all();
}

static void a_session_that_waits_in_vain_is_forgotten(void **state)
{
    static const struct {
        const char *ns, *attribute, *condition, *why;
    } kinds[] = {{COMMANDS, "sessionid", "item-not-found", "session_gone"},
                 {IBB, "sid", "recipient-unavailable", "endpoint_gone"}};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        proxy(SESSIONS "wait_for_endpoint=5000");
        const char *payload = session_gone(kinds[i].ns, kinds[i].attribute);
        assert_words(ask("1", payload), "hold");
        now += 100;
        assert_words(ask("2", payload), "hold");
        now += 4900;
        assert_words(expire(),
                     line("fail %s " P " > " U " #1 kept", kinds[i].condition));
        assert_words(jat_why_name(outcomes.v[0].why), kinds[i].why);
        assert_int_equal(count("sessions"), 0);
        /* the next one is balanced anew, the other one has its own end */
        assert_words(ask("3", payload), "request " PU " > " B " #3");
        now += 100;
        assert_words(expire(),
                     line("fail %s " P " > " U " #2 kept", kinds[i].condition));
        close_all();
        /* where it cannot wait, at once */
        proxy(SESSIONS "wait_for_endpoint=5000");
        payload = session_gone(kinds[i].ns, kinds[i].attribute);
        weight = 0;
        assert_words(ask("1", payload), line("error %s", kinds[i].condition));
        assert_words(why(), kinds[i].why);
        assert_int_equal(count("sessions"), 0);
        weight = 100;
    }
}

/* A session that begins while nobody is there, and goes on meanwhile. */
static void what_waits_of_one_session_stays_together(void **state)
{
    const char *payload = session_at(IBB, "sid");
    (void)state;
    proxy(SESSIONS "wait_for_endpoint=5000 balance=round_robin "
                   "max_pending_per_endpoint=3");
    for (unsigned i = 0; i < 4; i++)
        assert_words(ask(line("%u", i), payload), "hold");
    come(A);
    come(B);
    come(C);
    expire();
    assert_int_equal(outcomes.n, 3);
    const char *at = place(&outcomes.text, outcomes.v[0].to);
    for (unsigned i = 0; i < 3; i++)
        assert_words(outcome_words(&outcomes.v[i]),
                     line("release " PU " > %s #%u", at, i));
    /* its endpoint is known now, and yet nothing overtakes the last one */
    result("0", at, PU);
    assert_words(ask("4", payload), "hold");
    assert_words(expire(), line("release " PU " > %s #3", at));
    result("1", at, PU);
    assert_words(expire(), line("release " PU " > %s #4", at));
    assert_words(expire(), "");
    result("2", at, PU);
    assert_words(ask("5", payload), line("request " PU " > %s #5", at));
    close_all();
}

/* It waits behind what he has written before, and its endpoint goes again:
 * another one knows nothing of it. */
static void
a_session_that_waits_behind_others_stays_with_its_endpoint(void **state)
{
    const char *payload = session_at(COMMANDS, "sessionid");
    (void)state;
    proxy(SESSIONS "wait_for_endpoint=5000");
    come(A);
    ask("0", payload);
    said(stanza("iq", "result", "0", A, PU, payload));
    go(A);
    assert_words(get("1", U, P), "hold");
    come(A);
    assert_words(ask("2", payload), "hold");
    go(A);
    come(B);
    assert_words(get("3", U, P), "hold");
    assert_words(expire(),
                 line("%s; %s", release(U, B, "1"), release(U, B, "3")));
    assert_words(expire(), "");
    come(A);
    assert_words(expire(), "release " PU " > " A " #2");
    assert_words(expire(), "");
    assert_words(ask("4", payload), "request " PU " > " A " #4");
    close_all();
}

/* In vain: as if it had been for that endpoint from the first. */
static void so_it_does_in_vain(void **state)
{
    const char *payload = session_at(COMMANDS, "sessionid");
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        proxy(SESSIONS "wait_for_endpoint=5000");
        come(A);
        ask("0", payload);
        said(stanza("iq", "result", "0", A, PU, payload));
        go(A);
        assert_words(get("1", U, P), "hold");
        come(A);
        assert_words(ask("2", payload), "hold");
        go(A);
        if (other) {
            come(B);
            assert_words(expire(), release(U, B, "1"));
            result("1", B, PU);
        }
        assert_int_equal(count("sessions"), 1);
        now += 5000;
        expire();
        assert_int_equal(outcomes.n, other ? 1 : 2);
        unsigned at =
            !other && strcmp(outcome_words(&outcomes.v[0]), gone(P, "1")) == 0;
        assert_words(outcome_words(&outcomes.v[at]),
                     "fail item-not-found " P " > " U " #2 kept");
        assert_int_equal(count("sessions"), 0);
    }
}

/* A session that begins while nobody is there begins where his key stays. */
static void a_new_session_begins_where_the_key_stays(void **state)
{
    const char *payload = session_at(IBB, "sid");
    const char *at, *other;
    (void)state;
    proxy(SESSIONS "balance=sticky sticky_by=bare sticky_ttl=60000 "
                   "wait_for_endpoint=5000");
    come(A);
    come(B);
    get("0", U, P);
    other = to_of(); /* where it would go if no key stayed */
    at = strcmp(other, A) == 0 ? B : A;
    result("0", other, PU);
    go(other);
    get("1", U, P);
    assert_words(to_of(), at);
    result("1", at, PU);
    go(at);
    assert_words(ask("2", payload), "hold");
    come(A);
    come(B);
    assert_words(expire(), line("release " PU " > %s #2", at));
    result("2", at, PU);
    assert_words(expire(), "");
    assert_words(get("3", U, P), request(U, at, "3"));
    close_all();
}

/* A request that waits has used its key when it came. */
static void a_key_is_used_by_who_waits(void **state)
{
    const char *at, *other;
    (void)state;
    proxy("balance=sticky sticky_by=bare sticky_ttl=3000 "
          "wait_for_endpoint=5000");
    come(A);
    come(B);
    get("0", U, P);
    other = to_of(); /* where it would go if no key stayed */
    at = strcmp(other, A) == 0 ? B : A;
    go(other);
    get("1", U, P);
    result("1", at, PU);
    go(at);
    now += 2000;
    assert_words(get("2", U, P), "hold");
    now += 2000;
    come(A);
    come(B);
    assert_words(expire(), release(U, at, "2"));
    close_all();
}

/* Who holds up whom */

static void others_go_straight_to_an_endpoint_that_is_there(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    for (unsigned i = 0; i < 150; i++)
        assert_words(get(line("%u", i), U, P), "hold");
    come(A);
    /* nobody waits for the requests of U, but U */
    assert_words(get("v1", V, P), request(V, A, "v1"));
    assert_int_equal((expire(), outcomes.n), 100);
    assert_words(get("v2", V, P), request(V, A, "v2"));
    assert_words(get("150", U, P), "hold");
    assert_words(get("151", "u@example.net/other", P), "hold");
    /* what has gone straight on takes no place of those who wait */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal((get(line("v3.%u", i), V, P), kind(&decision)),
                         REQUEST);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal((result(line("%u", i), A, PU), kind(&decision)),
                         ANSWER);
    assert_int_equal((expire(), outcomes.n), 52);
    assert_words(outcome_words(&outcomes.v[49]), release(U, A, "149"));
    assert_words(outcome_words(&outcomes.v[50]), release(U, A, "150"));
    assert_words(expire(), "");
    assert_words(get("152", U, P), request(U, A, "152"));
    while (jat_close_all(j, now, 256, fresh()) == JAT_EFULL)
        ;
}

static void who_has_ended_holds_nobody_up(void **state)
{
    (void)state;
    proxy("wait_for_endpoint=5000");
    get("1", U, P);
    uint64_t record = decision.record;
    get("2", V, P);
    come(A);
    came(jat_abort(j, record, JAT_WHY_INTERNAL, now, fresh()));
    assert_words(get("3", U, P), request(U, A, "3"));
    assert_words(get("4", V, P), "hold");
    assert_words(expire(),
                 line("%s; %s", release(V, A, "2"), release(V, A, "4")));
    /* by its time */
    go(A);
    assert_int_equal(count("pending"), 3);
    expire();
    now += 5000;
    assert_int_equal((expire(), outcomes.n), 3);
    come(A);
    assert_words(get("5", U, P), request(U, A, "5"));
    close_all();
}

static const char *room(unsigned i)
{
    return line("<x xmlns='urn:room' room='room%u'/>", i);
}

static const char *enter(const char *user, const char *id, unsigned i)
{
    return said(stanza("iq", "get", id, user, P, room(i)));
}

/* A room at A and another one at B, both kept. */
static void two_rooms(unsigned *a, unsigned *b)
{
    bool found_a = false, found_b = false;
    come(A);
    come(B);
    for (unsigned i = 0; !found_a || !found_b; i++) {
        const char *id = line("r%u", i);
        enter(V, id, i);
        assert_int_equal(kind(&decision), REQUEST);
        const char *to = to_of();
        bool at_a = strcmp(to, A) == 0;
        found_a = found_a || at_a;
        found_b = found_b || !at_a;
        *(at_a ? a : b) = i;
        result(id, to, PV);
        assert_int_equal(kind(&decision), ANSWER);
    }
}

/* Requests for one room are first, and its endpoint has enough to do. */
static void a_room_that_is_full_holds_up_nobody_else(void **state)
{
    unsigned a, b;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=60000 wait_for_endpoint=5000");
    two_rooms(&a, &b);
    go(A);
    go(B);
    for (unsigned i = 0; i < 120; i++)
        assert_words(enter(U, line("a%u", i), a), "hold");
    assert_words(enter(U, "b", b), "hold");
    assert_words(enter("w@example.net/r", "w", b), "hold");
    come(A);
    come(B);
    assert_int_equal((expire(), outcomes.n), 102);
    assert_words(outcome_words(&outcomes.v[100]), release(U, B, "b"));
    assert_words(outcome_words(&outcomes.v[101]),
                 release("w@example.net/r", B, "w"));
    /* his next one to the room stays behind the others */
    assert_words(enter(U, "a120", a), "hold");
    assert_words(expire(), "");
    assert_true(outcomes.soon);
    for (unsigned i = 0; i < 3; i++)
        result(line("a%u", i), A, PU);
    assert_words(expire(), line("%s; %s; %s", release(U, A, "a100"),
                                release(U, A, "a101"), release(U, A, "a102")));
    for (unsigned i = 3; i < 103; i++)
        result(line("a%u", i), A, PU);
    assert_int_equal((expire(), outcomes.n), 18);
    assert_words(outcome_words(&outcomes.v[16]), release(U, A, "a119"));
    assert_words(outcome_words(&outcomes.v[17]), release(U, A, "a120"));
    close_all();
}

/* With `max_pending_per_endpoint' it is the same. */
static void so_does_max_pending_per_endpoint(void **state)
{
    unsigned a, b;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=60000 wait_for_endpoint=5000 "
                  "max_pending_per_endpoint=1");
    two_rooms(&a, &b);
    go(A);
    go(B);
    enter(U, "a0", a);
    enter(U, "a1", a);
    enter(U, "b", b);
    come(A);
    come(B);
    assert_words(expire(),
                 line("%s; %s", release(U, A, "a0"), release(U, B, "b")));
    assert_words(expire(), "");
    result("a0", A, PU);
    assert_words(expire(), release(U, A, "a1"));
    close_all();
}

/* Who comes later to the same room does not overtake, though it is free. */
static void who_waits_for_a_room_that_moves_is_not_overtaken(void **state)
{
    unsigned a, b;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=60000 wait_for_endpoint=5000 retries=0 "
                  "max_pending_per_endpoint=1");
    two_rooms(&a, &b);
    go(A);
    go(B);
    enter(U, "a0", a);
    enter(U, "a1", a);
    come(A);
    assert_words(expire(), "release " PU " > " A " #a0");
    assert_words(expire(), "");
    assert_words(enter(U, "a2", a), "hold");
    come(B);
    go(A);
    assert_words(expire(), "release " PU " > " B " #a1");
    result("a1", B, PU);
    assert_words(expire(), "release " PU " > " B " #a2");
    close_all();
}

/* Who waits for the endpoint of his room goes elsewhere when that one goes. */
static void a_room_moves_with_those_who_wait(void **state)
{
    unsigned a, b;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=60000 wait_for_endpoint=5000 retries=0 "
                  "max_pending_per_endpoint=1");
    two_rooms(&a, &b);
    go(A);
    go(B);
    enter(U, "a0", a);
    enter(U, "a1", a);
    come(A);
    assert_words(expire(), "release " PU " > " A " #a0");
    assert_words(expire(), "");
    come(B);
    assert_words(go(A), "fail recipient-unavailable " P " > " U " #a0");
    assert_words(expire(), "release " PU " > " B " #a1");
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_request_to_an_endpoint_waits_for_that_one),
        CASE(in_vain_it_gets_the_error_of_one_that_does_not_wait),
        CASE(nobody_waits_for_whom_p_would_not_take),
        CASE(each_address_has_an_order_of_its_own),
        CASE(those_who_do_not_come_hold_up_nobody),
        CASE(a_session_waits_for_its_endpoint),
        CASE(a_session_that_waits_in_vain_is_forgotten),
        CASE(what_waits_of_one_session_stays_together),
        CASE(a_session_that_waits_behind_others_stays_with_its_endpoint),
        CASE(so_it_does_in_vain),
        CASE(a_new_session_begins_where_the_key_stays),
        CASE(a_key_is_used_by_who_waits),
        CASE(others_go_straight_to_an_endpoint_that_is_there),
        CASE(who_has_ended_holds_nobody_up),
        CASE(a_room_that_is_full_holds_up_nobody_else),
        CASE(so_does_max_pending_per_endpoint),
        CASE(who_waits_for_a_room_that_moves_is_not_overtaken),
        CASE(a_room_moves_with_those_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
