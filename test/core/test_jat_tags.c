/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Ids that carry the tag of the node which owns the record; answers that belong
 * to another node. */
#include "jat_fixture.h"

#include "tag.h"

#define HERE "HERE!"
#define THERE "there"
#define TAGGED "tag=" HERE " tag_key=a.key.of.sixteen "

static struct jat_tag_key node(const char *tag)
{
    struct jat_tag_key k;
    assert_int_equal(
        jat_tag_key_make(JAT_STR("a.key.of.sixteen"), str(tag), &k), JAT_OK);
    return k;
}

/* An id that a node with this tag might have made of `before`. */
static const char *tagged(const char *before, const char *tag)
{
    static uint64_t nonce = 77;
    struct jat_tag_key k = node(tag);
    char sealed[JAT_TAG_SEALED];
    jat_tag_seal(&k, nonce++, sealed);
    return line("%s%.*s", before, (int)sizeof sealed, sealed);
}

/* The id on the far side of what was said last: `before`, then the sealed tag
 * of this node. */
static const char *sent_id(const char *before)
{
    struct jat_tag_key k = node(HERE);
    char tag[JAT_TAG];
    const char *id = line("%s", last_id);
    assert_int_equal(strlen(id), strlen(before) + JAT_TAG_SEALED);
    assert_memory_equal(id, before, strlen(before));
    assert_true(jat_tag_open(&k, str(id), tag));
    assert_memory_equal(tag, HERE, JAT_TAG);
    return id;
}

/* The same of an id of ours. */
static const char *sent_ours(void)
{
    const char *ours = line("%.36s", last_id);
    assert_memory_equal(ours, "jat-", 4);
    return sent_id(ours);
}

static void an_id_has_the_tag_on_the_far_side_only(void **state)
{
    (void)state;
    proxy(TAGGED);
    come(A);
    const char *says = get("1234", U, P);
    assert_words(says, line("request " PU " > " A " #%s keep", last_id));
    assert_true(decision.forward.new_id);
    const char *id = sent_id("1234");
    assert_words(result("1234", A, PU), "drop unsolicited");
    assert_words(result(id, A, PU), "answer " P " > " U " #1234 kept");
    assert_true(decision.forward.new_id);
    assert_words(result(id, A, PU), "drop unsolicited");
    assert_int_equal(count("replaced_ids"), 0);
}

static void so_has_that_of_a_request_of_an_endpoint(void **state)
{
    (void)state;
    proxy(TAGGED "outbound=any");
    come(A);
    get("1234", A, PU);
    assert_int_equal(kind(&decision), OUTBOUND);
    assert_true(decision.forward.new_id);
    const char *id = sent_id("1234");
    assert_words(result("1234", U, shown(A)), "drop unsolicited");
    assert_words(result(id, U, shown(A)), "answer " PU " > " A " #1234");
    assert_true(decision.forward.new_id);
    assert_int_equal(count("replaced_ids"), 0);
}

static void what_cannot_be_kept_is_replaced_and_tagged(void **state)
{
    (void)state;
    proxy(TAGGED "outbound=any");
    come(A);
    assert_words(get("rr-1", U, P), "request " PU " > " A " #ours keep");
    const char *id = sent_ours();
    assert_words(result(line("%.36s", id), A, PU), "drop unsolicited");
    assert_words(result(id, A, PU), "answer " P " > " U " #rr-1 kept");
    assert_words(get("a&#9;b", A, PU),
                 line("outbound %s > " U " #ours", shown(A)));
    assert_words(result(sent_ours(), U, shown(A)),
                 "answer " PU " > " A " #a\tb");
    assert_int_equal(count("replaced_ids"), 2);
}

/* Each has another tag, so none is in the way of the other. */
static void the_same_id_may_be_in_flight_twice(void **state)
{
    (void)state;
    proxy(TAGGED);
    come(A);
    get("1", U, P);
    const char *first = sent_id("1");
    get("1", U, P);
    const char *second = sent_id("1");
    assert_string_not_equal(first, second);
    assert_words(result(second, A, PU), "answer " P " > " U " #1 kept");
    assert_words(result(second, A, PU), "drop unsolicited");
    assert_words(result(first, A, PU), "answer " P " > " U " #1 kept");
    assert_int_equal(count("replaced_ids"), 0);
}

/* Whoever asks may write what looks like a tag. */
static void an_id_that_ends_in_the_tag_of_another_node_comes_back(void **state)
{
    (void)state;
    proxy(TAGGED "outbound=any");
    come(A);
    for (unsigned i = 0; i < 2; i++) {
        const char *own = tagged("1", i == 0 ? THERE : HERE);
        const char *nobodys = i == 0 ? "elsewhere " THERE : "drop unsolicited";
        get(own, U, P);
        const char *id = sent_id(own);
        assert_words(result(own, A, PU), nobodys);
        assert_words(result(id, A, PU),
                     line("answer " P " > " U " #%s kept", own));
        get(own, A, PU);
        id = sent_id(own);
        assert_words(result(own, U, shown(A)), nobodys);
        assert_words(result(id, U, shown(A)),
                     line("answer " PU " > " A " #%s", own));
    }
}

static void the_longest_id_comes_back_and_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const char *own = line("%s%s", i == 0 ? "x-" : "rr-",
                               times('i', JAT_ID_MAX - (i == 0 ? 2 : 3)));
        proxy(TAGGED "outbound=any resume_wait=1000");
        come(A);
        get(own, U, P);
        const char *first = i == 0 ? sent_id(own) : sent_ours();
        come(B);
        bounce(decision.forward.record, true);
        assert_int_equal(outcomes.v[0].fate, JAT_FATE_RETRY);
        const char *second = i == 0 ? sent_id(own) : sent_ours();
        assert_string_not_equal(first, second);
        assert_words(result(first, A, PU), "drop unsolicited");
        assert_words(result(second, B, PU),
                     line("answer " P " > " U " #%s kept", own));
        get(own, A, PU);
        const char *third = i == 0 ? sent_id(own) : sent_ours();
        assert_words(result(third, U, shown(A)),
                     line("answer " PU " > " A " #%s", own));
        assert_words(get(line("%si", own), U, P), "error policy-violation");
    }
}

static void a_request_that_goes_on_has_a_new_tag(void **state)
{
    (void)state;
    proxy(TAGGED "resume_wait=1000");
    come(A);
    get("1", U, P);
    const char *at_a = sent_id("1");
    come(B);
    assert_int_equal(put_as(A, JAT_SHOW_NONE, true), JAT_OK);
    now += 1000;
    expire();
    assert_int_equal(outcomes.v[0].fate, JAT_FATE_RETRY);
    const char *at_b = sent_id("1");
    assert_string_not_equal(at_a, at_b);
    assert_words(result(at_a, A, PU), "drop unsolicited");
    assert_words(result(at_a, B, PU), "drop unsolicited");
    assert_words(result(at_b, B, PU), "answer " P " > " U " #1 kept");
}

static void one_that_has_waited_has_a_tag(void **state)
{
    (void)state;
    proxy(TAGGED "wait_for_endpoint=5000");
    assert_words(get("1", U, P), "hold");
    assert_words(get("rr-2", U, P), "hold");
    assert_words(get("3", U, P), "hold");
    jat_abort(j, decision.record, JAT_WHY_INTERNAL, now, fresh());
    assert_words(came(JAT_OK),
                 "fail internal-server-error " P " > " U " #3 kept");
    come(A);
    expire();
    assert_int_equal(outcomes.n, 2);
    assert_int_equal(outcomes.v[0].fate, JAT_FATE_RELEASE);
    (void)id_word(&outcomes.text, outcomes.v[0].id);
    const char *id = sent_id("1");
    (void)id_word(&outcomes.text, outcomes.v[1].id);
    const char *ours = sent_ours();
    assert_words(result(id, A, PU), "answer " P " > " U " #1 kept");
    assert_words(result(ours, A, PU), "answer " P " > " U " #rr-2 kept");
}

/* Whatever ends it, whoever asked is told under his own id. */
static void an_error_has_the_id_of_the_asker(void **state)
{
    (void)state;
    proxy(TAGGED "outbound=any timeout=1000 retries=0");
    come(A);
    get("1", U, P);
    bounce(decision.forward.record, false);
    assert_words(came(JAT_OK), "fail recipient-unavailable " P " > " U " #1");
    get("2", A, PU);
    now += 1000;
    assert_words(expire(), "fail remote-server-timeout " PU " > " A " #2");
    get("3", U, P);
    assert_words(go(A), "fail recipient-unavailable " P " > " U " #3");
}

static void
an_answer_without_a_record_belongs_to_the_node_of_its_tag(void **state)
{
    (void)state;
    proxy(TAGGED);
    come(A);
    const char *id = tagged("1", THERE);
    assert_words(result(id, A, PU), "elsewhere " THERE);
    assert_words(said(iq("error", id, A, PU)), "elsewhere " THERE);
    assert_words(result(tagged("", THERE), A, PU), "elsewhere " THERE);
    /* a session that this node has not heard of yet */
    assert_words(result(id, C, PU), "elsewhere " THERE);
    assert_words(result(id, U, shown(A)), "elsewhere " THERE);
    assert_words(said(iq("error", id, U, shown(A))), "elsewhere " THERE);
    /* though nobody here is known by that address */
    assert_words(result(id, U, P "/nobody"), "elsewhere " THERE);
    assert_int_equal(count("unsolicited") + count("dropped"), 0);
    assert_int_equal(count("answers") + count("outbound_answers"), 0);
}

static void what_ends_in_no_tag_of_another_node_is_dropped(void **state)
{
    const char *const ids[] = {"",
                               "1",
                               tagged("1", HERE),
                               tagged("", HERE),
                               tagged("", THERE) + 1,
                               line("%s.", tagged("", THERE)),
                               line("%.13s=", tagged("", THERE)),
                               line("%.13s~", tagged("1", THERE)),
                               "AAAAAAAAAAAAAB", /* not canonical */
                               "jat-d7c8ac5bab01bfd5245cd368b85ea1f1"};
    const size_t n = sizeof ids / sizeof ids[0];
    (void)state;
    proxy(TAGGED);
    come(A);
    for (size_t i = 0; i < n; i++) {
        assert_words(result(ids[i], A, PU), "drop unsolicited");
        assert_words(result(ids[i], U, shown(A)), "drop unsolicited");
    }
    assert_int_equal(count("unsolicited"), 2 * n);
}

/* They open to tags that nobody has: the caller knows which there are. */
static void other_octets_open_to_some_tag(void **state)
{
    (void)state;
    proxy(TAGGED);
    come(A);
    result("AAAAAAAAAAAAAA", A, PU);
    assert_int_equal(decision.verb, JAT_DO_ELSEWHERE);
    assert_memory_not_equal(decision.tag, HERE, JAT_TAG);
    const char *id = tagged("1", THERE);
    proxy("tag=" HERE " tag_key=another.key.of.n");
    come(A);
    result(id, A, PU);
    assert_int_equal(decision.verb, JAT_DO_ELSEWHERE);
    assert_memory_not_equal(decision.tag, THERE, JAT_TAG);
}

static void without_a_tag_nothing_is_elsewhere(void **state)
{
    static const char *const options[] = {"", "tag_key=a.key.of.sixteen"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        proxy(options[i]);
        come(A);
        assert_words(result(tagged("1", THERE), A, PU), "drop unsolicited");
        assert_words(get("1", U, P), "request " PU " > " A " #1 keep");
        assert_false(decision.forward.new_id);
        assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
    }
}

/* What is in flight keeps the id that it has. */
static void the_tag_may_come_and_change_and_go(void **state)
{
    (void)state;
    proxy("");
    come(A);
    get("1", U, P);
    reload(TAGGED);
    get("2", U, P);
    const char *second = sent_id("2");
    reload("tag=" THERE " tag_key=a.key.of.sixteen");
    get("3", U, P);
    const char *third = line("%s", last_id);
    reload("");
    assert_words(get("4", U, P), "request " PU " > " A " #4 keep");
    assert_words(result("1", A, PU), "answer " P " > " U " #1 kept");
    assert_words(result(second, A, PU), "answer " P " > " U " #2 kept");
    assert_words(result(third, A, PU), "answer " P " > " U " #3 kept");
    assert_words(result("4", A, PU), "answer " P " > " U " #4 kept");
    reload(TAGGED);
    assert_words(result(second, A, PU), "drop unsolicited");
    assert_words(result(third, A, PU), "elsewhere " THERE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_id_has_the_tag_on_the_far_side_only),
        CASE(so_has_that_of_a_request_of_an_endpoint),
        CASE(what_cannot_be_kept_is_replaced_and_tagged),
        CASE(the_same_id_may_be_in_flight_twice),
        CASE(an_id_that_ends_in_the_tag_of_another_node_comes_back),
        CASE(the_longest_id_comes_back_and_goes_on),
        CASE(a_request_that_goes_on_has_a_new_tag),
        CASE(one_that_has_waited_has_a_tag),
        CASE(an_error_has_the_id_of_the_asker),
        CASE(an_answer_without_a_record_belongs_to_the_node_of_its_tag),
        CASE(what_ends_in_no_tag_of_another_node_is_dropped),
        CASE(other_octets_open_to_some_tag),
        CASE(without_a_tag_nothing_is_elsewhere),
        CASE(the_tag_may_come_and_change_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
