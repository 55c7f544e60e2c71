/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Which endpoint a request goes to. */
#include "jat_fixture.h"
#include "jid.h"

static const char *chosen(const char *user, const char *children)
{
    static unsigned n;
    said(stanza("iq", "get", line("%u", n++), user, P, children));
    assert_int_equal(kind(&decision), REQUEST);
    return to_of();
}

#define ROOM(r) "<conference xmlns='urn:room' room='" r "'/>"
#define OTHER "<query xmlns='urn:other' room='5'/>"

static void ten_endpoints(void)
{
    for (unsigned i = 0; i < 10; i++)
        come(line("%s/%u", T, i));
}

/* How many of 40 requesters u@d/r do not meet this one of the same number. */
static unsigned parted(char user, char domain, char resource)
{
    unsigned n = 0;
    for (int i = 0; i < 40; i++) {
        const char *a = chosen(line("u%d@d%d.net/r", i, i), OTHER);
        const char *b = line("%c%d@%c%d.net/%c", user, i, domain, i, resource);
        n += strcmp(a, chosen(b, OTHER)) != 0;
    }
    return n;
}

static void sticky_goes_by_the_key_that_was_asked_for(void **state)
{
    static const struct {
        const char *by;
        bool resource, user; /* another one: another endpoint */
    } keys[] = {
        {"bare", false, true}, {"full", true, true}, {"domain", false, false}};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        proxy(line("balance=sticky sticky_by=%s", keys[i].by));
        ten_endpoints();
        assert_int_equal(parted('u', 'd', 'r'), 0);
        assert_true(keys[i].resource == (parted('u', 'd', 's') > 10));
        assert_true(keys[i].user == (parted('v', 'd', 'r') > 10));
        assert_true(parted('u', 'e', 'r') > 10);
        close_all();
    }
}

/* Of how many of 40 requesters the endpoint is another one by these options. */
static unsigned moved(const char *before, const char *after)
{
    const char *to[40];
    unsigned n = 0;
    proxy(before);
    ten_endpoints();
    for (unsigned i = 0; i < 40; i++)
        to[i] = chosen(line("u%u@example.net/r", i), OTHER);
    close_all();
    proxy(after);
    ten_endpoints();
    for (unsigned i = 0; i < 40; i++)
        n += strcmp(to[i], chosen(line("u%u@example.net/r", i), OTHER)) != 0;
    close_all();
    return n;
}

/* Otherwise a target would guess whose requests come to which of its endpoints,
 * which it may name as it likes, and know the requester soon. */
static void who_is_sealed_sticks_where_only_the_key_says(void **state)
{
    (void)state;
    assert_int_equal(moved("balance=sticky encoding=sealed keys=k",
                           "balance=sticky encoding=sealed keys=k"),
                     0);
    assert_true(moved("balance=sticky encoding=sealed keys=k",
                      "balance=sticky encoding=sealed keys=l") > 20);
    assert_true(moved("balance=sticky encoding=sealed keys=k",
                      "balance=sticky encoding=jid keys=k") > 20);
    /* no pseudonym: what the target sees it need not guess */
    assert_int_equal(moved("balance=sticky encoding=jid keys=k",
                           "balance=sticky encoding=jid keys=l"),
                     0);
}

static void sticky_by_an_attribute_brings_a_room_together(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    ten_endpoints();
    const char *first = chosen(U, ROOM("1"));
    unsigned apart = 0, spread = 0;
    for (int i = 0; i < 30; i++) {
        const char *user = line("u%d@example.net/r", i);
        assert_words(chosen(user, ROOM("1")), first);
        apart += strcmp(chosen(user, OTHER), first) != 0; /* bare */
        const char *bare = chosen(user, OTHER);
        spread += strcmp(bare, chosen("u@example.net", OTHER)) != 0;
        assert_words(chosen(line("u%d@example.net/s", i), OTHER), bare);
        assert_words(chosen(user, "<x xmlns='urn:room'/>"), bare);
    }
    assert_true(apart > 10 && spread > 10);
    close_all();
}

static const char *in_room(const char *type, const char *room)
{
    static unsigned n;
    return stanza("iq", type, line("r%u", n++), U, P,
                  line("<conference xmlns='urn:room' room='%s'/>", room));
}

static void a_room_that_may_be_unprepared_is_asked_about(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    ten_endpoints();
    for (unsigned i = 0; i < 20; i++) {
        const char *type = i % 2 == 0 ? "get" : "set";
        const char *room = line("room%u@muc.example", i);
        const char *Room = line("Room%u@MUC.example", i);
        said(in_room(type, room));
        const char *to = to_of();
        assert_words(said(in_room(type, Room)), line("ask jid %s", Room));
        prepared = room;
        said(in_room(type, Room));
        prepared = "";
        assert_int_equal(kind(&decision), REQUEST);
        assert_words(to_of(), to);
    }
    close_all();
}

/* It counts as it is, and the same at each time; so does one that is longer
 * than any JID, about which nobody is asked. */
static void a_room_that_is_no_jid_counts_as_it_is(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    ten_endpoints();
    unsigned apart = 0;
    for (unsigned i = 0; i < 20; i++) {
        const char *room[] = {line("Room%u@@", i), line("room%u@@", i)};
        const char *to[2];
        for (unsigned k = 0; k < 2; k++) {
            assert_words(said(in_room("get", room[k])),
                         line("ask jid %s", room[k]));
            hints = JAT_HINT_JID_MALFORMED;
            said(in_room("get", room[k]));
            to[k] = to_of();
            said(in_room("set", room[k]));
            assert_words(to_of(), to[k]);
            hints = 0;
        }
        apart += strcmp(to[0], to[1]) != 0;
    }
    assert_true(apart > 10);
    for (unsigned n = JAT_JID_MAX; n <= JAT_JID_MAX + 1; n++) {
        const char *room = times('R', n);
        const char *says = said(in_room("get", room));
        if (n == JAT_JID_MAX)
            assert_words(says, line("ask jid %s", room));
        else
            assert_int_equal(kind(&decision), REQUEST);
    }
    said(in_room("get", "")); /* as if it were not there */
    assert_words(to_of(), chosen(U, OTHER));
    assert_int_equal(count("pending"), 20 * 4 + 3);
    close_all();
}

/* Two questions about one stanza: each answer is given with the other. */
static void a_room_and_a_requester_may_both_be_asked_about(void **state)
{
    (void)state;
    const char *user = "u@example.net/\xd7\x90";
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    ten_endpoints();
    said(in_room("get", "room@muc.example"));
    const char *to = to_of();
    const char *xml = stanza("iq", "get", "1", user, P,
                             "<x xmlns='urn:room' room='ROOM@muc.example'/>");
    const char *first = said(xml);
    if (strstr(first, "resourceprep") != NULL)
        hints = JAT_HINT_RESOURCEPREP_OK;
    else
        prepared = "room@muc.example";
    const char *second = said(xml);
    assert_true(strstr(first, "jid") != strstr(second, "jid"));
    hints = JAT_HINT_RESOURCEPREP_OK;
    prepared = "room@muc.example";
    said(xml);
    assert_int_equal(kind(&decision), REQUEST);
    assert_words(to_of(), to);
    close_all();
}

/* Nobody asks where the choice is another one. */
static void no_room_is_asked_about_where_nobody_is_sticky(void **state)
{
    (void)state;
    proxy("balance=random sticky_by=urn:room sticky_by_attribute=room");
    come(A);
    said(in_room("get", "ROOM@muc.example"));
    assert_int_equal(kind(&decision), REQUEST);
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    come(A);
    said(stanza("iq", "get", "1", U, shown(A), ROOM("ROOM@muc.example")));
    assert_int_equal(kind(&decision), REQUEST);
    go(A);
    assert_words(said(in_room("get", "ROOM@muc.example")),
                 "error recipient-unavailable");
}

static void a_sticky_choice_moves_only_where_it_must(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=full retries=1");
    ten_endpoints();
    const char *users[40], *before[40];
    for (int i = 0; i < 40; i++) {
        users[i] = line("u%d@example.net/r", i);
        before[i] = chosen(users[i], PAYLOAD);
    }
    close_all();
    go(T "/3");
    for (int i = 0; i < 40; i++)
        if (strcmp(before[i], T "/3") != 0)
            assert_words(chosen(users[i], PAYLOAD), before[i]);
    close_all();
}

/* A retry goes where the key would lead without the endpoint that failed. */
static void the_retry_of_a_sticky_request_follows_the_same_key(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=urn:room sticky_by_attribute=room");
    ten_endpoints();
    const char *first = chosen(U, ROOM("x"));
    uint64_t record = decision.forward.record;
    bounce(record, false);
    const char *second = place(&outcomes.text, outcomes.v[0].to);
    assert_string_not_equal(first, second);
    for (int i = 0; i < 10; i++) {
        chosen(line("v%d@example.net/r", i), ROOM("x"));
        bounce(decision.forward.record, false);
        assert_words(place(&outcomes.text, outcomes.v[0].to), second);
    }
    close_all();
    go(first);
    assert_words(chosen(U, ROOM("x")), second);
    close_all();
}

static void
a_draining_endpoint_gets_nothing_new_while_others_are_there(void **s)
{
    (void)s;
    proxy("drain_show=xa drain_show=dnd balance=round_robin");
    put_as(A, JAT_SHOW_DND, false);
    put_as(B, JAT_SHOW_NONE, true); /* kept for resumption */
    put_as(C, JAT_SHOW_AWAY, false);
    for (int i = 0; i < 9; i++)
        assert_words(chosen(U, PAYLOAD), C);
    put_as(C, JAT_SHOW_XA, false); /* panic: all are used again */
    bool used[3] = {false};
    for (int i = 0; i < 9; i++)
        used[chosen(U, PAYLOAD)[sizeof T] - 'a'] = true;
    assert_true(used[0] && used[1] && used[2]);
    put_as(B, JAT_SHOW_NONE, false); /* resumed */
    for (int i = 0; i < 9; i++)
        assert_words(chosen(U, PAYLOAD), B);
    get("named", U, shown(A)); /* who names it gets it */
    assert_words(to_of(), A);
    reload("drain_show=chat");
    put_as(C, JAT_SHOW_CHAT, false);
    used[0] = used[1] = used[2] = false;
    for (int i = 0; i < 40; i++)
        used[chosen(U, PAYLOAD)[sizeof T] - 'a'] = true;
    assert_true(used[0] && used[1] && !used[2]);
    close_all();
}

static void a_retry_takes_a_draining_endpoint_rather_than_none(void **state)
{
    (void)state;
    proxy("drain_show=dnd");
    put_as(A, JAT_SHOW_DND, false);
    come(B);
    get("1", U, P);
    assert_words(to_of(), B);
    assert_words(bounce(decision.forward.record, false),
                 "retry " PU " > " A " #1");
    close_all();
}

static void every_strategy_uses_all_endpoints(void **state)
{
    static const char *const how[] = {"random", "round_robin", "least_pending"};
    (void)state;
    spare_this_test(); /* a request that comes to nothing has its turn, too */
    for (unsigned i = 0; i < 3; i++) {
        unsigned n[10] = {0};
        proxy(line("balance=%s", how[i]));
        ten_endpoints();
        for (int k = 0; k < 300; k++)
            n[atoi(chosen(U, PAYLOAD) + sizeof T)]++;
        for (unsigned k = 0; k < 10; k++)
            assert_in_range(n[k], i == 1 ? 30 : 8, i == 1 ? 30 : 60);
        close_all();
    }
}

/* The core keeps nothing between calls but its tables. */
static void the_same_calls_of_the_same_instance_choose_the_same(void **state)
{
    spare_this_test(); /* each draw counts */
    const char *first[40];
    (void)state;
    for (unsigned run = 0; run < 2; run++) {
        proxy("balance=random");
        ten_endpoints();
        for (unsigned i = 0; i < 40; i++) {
            const char *to = chosen(U, PAYLOAD);
            if (run == 0)
                first[i] = to;
            assert_words(to, first[i]);
        }
        close_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sticky_goes_by_the_key_that_was_asked_for),
        CASE(who_is_sealed_sticks_where_only_the_key_says),
        CASE(sticky_by_an_attribute_brings_a_room_together),
        CASE(a_room_that_may_be_unprepared_is_asked_about),
        CASE(a_room_that_is_no_jid_counts_as_it_is),
        CASE(a_room_and_a_requester_may_both_be_asked_about),
        CASE(no_room_is_asked_about_where_nobody_is_sticky),
        CASE(a_sticky_choice_moves_only_where_it_must),
        CASE(the_retry_of_a_sticky_request_follows_the_same_key),
        CASE(a_draining_endpoint_gets_nothing_new_while_others_are_there),
        CASE(a_retry_takes_a_draining_endpoint_rather_than_none),
        CASE(every_strategy_uses_all_endpoints),
        CASE(the_same_calls_of_the_same_instance_choose_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
