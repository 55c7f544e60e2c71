/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The parser context that a thread keeps: it carries nothing from one stanza to
 * the next, does not grow, does without memory, and is one for each thread. */
#include "stanza_fixture.h"

#include <pthread.h>

/* Texts that a parser could carry something over from, or be left in the middle
 * of something by. */
static const char *const odd[] = {
    "<iq " NS " id='plain' type='get'><q xmlns='a:b' c='d'/></iq>",
    "<c:iq xmlns:c='jabber:client' id='prefix' xml:lang='de'><c:q/></c:iq>",
    "<iq " NS " id='space' xml:space='preserve'> <a> </a> </iq>\r\n",
    "<iq " NS " xmlns:p='x:y' p:id='other'><p:q/></iq>",
    "<iq id='default namespace'><q/></iq>",
    "<iq xmlns='' id='no namespace'/>",
    "<p:iq id='no prefix'/>",
    "<c:iq id='old prefix'/>",
    "<iq " NS " id='relative'><q xmlns='relative'/></iq>",
    "<iq " NS " id='no URI'><q xmlns='a b'/></iq>",
    "<iq " NS " id='no URI and a prefix'><p:q xmlns='a b'/></iq>",
    "<iq " NS " id='open'><q>",
    "<iq " NS " id='two'/><iq " NS "/>",
    "<iq " NS " id='text'/>text",
    "<iq " NS " id='entity'/>&amp;",
    "<iq " NS " id='character'/>&#32;",
    "<iq " NS " id='cdata'/><![CDATA[x]]>",
    "<iq " NS " id='empty cdata'/><![CDATA[]]>",
    "<iq " NS " id='half a cdata'/><![CDATA[>",
    "<iq " NS " id='the beginning of a cdata'/><![CDATA[",
    "<iq " NS " id='half a comment'/><!-- >",
    "<iq " NS " id='half an instruction'/><?p >",
    "<iq " NS " id='half a tag'/><",
    "<iq " NS " id='half an end'/></",
    "<iq " NS " id='half a reference'/>&am",
    "<iq " NS " id='half an attribute'/><a b='/>",
    "<iq " NS " id='half a type'/><!DOCTYPE>",
    "<iq " NS " id='the end'/></stream>",
    "<iq " NS " id='the end of all'/></stream><stream>",
    "</stream><iq " NS "/>",
    "</stream>",
    "<stream>",
    "<stream/>",
    "<![CDATA[x]]><iq " NS "/>",
    "<![CDATA[",
    "-->",
    "]]></iq>",
    "?>",
};

#define N_ODD (sizeof odd / sizeof *odd)

static void is_seen_alike(const char *xml, enum jat_err expected,
                          const struct jat_stanza *alone)
{
    struct jat_stanza s;
    assert_int_equal(parse(str(xml), &s), expected);
    if (expected != JAT_OK)
        return;
    assert_int_equal(s.type, alone->type);
    assert_int_equal(s.has_id, alone->has_id);
    assert_int_equal(s.id.n, alone->id.n);
    assert_int_equal(s.n_children, alone->n_children);
    assert_int_equal(s.n_attrs, alone->n_attrs);
}

static void what_was_parsed_before_makes_no_difference(void **state)
{
    (void)state;
    struct jat_stanza alone;
    unsigned n_accepted = 0;
    for (size_t b = 0; b < N_ODD; b++) {
        jat_xml_thread_fini();
        enum jat_err expected = parse(str(odd[b]), &alone);
        n_accepted += expected == JAT_OK;
        for (size_t a = 0; a < N_ODD; a++) {
            struct jat_stanza s;
            jat_xml_thread_fini();
            (void)parse(str(odd[a]), &s);
            is_seen_alike(odd[b], expected, &alone);
            is_seen_alike(odd[b], expected, &alone);
        }
    }
    assert_int_equal(n_accepted, 7);
}

static void ever_new_names_do_not_fill_the_memory(void **state)
{
    (void)state;
    struct jat_stanza s;
    size_t most = 0;
    char xml[600];
    count_xml_memory(true);
    for (unsigned i = 0; i < 30000; i++) {
        int n = snprintf(xml, sizeof xml,
                         "<iq " NS " id='%u' n%u='1'><q%u xmlns='urn:%u' "
                         "a%u='' b%u=''><r%u xmlns:x%u='u:%u' x%u:y%u=''/>"
                         "</q%u></iq>",
                         i, i, i, i, i, i, i, i, i, i, i, i);
        assert_int_equal(parse(jat_str(xml, (size_t)n), &s), JAT_OK);
        if (xml_memory > most)
            most = xml_memory;
    }
    assert_in_range(most, 1, 300000);
    jat_xml_thread_fini();
    assert_in_range(xml_memory, 0, 10000); /* the library's own */
    count_xml_memory(false);
}

/* Nobody can make each stanza cost a new context, which takes a dozen times
 * what a stanza takes. */
static void a_name_that_is_no_uri_costs_a_new_context_seldom(void **state)
{
    (void)state;
    struct jat_stanza s;
    unsigned fresh, created = 0;
    const char *xml = "<iq " NS "><q xmlns='urn:ex:a b'/></iq>";
    spare_this_test(); /* its allocations are counted */
    xml_allocations = 0;
    accepted(xml, &s);
    fresh = xml_allocations;
    for (unsigned i = 0; i < 1000; i++) {
        xml_allocations = 0;
        accepted(xml, &s);
        created += xml_allocations >= fresh;
    }
    assert_in_range(created, 1, 20);
}

static void one_large_stanza_is_forgotten_with_the_next(void **state)
{
    (void)state;
    struct jat_stanza s;
    struct jat_buf b = JAT_BUF_INIT;
    count_xml_memory(true);
    jat_buf_add(&b, JAT_STR("<iq " NS ">"));
    while (b.n < MAX_SIZE - 100)
        jat_buf_add(&b, JAT_STR("<a b='cccccccccccccccccccccccccccccc'/>"));
    jat_buf_add(&b, JAT_STR("</iq>"));
    assert_int_equal(parse(jat_str(b.p, b.n), &s), JAT_OK);
    jat_buf_fini(&b);
    assert_int_equal(blocks_alive, 3);
    assert_in_range(xml_memory, MAX_SIZE, SIZE_MAX);
    accepted("<iq " NS "/>", &s);
    assert_int_equal(blocks_alive, 1);
    assert_in_range(xml_memory, 0, 50000);
    jat_xml_thread_fini();
    assert_int_equal(blocks_alive, 0);
    count_xml_memory(false);
}

static const char FULL[] =
    "<iq " NS " id='1' from='a@b/c' to='&lt;' type='get'>"
    "<q xmlns='a:b' c='d' e='&amp;'/><r xmlns='a b' f='g'/></iq>";

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    struct jat_stanza s = {.n_attrs = 99};
    FAIL_EACH_ALLOCATION(
        (jat_xml_thread_fini(), parse(jat_str(FULL, sizeof FULL - 1), &s)),
        s.n_attrs == 99);
    assert_int_equal(s.n_attrs, 3);
}

/* Never a stanza with a part missing. */
static void without_memory_for_libxml2_nothing_changes(void **state)
{
    (void)state;
    static const char *const texts[] = {FULL, "<iq " NS " x='y'><a/></iq>"};
    unsigned failures = 0;
    /* Before there is a context it can tell nobody else. */
    xmlSetGenericErrorFunc(NULL, count_message);
    for (size_t warm = 0; warm < 2; warm++) {
        for (unsigned allowed = 0;; allowed++) {
            struct jat_stanza s = {.n_attrs = 99};
            count_xml_memory(true);
            if (warm)
                accepted(texts[1], &s);
            s.n_attrs = 99;
            xml_allocations_left = allowed;
            enum jat_err err = parse(jat_str(FULL, sizeof FULL - 1), &s);
            xml_allocations_left = UINT32_MAX;
            if (err == JAT_OK) {
                assert_int_equal(s.n_attrs, 3);
                assert_int_equal(s.n_children, 2);
                assert_str(s.id, JAT_STR("1"));
                assert_str(s.from, JAT_STR("a@b/c"));
                assert_str(s.to, JAT_STR("<"));
                assert_attr(&s, 0, "c", "d");
                assert_attr(&s, 0, "e", "&");
                assert_attr(&s, 1, "f", "g");
                break;
            }
            assert_int_equal(err, JAT_ENOMEM);
            assert_int_equal(s.n_attrs, 99);
            failures++;
        }
    }
    assert_in_range(failures, 10, 1000);
    xmlSetGenericErrorFunc(NULL, NULL);
    count_xml_memory(false);
}

#define THREADS 8

static void *parse_often(void *data)
{
    unsigned number = *(unsigned *)data;
    struct jat_stanza s;
    char xml[300], id[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "%u-%u", number, i);
        int n = snprintf(xml, sizeof xml,
                         "<iq " NS " id='%s' to='&#38;%u'><q%u x='%s'/>%s", id,
                         number, i, id, i % 7 == 0 ? "" : "</iq>");
        enum jat_err err = parse(jat_str(xml, (size_t)n), &s);
        if (err != (i % 7 == 0 ? JAT_EXML : JAT_OK))
            return NULL;
        if (err == JAT_OK &&
            (!jat_str_eq(s.id, str(id)) || s.to.p[0] != '&' ||
             !jat_str_eq(jat_child_attr(&s, s.children, JAT_STR("x")), s.id)))
            return NULL;
    }
    return data; /* what the thread holds is freed by itself */
}

static void threads_parse_at_the_same_time(void **state)
{
    (void)state;
    jat_mem_set(NULL, NULL); /* the counting allocator counts for one thread */
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    void *ok;
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, parse_often, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &ok);
        assert_non_null(ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARSER_TEST(what_was_parsed_before_makes_no_difference),
        PARSER_TEST(ever_new_names_do_not_fill_the_memory),
        PARSER_TEST(a_name_that_is_no_uri_costs_a_new_context_seldom),
        PARSER_TEST(one_large_stanza_is_forgotten_with_the_next),
        PARSER_TEST(without_memory_nothing_changes),
        PARSER_TEST(without_memory_for_libxml2_nothing_changes),
        PARSER_TEST(threads_parse_at_the_same_time),
    };
    stanza_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
