/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Endpoints that do not do what they are there for, and strangers who try to
 * have one of them put out of service. */
#include <malloc.h>

#include "jat_fixture.h"

/* How an endpoint answers. */
struct manner {
    unsigned ms, error_ms; /* after so long */
    unsigned answers_each; /* each so manieth request, none of 0, ... */
    unsigned error_each;   /* ... and each so manieth with an error */
};

static const struct manner good = {.ms = 20, .answers_each = 1};
static const struct manner errs = {.answers_each = 1, .error_each = 1};
static const struct manner hangs = {.ms = 20};

/* A request that is to be answered. */
struct open {
    uint64_t at;
    const char *id, *to, *from;
    bool error;
};

static struct open opens[1024];
static unsigned n_open;

/* What came of some requests. */
struct traffic {
    unsigned at_a, results, errors;
};

static void answer_what_is_due(struct traffic *t)
{
    for (unsigned i = 0; i < n_open;) {
        struct open o = opens[i];
        if (o.at > now) {
            i++;
            continue;
        }
        opens[i] = opens[--n_open];
        (void)said(iq(o.error ? "error" : "result", o.id, o.to, o.from));
        assert_int_equal(kind(&decision), ANSWER);
        *(o.error ? &t->errors : &t->results) += 1;
    }
}

static void second(void)
{
    (void)expire();
    jat_tick(j, now);
}

static bool each(unsigned k, unsigned manieth)
{
    return manieth > 0 && k % manieth == 0;
}

/* n requests of 30 users, one each 5 ms. Each of them is forwarded. */
static struct traffic traffic(unsigned n, struct manner a, struct manner b)
{
    struct traffic t = {0, 0, 0};
    unsigned asked[2] = {0, 0};
    n_open = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *id = line("%u", i);
        (void)get(id, line("u%u@example.net/r", i % 30), P);
        assert_int_equal(kind(&decision), REQUEST);
        const char *to = to_of();
        bool at_a = strcmp(to, A) == 0;
        const struct manner *m = at_a ? &a : &b;
        unsigned k = ++asked[at_a];
        bool error = each(k, m->error_each);
        if (each(k, m->answers_each))
            opens[n_open++] = (struct open){now + (error ? m->error_ms : m->ms),
                                            id, to, from_of(), error};
        now += 5;
        answer_what_is_due(&t);
        if (i % 200 == 199)
            second();
    }
    t.at_a = asked[true];
    return t;
}

#define MANY 1500U

static struct traffic two(const char *options, struct manner a, struct manner b)
{
    proxy(line("balance=peak_ewma %s", options));
    come(A);
    come(B);
    struct traffic t = traffic(MANY, a, b);
    print_message("%u of %u at A; %u results, %u errors\n", t.at_a, MANY,
                  t.results, t.errors);
    close_all();
    return t;
}

/* peak_ewma */

static void two_of_a_kind_share_the_traffic(void **state)
{
    (void)state;
    struct traffic t = two("", good, good);
    assert_in_range(t.at_a, 600, 900);
}

static void errors_at_once_win_no_traffic(void **state)
{
    (void)state;
    struct traffic t = two("", errs, good);
    assert_in_range(t.at_a, 1, 30);
    assert_int_equal(t.errors, t.at_a);
}

/* Errors that come at once make it look no faster than its results. */
static void an_error_at_each_third_wins_little_traffic(void **state)
{
    (void)state;
    struct manner some = good;
    some.error_each = 3;
    struct traffic t = two("", some, good);
    assert_in_range(t.at_a, 600, 1000);
    assert_in_range(t.errors, t.at_a / 3 - 1, t.at_a / 3 + 1);
}

static void what_answers_each_third_gets_little(void **state)
{
    (void)state;
    struct manner some = good;
    some.answers_each = 3;
    struct traffic t = two("timeout=1000", some, good);
    assert_in_range(t.at_a, 3, 60);
}

static void what_never_answers_gets_little(void **state)
{
    (void)state;
    static const char *const ejection[] = {"", " outlier_ejection=0"};
    for (unsigned i = 0; i < 2; i++) {
        struct traffic t =
            two(line("timeout=1000%s", ejection[i]), hangs, good);
        assert_in_range(t.at_a, 1, 30);
    }
}

/* All are bad */

static void where_all_are_bad_requests_still_go_out(void **state)
{
    (void)state;
    const struct manner bad[] = {hangs, errs};
    static const char *const how[] = {"random", "round_robin", "least_pending",
                                      "peak_ewma", "sticky"};
    for (unsigned i = 0; i < 10; i++) {
        proxy(line("balance=%s timeout=1000 max_pending_per_user=10000",
                   how[i / 2]));
        come(A);
        come(B);
        struct traffic t = traffic(400, bad[i % 2], bad[i % 2]);
        assert_in_range(t.at_a, 100, 300);
        assert_int_equal(count("ejections"), 0);
        close_all();
    }
}

static void where_all_are_silent_requests_still_go_out(void **state)
{
    (void)state;
    proxy("ping_interval=1000 timeout=1000 balance=round_robin");
    come(A);
    come(B);
    for (unsigned i = 0; i < 60; i++) {
        struct jat_buf b = JAT_BUF_INIT;
        struct jat_ping p;
        uint32_t cursor = 0;
        now += 1000;
        second();
        while (jat_next_ping(j, &cursor, now, &b, &p) == JAT_OK)
            ;
        jat_buf_fini(&b);
    }
    assert_int_equal(count("silent"), 2);
    struct traffic t = traffic(20, good, good);
    assert_int_equal(t.at_a, 10);
    close_all();
}

/* Strangers at a quiet hour */

/* Whose key A (or B) keeps from now on. */
static const char *kept_at(const char *endpoint, const char *name)
{
    for (unsigned i = 0; i < 30; i++) {
        const char *user = line("%s%u@example.net/r", name, i);
        (void)get("honest", user, P);
        const char *to = to_of(), *from = from_of();
        if (strcmp(to, endpoint) == 0) {
            (void)result("honest", to, from);
            return user;
        }
        (void)said(iq("error", "honest", to, from)); /* keeps nothing */
    }
    fail();
    return NULL;
}

/* He is answered, and by this endpoint. */
static void asks(const char *user, const char *endpoint)
{
    (void)get("honest", user, P);
    assert_string_equal(to_of(), endpoint);
    (void)result("honest", endpoint, from_of());
    assert_int_equal(kind(&decision), ANSWER);
}

/* Five of a hundred strangers ask what is never answered. */
static void strangers_ask(unsigned s, const char *to)
{
    for (unsigned i = 0; i < 5; i++) {
        const char *user = line("s%u@example.net/r", (5 * s + i) % 100);
        (void)get(line("%u-%u", s, i), user, to);
        assert_int_equal(kind(&decision), REQUEST);
    }
}

/* Pings are answered at once. */
static void answer_pings(void)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_ping p;
    uint32_t cursor = 0;
    while (jat_next_ping(j, &cursor, now, &b, &p) == JAT_OK)
        jat_ponged(j, p.eid, true, now);
    jat_buf_fini(&b);
}

#define SECONDS 400U

/* What goes on meanwhile. */
struct hour {
    const char *to; /* what the strangers ask; none: the address of A */
    unsigned each;  /* A answers somebody each so many seconds */
    unsigned busy;  /* from this second on others ask P, too */
    const char *timeout;
};

/* New ones, whose keys are kept nowhere. */
static void others_ask(unsigned s)
{
    for (unsigned i = 0; i < 5; i++) {
        (void)get("other", line("n%u-%u@example.net/r", s, i), P);
        (void)result("other", to_of(), from_of());
        assert_int_equal(kind(&decision), ANSWER);
    }
}

/* For how many of SECONDS A is out of service. B has somebody to answer
 * each second, and is never so. */
static unsigned out_of_service(struct hour h)
{
    unsigned out = 0;
    proxy(line("timeout=%s balance=sticky sticky_by=bare sticky_ttl=3600000 "
               "local_domains=example.net",
               h.timeout));
    come(A);
    come(B);
    const char *at_a = kept_at(A, "a"), *at_b = kept_at(B, "b");
    const char *to = h.to == NULL ? shown(A) : h.to;
    for (unsigned s = 0; s < SECONDS; s++) {
        strangers_ask(s, to);
        asks(at_b, B);
        if (s % h.each == h.each - 1)
            asks(at_a, A);
        if (s >= h.busy)
            others_ask(s);
        now += 1000;
        second();
        answer_pings();
        out += endpoint(A).draining == JAT_DRAIN_EJECTED;
        assert_int_equal(endpoint(B).draining, 0);
        assert_true(endpoint(A).ejected <= 30000);
    }
    print_message("out of service for %u of %u s, %u ejections\n", out, SECONDS,
                  (unsigned)count("ejections"));
    assert_true(out <= 30 * count("ejections"));
    close_all();
    return out;
}

/* Again and again, as long as nobody asks A anything that it answers; but never
 * for longer, for it answers pings. Its kept keys stay. */
static void strangers_gain_half_a_minute_at_a_time(void **state)
{
    static const struct hour quiet[] = {{P, 60, SECONDS, "1000"},
                                        {P, SECONDS, SECONDS, "60000"}};
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        assert_in_range(out_of_service(quiet[i]), 30, SECONDS - 30);
}

/* Who is back is asked, and answers. */
static void with_the_first_busy_hour_that_is_over(void **state)
{
    (void)state;
    assert_in_range(out_of_service((struct hour){P, SECONDS, 40, "1000"}), 30,
                    60);
}

static void where_somebody_is_answered_they_gain_nothing(void **state)
{
    (void)state;
    assert_int_equal(out_of_service((struct hour){P, 9, SECONDS, "1000"}), 0);
}

static void nor_do_they_by_the_address_of_the_endpoint(void **state)
{
    (void)state;
    assert_int_equal(
        out_of_service((struct hour){NULL, SECONDS, SECONDS, "1000"}), 0);
}

/* Made-up sessions */

#define IBB "http://jabber.org/protocol/ibb"
#define NAMES 6000U
#define MOST 1000U

static size_t octets; /* of the core */

static void *weighing_realloc(void *p, size_t n)
{
    size_t was = p == NULL ? 0 : malloc_usable_size(p);
    void *q = realloc(p, n);
    if (q != NULL)
        octets += malloc_usable_size(q) - was;
    return q;
}

static void weighing_free(void *p)
{
    octets -= p == NULL ? 0 : malloc_usable_size(p);
    free(p);
}

/* A request of this session, and its answer. (No copies of texts are kept: they
 * are many.) True: it went to A, and else to B. */
static bool use_session(const char *user, unsigned session)
{
    static char xml[1000];
    (void)snprintf(xml, sizeof xml,
                   "<iq xmlns='jabber:client' type='set' id='1' from='%s' "
                   "to='" P "'><data xmlns='" IBB "' sid='%u'/></iq>",
                   user, session);
    assert_int_equal(handle(xml), JAT_OK);
    assert_int_equal(kind(&decision), REQUEST);
    bool at_a = decided.p[decision.forward.to.resource.at] == 'a';
    (void)snprintf(xml, sizeof xml,
                   "<iq xmlns='jabber:client' type='result' id='1' "
                   "from='%s' to='" P "/%s'/>",
                   at_a ? A : B, user);
    assert_int_equal(handle(xml), JAT_OK);
    assert_int_equal(kind(&decision), ANSWER);
    return at_a;
}

/* Somebody's ten sessions at A: how many of them are there still. */
static unsigned sessions_left(void)
{
    unsigned left = 0;
    for (unsigned i = 0; i < 10; i++)
        left += use_session("honest@example.net/r", i);
    return left;
}

static void made_up_sessions_take_no_more_room_than_there_is(void **state)
{
    static const char *const makers[] = {"x@example.net/r", "x%u@far.example/r",
                                         "x@far%u.example/r",
                                         "x%u@example.net/r"};
    (void)state;
    spare_this_test();
    jat_mem_set(weighing_realloc, weighing_free);
    for (unsigned i = 0; i < 4; i++) {
        size_t half = 0;
        proxy("sessions=" IBB " sessions=sid sessions=own max_sessions=1000 "
              "max_contacts=1000 drain_show=dnd local_domains=example.net");
        come(A);
        assert_int_equal(sessions_left(), 10);
        put_as(A, JAT_SHOW_DND, false);
        come(B);
        for (unsigned k = 0; k < NAMES; k++) {
            char user[64];
            const char *number = strstr(makers[i], "%u");
            size_t n = number == NULL ? strlen(makers[i])
                                      : (size_t)(number - makers[i]);
            (void)snprintf(user, sizeof user, "%.*s", (int)n, makers[i]);
            if (number != NULL)
                (void)snprintf(user + n, sizeof user - n, "%u%s", k,
                               number + 2);
            assert_false(use_session(user, 10 + k));
            now++;
            if (k == NAMES / 2)
                half = octets;
        }
        print_message("%zu KB after %u names, %zu after %u\n", half / 1000,
                      NAMES / 2, octets / 1000, NAMES);
        assert_in_range(count("sessions"), 100, MOST);
        assert_true(octets < half + half / 10);
        /* accounts of this server are not made up by the thousand */
        if (i < 3)
            assert_int_equal(sessions_left(), 10);
        close_all();
    }
    jat_instance_free(j);
    j = NULL;
}

/* Coming and going */

static void what_comes_and_goes_leaves_nothing(void **state)
{
    (void)state;
    proxy("balance=sticky sticky_by=bare sticky_ttl=3600000 max_endpoints=2 "
          "sessions=urn:s sessions=id sessions=result");
    come(B);
    for (unsigned i = 0; i < 1000; i++) {
        come(A);
        assert_int_equal(count("endpoints"), 2);
        (void)get("1", line("u%u@example.net/r", i % 40), P);
        if (i % 2 == 0)
            (void)result("1", to_of(), from_of());
        (void)go(A);
        (void)go(B);
        come(B);
        assert_int_equal(count("pending"), 0);
    }
    assert_int_equal(count("endpoints"), 1);
    assert_in_range(count("sessions"), 0, 40);
    close_all();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(two_of_a_kind_share_the_traffic),
        CASE(errors_at_once_win_no_traffic),
        CASE(an_error_at_each_third_wins_little_traffic),
        CASE(what_answers_each_third_gets_little),
        CASE(what_never_answers_gets_little),
        CASE(where_all_are_bad_requests_still_go_out),
        CASE(where_all_are_silent_requests_still_go_out),
        CASE(strangers_gain_half_a_minute_at_a_time),
        CASE(with_the_first_busy_hour_that_is_over),
        CASE(where_somebody_is_answered_they_gain_nothing),
        CASE(nor_do_they_by_the_address_of_the_endpoint),
        CASE(made_up_sessions_take_no_more_room_than_there_is),
        CASE(what_comes_and_goes_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
