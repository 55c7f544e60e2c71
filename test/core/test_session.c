/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Sessions, and what stays with its endpoint by `sticky_ttl'. */
#include "jat_fixture.h"
#include "kept.h"
#include "session.h"

#define COMMANDS "http://jabber.org/protocol/commands"
#define IBB "http://jabber.org/protocol/ibb"
#define FOCUS "http://jitsi.org/protocol/focus"
#define SESSIONS                                                               \
    "sessions=" COMMANDS " sessions=sessionid sessions=own "                   \
    "sessions=" IBB " sessions=sid sessions=own "                              \
    "sessions=urn:told sessions=id sessions=result "                           \
    "sessions=" FOCUS " sessions=session-id sessions=any_requester "
#define BY_ROOM "balance=sticky sticky_by=" FOCUS " sticky_by_attribute=room "

#define V "v@example.net/r"

static const char *command(const char *session)
{
    return line("<command xmlns='" COMMANDS "' node='n'%s%s%s/>",
                *session ? " sessionid='" : "", session, *session ? "'" : "");
}

static const char *ibb(const char *what, const char *session)
{
    return line("<%s xmlns='" IBB "' sid='%s'/>", what, session);
}

static const char *told(const char *id)
{
    return line("<x xmlns='urn:told' id='%s'/>", id);
}

static const char *logout(const char *session)
{
    return line("<logout xmlns='" FOCUS "' session-id='%s'/>", session);
}

static const char *conference(const char *room, const char *session)
{
    return line("<conference xmlns='" FOCUS "' room='%s' session-id='%s'/>",
                room, session);
}

static unsigned n_ids;

static const char *ask_at(const char *type, const char *user, const char *to,
                          const char *payload)
{
    return said(stanza("iq", type, line("i%u", n_ids++), user, to, payload));
}

/* Where a request goes, which is not answered. */
static const char *goes(const char *user, const char *payload)
{
    const char *says = ask_at(n_ids % 2 == 0 ? "get" : "set", user, P, payload);
    return kind(&decision) == REQUEST ? to_of() : says;
}

/* The endpoint of the last request answers it. */
static void answers_as(const char *type, const char *payload)
{
    assert_int_equal(kind(&decision), REQUEST);
    const char *from = from_of(), *to = to_of(), *id = last_id;
    said(stanza("iq", type, id, to, from, payload));
    assert_int_equal(kind(&decision), ANSWER);
}

static void answers(const char *payload)
{
    answers_as("result", payload);
}

/* Which endpoint has answered a request with this payload, by a result with
 * that one. */
static const char *answered(const char *user, const char *request,
                            const char *result)
{
    const char *to = goes(user, request);
    answers(result);
    return to;
}

static void three_endpoints(void)
{
    come(A);
    come(B);
    come(C);
}

/* n requests go there, though each goes to another one than the one before. */
static void all_go(unsigned n, const char *user, const char *payload,
                   const char *to)
{
    for (unsigned i = 0; i < n; i++)
        assert_words(goes(user, payload), to);
}

/* It goes to all three. (A request that comes to nothing has its turn, too.) */
static void go_round(const char *user, const char *payload)
{
    bool used[3] = {false};
    for (unsigned i = 0; i < 40 && !(used[0] && used[1] && used[2]); i++)
        used[goes(user, payload)[sizeof T] - 'a'] = true;
    assert_true(used[0] && used[1] && used[2]);
}

/* What is learned */

static void a_result_binds_the_session_that_it_names(void **state)
{
    static const char *const how[] = {"random", "round_robin", "least_pending",
                                      "sticky"};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        proxy(line(SESSIONS "balance=%s", how[i]));
        three_endpoints();
        for (unsigned k = 0; k < 5; k++) {
            const char *session = line("s%u", k);
            const char *to = answered(U, command(""), command(session));
            for (unsigned n = 0; n < 4; n++)
                assert_words(answered(U, command(session), command(session)),
                             to);
            all_go(3, "u@example.net/other", command(session), to);
        }
        assert_int_equal(count("sessions"), 5);
        close_all();
    }
}

static void of_some_a_request_binds_its_session_at_once(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    for (unsigned i = 0; i < 4; i++) {
        const char *to = goes(U, ibb("open", line("%u", i)));
        all_go(4, U, ibb("data", line("%u", i)), to);
        answers(""); /* names none */
        all_go(4, U, ibb("data", line("%u", i)), to);
    }
    const char *to = goes(U, command("mine"));
    all_go(4, U, command("mine"), to);
    close_all();
}

static void of_others_only_a_result_does(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    go_round(U, told("1"));
    assert_int_equal(count("sessions"), 0);
    const char *to = answered(U, told("1"), told("1"));
    assert_int_equal(count("sessions"), 1);
    all_go(4, U, told("1"), to);
    close_all();
}

static void neither_an_error_nor_another_payload_does(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    goes(U, told("1"));
    answers_as("error", told("1"));
    answered(U, told("1"), "<y xmlns='urn:other' id='1'/>");
    answered(U, told("1"), "<x xmlns='urn:told' x='1'/>");
    answered(U, told("1"), "<x xmlns='urn:told' id=''/>");
    answered(U, told("1"), line("%s%s", PAYLOAD, told("1"))); /* the first */
    answered(U, told("1"), "");
    answered(U, told("1"), told(times('x', JAT_SESSION_MAX + 1)));
    assert_int_equal(count("sessions"), 0);
    answered(U, told("1"), told(times('x', JAT_SESSION_MAX)));
    assert_int_equal(count("sessions"), 1);
    goes(U, ibb("open", times('x', JAT_SESSION_MAX + 1)));
    goes(U, ibb("open", ""));
    goes(U, "<x xmlns='" IBB "'/>");
    assert_int_equal(count("sessions"), 1);
    close_all();
}

static void without_the_option_there_is_none(void **state)
{
    (void)state;
    proxy("balance=round_robin");
    three_endpoints();
    answered(U, command(""), command("1"));
    go_round(U, command("1"));
    go_round(U, ibb("open", "1"));
    assert_int_equal(count("sessions"), 0);
    close_all();
}

/* The requester knows it from the last one that has named it. */
static void the_last_result_that_names_it_has_it(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    answered(U, told("0"), told("1"));
    const char *last = answered(U, told("0"), told("1"));
    all_go(3, U, told("1"), last);
    close_all();
}

/* Strangers */

static void each_requester_has_sessions_of_his_own(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin local_domains=example.net");
    three_endpoints();
    const char *stranger = goes(V, command("1")); /* he guesses */
    const char *to = answered(U, command(""), command("1"));
    assert_string_not_equal(to, stranger);
    all_go(3, U, command("1"), to);
    all_go(3, V, command("1"), stranger);
    goes("u@other.example/r", command("1"));
    assert_int_equal(count("sessions"), 3);
    close_all();
}

static void a_session_of_any_requester_is_the_same_for_all(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    /* no request makes one, whoever sends it first */
    go_round(V, logout("1"));
    assert_int_equal(count("sessions"), 0);
    const char *to = answered(U, PAYLOAD, logout("1"));
    all_go(3, V, logout("1"), to);
    all_go(3, "w@other.example/r", logout("1"), to);
    /* nor does a later result that names it move it */
    for (unsigned i = 0; i < 3; i++)
        answered(V, PAYLOAD, logout("1"));
    all_go(3, U, logout("1"), to);
    /* but one of another endpoint, once the first one has gone */
    go(to);
    const char *next = answered(V, PAYLOAD, logout("1"));
    all_go(3, U, logout("1"), next);
    close_all();
}

static void a_request_to_an_endpoint_neither_learns_nor_moves(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin session_timeout=6400");
    three_endpoints();
    ask_at("set", U, shown(A), ibb("open", "1"));
    ask_at("set", U, shown(A), command("1"));
    answers(command("2"));
    ask_at("get", U, shown(A), logout("1"));
    answers(logout("1"));
    assert_int_equal(count("sessions"), 0);
    const char *to = goes(U, command("1"));
    for (unsigned i = 0; i < 3; i++) {
        static const char *const e[] = {A, B, C};
        ask_at("get", U, shown(e[i]), command("1"));
        assert_words(to_of(), e[i]);
        answers(command("1"));
        all_go(2, U, command("1"), to);
    }
    /* nor does it make it live longer */
    now += 6300;
    ask_at("get", U, shown(A), command("1"));
    answers(command("1"));
    now += 100;
    expire();
    assert_int_equal(count("sessions"), 0);
    close_all();
}

static void names_without_number_are_their_senders_own_loss(void **state)
{
    (void)state;
    proxy(SESSIONS "max_sessions=1000 max_pending_per_user=100000 "
                   "local_domains=example.net");
    three_endpoints();
    const char *to = goes(V, ibb("open", "1"));
    for (unsigned i = 0; i < 3000; i++)
        goes(U, ibb("open", line("%u", i)));
    assert_int_equal(count("sessions"), 101);
    for (unsigned i = 0; i < 1000; i++)
        goes(line("x%u@far.example/r", i), ibb("open", "1"));
    assert_int_equal(count("sessions"), 201);
    all_go(4, V, ibb("data", "1"), to);
    close_all();
}

/* To another node the same name is another session; to none, too. */
static void each_node_has_sessions_of_its_own(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin localparts=*");
    three_endpoints();
    const char *at[] = {P, "a@" P, "b@" P}, *to[3];
    for (unsigned i = 0; i < 3; i++) {
        ask_at("get", U, at[i], ibb("open", "1"));
        to[i] = to_of();
        ask_at("get", U, at[i], command(""));
        answers(command("1"));
    }
    assert_int_equal(count("sessions"), 6);
    for (unsigned i = 0; i < 6; i++) {
        ask_at("set", U, at[i % 3], ibb("data", "1"));
        assert_words(to_of(), to[i % 3]);
    }
    close_all();
}

/* The endpoint is not in service, or not there */

static void a_session_goes_to_its_endpoint_in_service_or_not(void **state)
{
    (void)state;
    proxy(SESSIONS "drain_show=dnd");
    come(A);
    goes(U, ibb("open", "1"));
    come(B);
    put_as(A, JAT_SHOW_DND, false);
    all_go(3, U, ibb("data", "1"), A);
    put_as(A, JAT_SHOW_NONE, true); /* to be resumed */
    all_go(3, U, ibb("data", "1"), A);
    all_go(3, U, ibb("open", "2"), B);
    close_all();
}

static const struct {
    const char *payload, *condition, *why;
} gone[] = {
    {"<c xmlns='" COMMANDS "' sessionid='1'/>", "item-not-found",
     "session_gone"},
    {"<c xmlns='" IBB "' sid='1'/>", "recipient-unavailable", "endpoint_gone"}};

static void when_the_endpoint_has_gone_one_request_is_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *payload = gone[i].payload;
        proxy(SESSIONS);
        come(A);
        answered(U, payload, "");
        come(B);
        go(A);
        assert_words(ask_at("get", U, P, payload),
                     line("error %s", gone[i].condition));
        assert_words(why(), gone[i].why);
        all_go(3, U, payload, B); /* balanced anew, and learned */
        come(A);
        all_go(3, U, payload, B);
        /* it is told so where nobody is there, too */
        close_all();
        go(A);
        go(B);
        assert_words(ask_at("get", U, P, payload),
                     line("error %s", gone[i].condition));
        assert_words(ask_at("get", U, P, payload),
                     "error recipient-unavailable");
        assert_words(why(), "no_endpoint");
    }
}

static void a_request_of_a_session_is_never_sent_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned how = 0; how < 3; how++) {
            const char *payload = gone[i].payload, *expected;
            proxy(SESSIONS "retries=3");
            come(A);
            if (how != 1) /* of a session that is known, or of a new one */
                answered(U, payload, "");
            ask_at("get", U, P, payload);
            assert_false(decision.forward.keep);
            const char *id = line("%s", last_id);
            expected = line("fail %s " P " > " U " #%s", gone[i].condition, id);
            come(B);
            if (how == 2) {
                uint64_t record = decision.forward.record;
                assert_words(bounce(record, true), expected);
                go(A);
            } else {
                assert_words(go(A), expected);
            }
            /* that has been expected: the next one is balanced anew */
            all_go(3, U, payload, B);
            close_all();
        }
}

/* Of any requester: whoever it is; told and balanced anew. */
static void a_request_of_another_ones_session_is_never_sent_again(void **s)
{
    (void)s;
    proxy(SESSIONS "retries=3");
    come(A);
    answered(U, PAYLOAD, logout("1"));
    come(B);
    ask_at("get", V, P, logout("1"));
    assert_words(to_of(), A);
    assert_words(
        bounce(decision.forward.record, false),
        line("fail recipient-unavailable " P " > " V " #%s", own_id()));
    go(A);
    ask_at("get", V, P, logout("1"));
    assert_words(to_of(), B);
    assert_true(decision.forward.keep); /* of no session that is known */
    close_all();
}

/* A server that refuses, a deadline: they say nothing of the session. */
static void other_ends_leave_the_session_where_it_is(void **state)
{
    (void)state;
    proxy(SESSIONS "timeout=1000");
    come(A);
    goes(U, command("1"));
    come(B);
    const char *id = line("%s", last_id);
    assert_words(bounce_refused(decision.forward.record),
                 line("fail service-unavailable " P " > " U " #%s", id));
    goes(U, command("1"));
    now += 1000;
    assert_words(expire(), line("fail remote-server-timeout " P " > " U " #%s",
                                own_id()));
    all_go(3, U, command("1"), A);
    close_all();
}

/* It is the same instance again, as far as anybody can see. */
static void a_session_waits_for_a_resource_that_comes_back(void **state)
{
    (void)state;
    proxy(SESSIONS);
    come(A);
    goes(U, command("1"));
    come(B);
    go(A);
    come(A);
    all_go(3, U, command("1"), A);
    close_all();
    go(A); /* and it is told anew */
    assert_words(goes(U, command("1")), "error item-not-found");
    all_go(3, U, command("1"), B);
    close_all();
}

/* The endpoint waits to be resumed (XEP-0198) */

static void wait_for_resumption(const char *jid)
{
    assert_int_equal(put_as(jid, JAT_SHOW_NONE, true), JAT_OK);
}

static const struct {
    const char *payload, *says; /* what is asked, and what makes it known */
} lasting[] = {{"<c xmlns='" COMMANDS "' sessionid='1'/>", ""},
               {"<d xmlns='" IBB "' sid='1'/>", ""},
               {"<x xmlns='urn:told' id='1'/>", "<x xmlns='urn:told' id='1'/>"},
               {"<l xmlns='" FOCUS "' session-id='1'/>",
                "<l xmlns='" FOCUS "' session-id='1'/>"}};

#define LASTING (sizeof lasting / sizeof lasting[0])

static void a_session_moves_for_good_after_resume_wait(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LASTING; i++) {
        const char *payload = lasting[i].payload;
        proxy(SESSIONS "resume_wait=1000 balance=round_robin");
        come(A);
        answered(U, payload, lasting[i].says);
        come(B);
        come(C);
        wait_for_resumption(A);
        now += 999;
        all_go(4, U, payload, A); /* and wait there */
        now += 1;
        const char *next = goes(U, payload);
        assert_string_not_equal(next, A);
        assert_false(decision.forward.keep); /* nor is it sent again */
        all_go(4, U, payload, next);
        answers(lasting[i].says);
        all_go(4, U, payload, next);
        come(A);
        all_go(4, U, payload, next);
        assert_int_equal(count("sessions"), 1);
        close_all();
    }
}

/* One that all know moves for all, with the first of their requests. */
static void a_session_of_any_requester_moves_for_all(void **state)
{
    (void)state;
    proxy(SESSIONS "resume_wait=1000 balance=round_robin");
    come(A);
    answered(U, PAYLOAD, logout("1"));
    come(B);
    come(C);
    wait_for_resumption(A);
    now += 1000;
    const char *next = goes(V, logout("1"));
    assert_string_not_equal(next, A);
    all_go(4, U, logout("1"), next);
    all_go(4, "w@other.example/r", logout("1"), next);
    go(next); /* which those in flight say: the next one is balanced anew */
    assert_words(goes(U, logout("1")), strcmp(next, B) == 0 ? C : B);
    close_all();
}

/* What it has in its hands stays there, and is answered when it is back; but
 * the session does not return with that. */
static void a_request_in_its_hands_stays_when_its_session_moves(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LASTING; i++) {
        const char *payload = lasting[i].payload;
        proxy(SESSIONS "resume_wait=1000 retries=3");
        come(A);
        answered(U, payload, lasting[i].says);
        ask_at("get", U, P, payload);
        const char *first = line("%s", last_id), *from = from_of();
        come(B);
        wait_for_resumption(A);
        now += 1000;
        assert_words(expire(), "");
        assert_words(goes(U, payload), B);
        assert_words(expire(), "");
        come(A);
        said(stanza("iq", "result", first, A, from, payload));
        assert_int_equal(kind(&decision), ANSWER);
        all_go(3, U, payload, B);
        close_all();
    }
}

static void a_session_stays_while_no_other_endpoint_is_in_service(void **state)
{
    (void)state;
    proxy(SESSIONS "resume_wait=1000 drain_show=dnd");
    come(A);
    goes(U, ibb("open", "1"));
    put_as(B, JAT_SHOW_DND, false);
    wait_for_resumption(A);
    now += 5000;
    all_go(3, U, ibb("data", "1"), A);
    come(B);
    all_go(3, U, ibb("data", "1"), B);
    close_all();
}

/* Only a request that is forwarded takes it along. */
static void a_session_stays_where_the_others_have_enough_to_do(void **state)
{
    (void)state;
    proxy(SESSIONS "resume_wait=1000 max_pending_per_endpoint=1");
    come(A);
    answered(U, ibb("open", "1"), "");
    come(B);
    wait_for_resumption(A);
    now += 1000;
    assert_words(goes(U, PAYLOAD), B);
    assert_words(goes(U, ibb("data", "1")), "error resource-constraint");
    come(A);
    assert_words(goes(U, ibb("data", "1")), A);
    close_all();
}

/* It is the last one's: whom it was moved to has gone as well. */
static void a_session_that_has_moved_is_told_of_once_more(void **state)
{
    (void)state;
    proxy(SESSIONS "resume_wait=1000");
    come(A);
    answered(U, command("1"), "");
    come(B);
    wait_for_resumption(A);
    now += 1000;
    answered(U, command("1"), "");
    go(B);
    assert_words(goes(U, command("1")), "error item-not-found");
    assert_words(goes(U, command("1")), A); /* in want of another one */
    close_all();
}

/* Time */

static void a_session_lives_while_it_is_used(void **state)
{
    (void)state;
    proxy(SESSIONS "session_timeout=6400 balance=round_robin");
    three_endpoints();
    const char *to = goes(U, ibb("open", "1"));
    for (unsigned i = 0; i < 5; i++) {
        now += 6399;
        expire();
        all_go(1, U, ibb("data", "1"), to);
        reload(SESSIONS "session_timeout=6400 balance=round_robin");
    }
    goes(U, PAYLOAD);
    goes(U, PAYLOAD);
    now += 6400;
    bool moved = false;
    for (unsigned i = 0; i < 3; i++) {
        moved |= strcmp(goes(U, ibb("open", "1")), to) != 0;
        now += 6400;
    }
    assert_true(moved);
    while (*expire() != '\0')
        ;
    assert_int_equal(count("sessions"), 0);
    close_all();
}

/* A reload */

static void a_reload_keeps_what_is_learned(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=round_robin");
    three_endpoints();
    const char *to = goes(U, ibb("open", "1"));
    const char *any = answered(V, PAYLOAD, logout("1"));
    reload("balance=round_robin");
    go_round(U, ibb("data", "1"));
    reload("sessions=" FOCUS " sessions=session-id sessions=any_requester "
           "sessions=" IBB " sessions=sid sessions=result balance=random");
    all_go(5, U, ibb("data", "1"), to);
    all_go(5, U, logout("1"), any);
    close_all();
}

static void drain(const char *jid)
{
    struct jat_endpoint_state how = {JAT_SHOW_NONE, 0, false, true};
    bool added;
    assert_int_equal(jat_put_endpoint(j, str(jid), &how, now, &added), JAT_OK);
    assert_false(added);
}

/* Kept keys */

#define ROOMS 60

static const char *room(unsigned i)
{
    return conference(line("room%u@muc.example", i), "");
}

static void rooms(const char *to[ROOMS])
{
    for (unsigned i = 0; i < ROOMS; i++)
        to[i] = answered(U, room(i), "");
}

static void a_running_room_stays_when_another_endpoint_joins(void **state)
{
    const char *to[ROOMS];
    (void)state;
    for (unsigned keeps = 0; keeps < 2; keeps++) {
        unsigned moved = 0;
        proxy(keeps ? BY_ROOM "sticky_ttl=6400" : BY_ROOM);
        three_endpoints();
        rooms(to);
        come(T "/d");
        for (unsigned i = 0; i < ROOMS; i++)
            moved += strcmp(goes(V, room(i)), to[i]) != 0;
        assert_int_equal(moved > 0, !keeps);
        unsigned new = 0;
        for (unsigned i = 0; i < ROOMS; i++)
            new += strcmp(goes(V, room(ROOMS + i)), T "/d") == 0;
        assert_true(new > 5); /* which has its share of the new ones */
        assert_int_equal(count("sessions"), keeps ? 2 * ROOMS : 0);
        close_all();
    }
}

static void a_room_moves_once_when_its_endpoint_goes(void **state)
{
    const char *to[ROOMS], *next[ROOMS];
    unsigned moved = 0;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400");
    three_endpoints();
    rooms(to);
    go(A);
    for (unsigned i = 0; i < ROOMS; i++) {
        next[i] = answered(V, room(i), "");
        if (strcmp(to[i], A) != 0)
            assert_words(next[i], to[i]);
        moved += strcmp(next[i], to[i]) != 0;
    }
    assert_in_range(moved, 8, 40);
    come(A);
    for (unsigned i = 0; i < ROOMS; i++)
        assert_words(goes(V, room(i)), next[i]);
    close_all();
}

static void a_room_lives_while_it_is_used(void **state)
{
    const char *to[ROOMS];
    unsigned moved = 0;
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400");
    three_endpoints();
    rooms(to);
    come(T "/d");
    for (unsigned k = 0; k < 3; k++) {
        now += 6399;
        expire();
        for (unsigned i = 0; i < ROOMS; i += 2)
            assert_words(goes(V, room(i)), to[i]);
    }
    assert_int_equal(count("sessions"), ROOMS / 2);
    for (unsigned i = 1; i < ROOMS; i += 2)
        moved += strcmp(goes(V, room(i)), to[i]) != 0;
    assert_true(moved > 0);
    close_all();
}

/* Without one it is kept until its first request is due, whoever asks. */
static void only_a_result_keeps_a_room_for_longer(void **state)
{
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 timeout=2000");
    three_endpoints();
    goes(U, room(1));
    goes(U, room(2));
    answers_as("error", "");
    ask_at("get", U, shown(A), room(3));
    answers("");
    assert_int_equal(count("sessions"), 2);
    now += 1999;
    goes(V, room(1));
    goes(V, room(2));
    expire();
    assert_int_equal(count("sessions"), 2);
    now += 1;
    expire();
    assert_int_equal(count("sessions"), 0);
    answered(U, room(1), "");
    now += 6399;
    expire();
    assert_int_equal(count("sessions"), 1);
    /* and only `sticky' has rooms */
    proxy("balance=random sticky_ttl=6400 sticky_by=" FOCUS
          " sticky_by_attribute=room");
    three_endpoints();
    answered(U, room(1), "");
    assert_int_equal(count("sessions"), 0);
    close_all();
}

/* A room whose endpoint has failed a request that another one has answered is
 * there now; a late result of the first does not bring it back. */
static void a_room_goes_along_with_a_request_that_is_sent_again(void **state)
{
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 retries=1");
    three_endpoints();
    const char *first = answered(U, room(1), "");
    ask_at("get", U, P, room(1));
    const char *other_id = line("%s", last_id), *from = from_of();
    ask_at("get", V, P, room(1));
    assert_words(to_of(), first);
    const char *mine = from_of();
    bounce(decision.forward.record, false);
    const char *second = place(&outcomes.text, outcomes.v[0].to);
    assert_string_not_equal(first, second);
    said(stanza("iq", "result", last_id, second, mine, ""));
    assert_int_equal(kind(&decision), ANSWER);
    all_go(3, U, room(1), second);
    said(stanza("iq", "result", other_id, first, from, ""));
    all_go(3, U, room(1), second);
    close_all();
}

static void a_room_stays_in_service_or_not(void **state)
{
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 drain_show=dnd");
    come(A);
    answered(U, room(1), "");
    come(B);
    put_as(A, JAT_SHOW_DND, false);
    all_go(3, V, room(1), A);
    all_go(3, V, room(2), B);
    put_as(A, JAT_SHOW_NONE, true);
    all_go(3, V, room(1), A);
    close_all();
}

/* A new endpoint comes, one is drained, and one waits to be resumed, before the
 * first request of a room is answered: whoever enters meanwhile goes along. */
static void a_room_is_where_its_first_request_is(void **state)
{
    const char *ids[ROOMS], *as[ROOMS], *to[ROOMS];
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 timeout=3000");
    three_endpoints();
    for (unsigned i = 0; i < ROOMS; i++) {
        to[i] = goes(U, room(i));
        ids[i] = line("%s", last_id);
        as[i] = from_of();
    }
    come(T "/d");
    drain(A);
    put_as(B, JAT_SHOW_NONE, true);
    for (unsigned i = 0; i < ROOMS; i++) {
        assert_words(goes(V, room(i)), to[i]);
        said(stanza("iq", "result", ids[i], to[i], as[i], ""));
        assert_int_equal(kind(&decision), ANSWER);
    }
    now += 3000;
    for (unsigned i = 0; i < ROOMS; i++)
        assert_words(goes(V, room(i)), to[i]);
    close_all();
}

/* When that endpoint has gone, the next request says where the room is. */
static void a_room_is_where_the_next_request_is(void **state)
{
    (void)state;
    for (unsigned with_result = 0; with_result < 2; with_result++) {
        proxy(BY_ROOM "sticky_ttl=6400");
        three_endpoints();
        const char *first = goes(U, room(1));
        if (with_result)
            answers("");
        go(first);
        const char *next = goes(V, room(1)), *id = line("%s", last_id),
                   *from = from_of();
        assert_string_not_equal(next, first);
        come(first);
        assert_words(goes(U, room(1)), next);
        said(stanza("iq", "result", id, next, from, ""));
        all_go(3, U, room(1), next);
        close_all();
    }
}

/* A stranger makes no room be lost but those that he made himself. */
static void rooms_without_number_are_their_makers_own_loss(void **state)
{
    const char *to[ROOMS];
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 max_sessions=1000 "
                  "local_domains=example.net");
    three_endpoints();
    rooms(to);
    for (unsigned i = 0; i < 1000; i++)
        answered(V, room(1000 + i), "");
    for (unsigned i = 0; i < ROOMS; i++) /* nor by coming into them */
        answered(V, room(i), "");
    for (unsigned i = 0; i < 1000; i++)
        answered(V, room(2000 + i), "");
    assert_int_equal(count("sessions"), ROOMS + JAT_KEPT_PER_USER);
    come(T "/d");
    for (unsigned i = 0; i < ROOMS; i++)
        assert_words(goes("w@example.net/r", room(i)), to[i]);
    close_all();
}

/* An operator has kept keys leave an endpoint */

/* How many kept keys and sessions stay with it, before any leaves. */
static struct jat_staying stay(const char *jid, bool leave)
{
    struct jat_staying all = {0, 0}, n;
    uint32_t cursor = 0;
    bool more;
    do {
        more = jat_stay_with(j, str(jid), leave, now, &cursor, &n);
        all.kept += n.kept;
        all.sessions += n.sessions;
    } while (more);
    return all;
}

static void rooms_leave_an_endpoint_and_sessions_stay(void **state)
{
    const char *to[ROOMS];
    size_t at_a = 0;
    (void)state;
    proxy("sessions=" IBB " sessions=sid sessions=own " BY_ROOM
          "sticky_ttl=6400");
    three_endpoints();
    rooms(to);
    for (unsigned i = 0; i < ROOMS; i++)
        at_a += strcmp(to[i], A) == 0;
    assert_in_range(at_a, 1, ROOMS - 2);
    const char *user = "w@example.net/r"; /* of the session at A */
    for (unsigned i = 0; strcmp(goes(user, ibb("open", "1")), A) != 0; i++)
        user = line("w%u@example.net/r", i);
    at_a++; /* user, who is in no room */
    assert_int_equal(stay(A, false).kept, at_a);
    assert_int_equal(stay(A, false).sessions, 1);
    drain(A);
    for (unsigned i = 0; i < ROOMS; i++)
        assert_words(goes(V, room(i)), to[i]); /* drained or not */
    assert_int_equal(stay(A, true).kept, at_a);
    assert_int_equal(stay(A, false).kept, 0);
    assert_int_equal(stay(A, false).sessions, 1);
    for (unsigned i = 0; i < ROOMS; i++) {
        const char *next = answered(V, room(i), "");
        assert_int_equal(strcmp(next, to[i]) == 0, strcmp(to[i], A) != 0);
        assert_string_not_equal(next, A);
        to[i] = next;
    }
    all_go(3, user, ibb("data", "1"), A);
    come(A);
    for (unsigned i = 0; i < ROOMS; i++)
        assert_words(goes(V, room(i)), to[i]);
    close_all();
}

/* What was in the hands of the endpoint is answered by it, and does not bring
 * the room back. */
static void a_late_answer_brings_no_room_back(void **state)
{
    (void)state;
    proxy(BY_ROOM "sticky_ttl=6400 timeout=2000");
    come(A);
    answered(U, room(1), "");
    goes(U, room(1));
    const char *first = line("%s", last_id), *from = from_of();
    come(B);
    drain(A);
    (void)stay(A, true);
    now += 1999;
    said(stanza("iq", "result", first, A, from, ""));
    assert_int_equal(kind(&decision), ANSWER);
    all_go(3, V, room(1), B);
    answers("");
    all_go(3, V, room(1), B);
    close_all();
}

/* Both */

static void a_session_goes_before_what_sticky_chooses(void **state)
{
    (void)state;
    proxy(SESSIONS "balance=sticky sticky_by=full sticky_ttl=1000");
    three_endpoints();
    const char *at = NULL;
    for (unsigned i = 0; i < 40; i++) {
        const char *user = line("u@example.net/%u", i);
        if (i == 0)
            at = answered(user, command(""), command("1"));
        all_go(2, user, command("1"), at);
    }
    close_all();
}

/* Jitsi's conference names both: all who come to one room must meet there,
 * wherever they have logged in. */
static void a_room_goes_before_a_session_of_any_requester(void **state)
{
    const char *to[ROOMS];
    unsigned apart = 0;
    (void)state;
    proxy(SESSIONS BY_ROOM "sticky_ttl=6400");
    three_endpoints();
    rooms(to);
    const char *at = answered(U, conference("r@muc.example", ""), logout("s"));
    for (unsigned i = 0; i < ROOMS; i++) {
        const char *payload = conference(line("room%u@muc.example", i), "s");
        assert_words(goes(V, payload), to[i]);
        assert_words(answered(V, payload, payload), to[i]);
        apart += strcmp(to[i], at) != 0;
    }
    assert_true(apart > 10);
    all_go(3, V, logout("s"), at);
    close_all();
}

/* ... but not before one of the requester's own. */
static void a_session_of_ones_own_goes_before_a_room(void **state)
{
    (void)state;
    proxy("sessions=" FOCUS " sessions=session-id sessions=result " BY_ROOM);
    three_endpoints();
    const char *at = answered(U, conference("r@muc.example", ""), logout("s"));
    for (unsigned i = 0; i < 20; i++)
        all_go(1, U, conference(line("room%u@muc.example", i), "s"), at);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_result_binds_the_session_that_it_names),
        CASE(of_some_a_request_binds_its_session_at_once),
        CASE(of_others_only_a_result_does),
        CASE(neither_an_error_nor_another_payload_does),
        CASE(without_the_option_there_is_none),
        CASE(the_last_result_that_names_it_has_it),
        CASE(each_requester_has_sessions_of_his_own),
        CASE(a_session_of_any_requester_is_the_same_for_all),
        CASE(a_request_to_an_endpoint_neither_learns_nor_moves),
        CASE(names_without_number_are_their_senders_own_loss),
        CASE(each_node_has_sessions_of_its_own),
        CASE(a_session_goes_to_its_endpoint_in_service_or_not),
        CASE(when_the_endpoint_has_gone_one_request_is_told),
        CASE(a_request_of_a_session_is_never_sent_again),
        CASE(a_request_of_another_ones_session_is_never_sent_again),
        CASE(other_ends_leave_the_session_where_it_is),
        CASE(a_session_waits_for_a_resource_that_comes_back),
        CASE(a_session_moves_for_good_after_resume_wait),
        CASE(a_session_of_any_requester_moves_for_all),
        CASE(a_request_in_its_hands_stays_when_its_session_moves),
        CASE(a_session_stays_while_no_other_endpoint_is_in_service),
        CASE(a_session_stays_where_the_others_have_enough_to_do),
        CASE(a_session_that_has_moved_is_told_of_once_more),
        CASE(a_session_lives_while_it_is_used),
        CASE(a_reload_keeps_what_is_learned),
        CASE(a_running_room_stays_when_another_endpoint_joins),
        CASE(a_room_moves_once_when_its_endpoint_goes),
        CASE(a_room_lives_while_it_is_used),
        CASE(only_a_result_keeps_a_room_for_longer),
        CASE(a_room_goes_along_with_a_request_that_is_sent_again),
        CASE(a_room_is_where_its_first_request_is),
        CASE(a_room_is_where_the_next_request_is),
        CASE(a_room_stays_in_service_or_not),
        CASE(rooms_without_number_are_their_makers_own_loss),
        CASE(rooms_leave_an_endpoint_and_sessions_stay),
        CASE(a_late_answer_brings_no_room_back),
        CASE(a_session_goes_before_what_sticky_chooses),
        CASE(a_room_goes_before_a_session_of_any_requester),
        CASE(a_session_of_ones_own_goes_before_a_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
