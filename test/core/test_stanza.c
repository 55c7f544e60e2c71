/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is seen of a stanza that is accepted. */
#include "stanza_fixture.h"

#include "examples.h"
#include "tree.h"

static void the_head_of_a_request_is_seen_whole(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<iq xml:lang='en' type='get' id='1234' to='proxy.example.org' "
             "from='romeo@montague.net/orchard' " NS ">\n"
             "  <query xmlns='http://jabber.org/protocol/disco#info' "
             "node='n' ver=\"1\"/>text<x/>"
             "<a:y xmlns:a='urn:a' a:b='c' b='d' xml:lang='de'/>"
             "<none xmlns=''/>\n</iq>",
             &s);
    assert_int_equal(s.kind, JAT_IQ);
    assert_int_equal(s.type, JAT_TYPE_GET);
    assert_true(s.has_id);
    assert_str(s.id, JAT_STR("1234"));
    assert_str(s.to, JAT_STR("proxy.example.org"));
    assert_str(s.from, JAT_STR("romeo@montague.net/orchard"));
    assert_int_equal(s.n_children, 4);
    assert_int_equal(s.n_attrs, 5);
    assert_str(s.children[0].name, JAT_STR("query"));
    assert_str(s.children[0].ns,
               JAT_STR("http://jabber.org/protocol/disco#info"));
    assert_int_equal(s.children[0].n_attrs, 2);
    assert_attr(&s, 0, "node", "n");
    assert_attr(&s, 0, "ver", "1");
    assert_str(s.children[1].name, JAT_STR("x"));
    assert_str(s.children[1].ns, JAT_STR("jabber:client"));
    assert_int_equal(s.children[1].n_attrs, 0);
    assert_str(s.children[2].name, JAT_STR("y"));
    assert_str(s.children[2].ns, JAT_STR("urn:a"));
    assert_int_equal(s.children[2].first_attr, 2);
    assert_int_equal(s.children[2].n_attrs, 3);
    assert_attr(&s, 2, "b", "d");
    assert_str(s.attrs[2].ns, JAT_STR("urn:a"));
    assert_str(s.attrs[2].value, JAT_STR("c"));
    assert_str(s.attrs[4].ns, JAT_STR("http://www.w3.org/XML/1998/namespace"));
    assert_str(s.children[3].ns, JAT_STR(""));
    assert_null(jat_child_attr(&s, &s.children[2], JAT_STR("lang")).p);
    assert_null(jat_child_attr(&s, &s.children[0], JAT_STR("b")).p);
    assert_null(jat_child_attr(&s, &s.children[1], JAT_STR("node")).p);
}

static void grandchildren_are_not_children(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<message " NS "><a><b c='d'/><b/></a><e f='g'/></message>", &s);
    assert_int_equal(s.n_children, 2);
    assert_int_equal(s.n_attrs, 1);
    assert_str(s.children[1].name, JAT_STR("e"));
    assert_attr(&s, 1, "f", "g");
}

static void an_id_may_be_empty_or_absent(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<iq " NS " id=''/>", &s);
    assert_true(s.has_id);
    assert_int_equal(s.id.n, 0);
    accepted("<iq " NS "/>", &s);
    assert_false(s.has_id);
    assert_int_equal(s.from.n + s.to.n + s.id.n, 0);
    assert_int_equal(s.n_children, 0);
    accepted("<iq " NS " xmlns:a='urn:a' a:id='x' a:type='get'/>", &s);
    assert_false(s.has_id);
    assert_int_equal(s.type, JAT_TYPE_NONE);
}

/* An attribute that is there but empty is not an absent one. */
static void an_attribute_of_a_child_may_be_empty(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<iq " NS "><q node=''/></iq>", &s);
    assert_attr(&s, 0, "node", "");
}

static void each_kind_has_its_types(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum jat_type type;
        bool of[3]; /* iq, message, presence */
    } types[] = {
        {"get", JAT_TYPE_GET, {1, 0, 0}},
        {"set", JAT_TYPE_SET, {1, 0, 0}},
        {"result", JAT_TYPE_RESULT, {1, 0, 0}},
        {"error", JAT_TYPE_ERROR, {1, 1, 1}},
        {"chat", JAT_TYPE_CHAT, {0, 1, 0}},
        {"normal", JAT_TYPE_NORMAL, {0, 1, 0}},
        {"headline", JAT_TYPE_HEADLINE, {0, 1, 0}},
        {"groupchat", JAT_TYPE_GROUPCHAT, {0, 1, 0}},
        {"unavailable", JAT_TYPE_UNAVAILABLE, {0, 0, 1}},
        {"subscribe", JAT_TYPE_SUBSCRIBE, {0, 0, 1}},
        {"subscribed", JAT_TYPE_SUBSCRIBED, {0, 0, 1}},
        {"unsubscribe", JAT_TYPE_UNSUBSCRIBE, {0, 0, 1}},
        {"unsubscribed", JAT_TYPE_UNSUBSCRIBED, {0, 0, 1}},
        {"probe", JAT_TYPE_PROBE, {0, 0, 1}},
        {"", JAT_TYPE_UNKNOWN, {1, 1, 1}},
        {"GET", JAT_TYPE_UNKNOWN, {1, 1, 1}},
        {"ge", JAT_TYPE_UNKNOWN, {1, 1, 1}},
        {"gett", JAT_TYPE_UNKNOWN, {1, 1, 1}},
        {"available", JAT_TYPE_UNKNOWN, {1, 1, 1}},
    };
    static const char *const kinds[] = {"iq", "message", "presence"};
    struct jat_stanza s;
    char xml[100];
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            snprintf(xml, sizeof xml, "<%s " NS " type='%s'/>", kinds[k],
                     types[i].word);
            accepted(xml, &s);
            assert_int_equal(s.kind, k);
            assert_int_equal(s.type,
                             types[i].of[k] ? types[i].type : JAT_TYPE_UNKNOWN);
        }
        snprintf(xml, sizeof xml, "<%s " NS "/>", kinds[k]);
        accepted(xml, &s);
        assert_int_equal(s.type, JAT_TYPE_NONE);
    }
}

static void references_to_characters_are_what_they_stand_for(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<message " NS " from='a@b/&amp;&lt;&gt;&quot;&apos;' "
             "to=\"x'&#38;&#x26;&#xe4;&#x1F600;\" id='&#9;&#10;\t\n'>"
             "<body>&amp;&#38;&lt;</body><a b='plain' c='&#97;b'/></message>",
             &s);
    assert_str(s.from, JAT_STR("a@b/&<>\"'"));
    assert_str(s.to, JAT_STR("x'&&\xc3\xa4\xf0\x9f\x98\x80"));
    assert_str(s.id, JAT_STR("\t\n  "));
    assert_attr(&s, 1, "b", "plain");
    assert_attr(&s, 1, "c", "ab");
}

/* All that XML would make a blank of, and all that it has a meaning for. */
static void what_is_written_as_references_comes_out_as_it_was(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<iq " NS
             " id='&#9;a&#10;&#13;&#13;&#10;b&#9;' from='&#10;@b/&#13;'"
             " to='&#xA;&#xD;&#x9;'><q a='&#9;&#10;&#13; &#32;'"
             " xmlns='&#9;&#10;&#13;'/></iq>",
             &s);
    assert_str(s.id, JAT_STR("\ta\n\r\r\nb\t"));
    assert_str(s.from, JAT_STR("\n@b/\r"));
    assert_str(s.to, JAT_STR("\n\r\t"));
    assert_attr(&s, 0, "a", "\t\n\r  ");
    assert_str(s.children[0].ns, JAT_STR("\t\n\r"));
    /* and each character, in a value of its own */
    for (unsigned c = 1; c < 0x11000; c++) {
        bool legal = c == 9 || c == 10 || c == 13 ||
                     (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe) ||
                     c >= 0x10000;
        struct jat_str xml = text("<iq " NS " id='&#%u;'/>", c);
        enum jat_err err = c < 0x300 || c > 0xd700 || c % 64 == 0
                               ? parse(xml, &s)
                               : JAT_ENOTFOUND;
        if (err == JAT_ENOTFOUND)
            continue;
        assert_int_equal(err, legal ? JAT_OK : JAT_EXML);
        if (legal && c < 0x80) {
            assert_int_equal(s.id.n, 1);
            assert_int_equal(s.id.p[0], c);
        }
    }
}

static void text_and_cdata_are_passed_over(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<message " NS "> \n\t<body>a<![CDATA[<b/>&x;<!-- -->]]></body>"
             "\xe2\x82\xac</message>\n",
             &s);
    assert_int_equal(s.n_children, 1);
}

static void is_seen_as_in_the_tree(xmlNodePtr node, struct jat_str text)
{
    bool has_comment = strstr(text.p, "<!--") != NULL;
    struct jat_stanza s;
    enum jat_err err = parse(text, &s);
    if (err != (has_comment ? JAT_ECOMMENT : JAT_OK))
        print_error("%s: %s\n", jat_err_name(err), text.p);
    assert_int_equal(err, has_comment ? JAT_ECOMMENT : JAT_OK);
    assert_true(has_comment || tree_agrees(node, &s));
}

static void every_stanza_of_the_xeps_is_seen_as_libxml2_sees_it(void **state)
{
    int n = examples_each(getenv("XEP_EXAMPLES"), is_seen_as_in_the_tree);
    (void)state;
    if (n < 0) {
        print_message("skipped: no XEP examples here\n");
        skip();
    }
    print_message("%d stanzas\n", n);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARSER_TEST(the_head_of_a_request_is_seen_whole),
        PARSER_TEST(grandchildren_are_not_children),
        PARSER_TEST(an_id_may_be_empty_or_absent),
        PARSER_TEST(an_attribute_of_a_child_may_be_empty),
        PARSER_TEST(each_kind_has_its_types),
        PARSER_TEST(references_to_characters_are_what_they_stand_for),
        PARSER_TEST(what_is_written_as_references_comes_out_as_it_was),
        PARSER_TEST(text_and_cdata_are_passed_over),
        PARSER_TEST(every_stanza_of_the_xeps_is_seen_as_libxml2_sees_it),
    };
    stanza_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
