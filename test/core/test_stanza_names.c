/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Names, prefixes and namespaces. */
#include "stanza_fixture.h"

/* A prefix is a matter of writing: the namespace counts. */
static void a_prefixed_stanza_is_one(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<c:iq xmlns:c='jabber:client' type='set'><c:q/><q/></c:iq>", &s);
    assert_int_equal(s.type, JAT_TYPE_SET);
    assert_str(s.children[0].ns, JAT_STR("jabber:client"));
    assert_str(s.children[1].ns, JAT_STR("jabber:client"));
    accepted("<iq xmlns:c='x:y'/>", &s);
    refused("<iq xmlns=''/>", JAT_ENOSTANZA);
    refused("<c:iq xmlns='jabber:client' xmlns:c='x:y'/>", JAT_ENOSTANZA);
}

static void a_relative_namespace_is_one(void **state)
{
    (void)state;
    struct jat_stanza s;
    accepted("<iq " NS "><q xmlns='relative'/><p:q xmlns:p='a/b'/></iq>", &s);
    assert_str(s.children[0].ns, JAT_STR("relative"));
    assert_str(s.children[1].ns, JAT_STR("a/b"));
}

/* Legal ones (Namespaces in XML 1.0, 2.1): any string is one. */
static const char *const odd_names[] = {
    "urn:ex:a b",        "%zz", "http://[::1", ":",
    "\xc3\xbc \xc3\xa4", " ",   "a\\b",        "&lt;&#9;&gt;"};

static void any_string_is_the_name_of_a_namespace(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "<iq " NS " id='1'><q xmlns='$' a='b'/></iq>",
        "<iq " NS " id='1'><p:q xmlns:p='$' a='b'/></iq>",
        "<iq " NS " id='1'><q xmlns:p='$' p:c='d' a='b'/></iq>",
        "<iq " NS " id='1'><q xmlns:p='$' a='b'/></iq>",
        "<iq " NS " id='1' xmlns:p='$'><q a='b'/></iq>",
        "<iq " NS " id='1'><q a='b'><r xmlns='$'/></q></iq>",
    };
    struct jat_stanza s;
    for (size_t i = 0; i < sizeof odd_names / sizeof *odd_names; i++) {
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            char *xml = with_name(forms[f], odd_names[i]);
            accepted(xml, &s);
            assert_int_equal(s.n_children, 1);
            assert_attr(&s, 0, "a", "b");
            if (f < 2)
                assert_str(s.children[0].ns,
                           str(i == 7 ? "<\t>" : odd_names[i]));
            if (f == 2)
                assert_str(s.attrs[0].ns, str(i == 7 ? "<\t>" : odd_names[i]));
            free(xml);
        }
    }
}

static void an_odd_name_does_not_hide_what_is_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "<p:x/>",
        "<x p:y=''/>",
        "<x xmlns:p=''/>",
        "<x xmlns:a='u' xmlns:b='u' a:c='' b:c=''/>",
        "<a:b:c xmlns:a='u'/>",
        "<x>",
        "<x></y>",
    };
    struct jat_stanza s;
    char xml[300];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(xml, sizeof xml, "<iq " NS "><q xmlns='a b'>%s</q></iq>",
                 wrong[i]);
        refused(xml, JAT_EXML);
        snprintf(xml, sizeof xml, "<iq " NS ">%s<q xmlns='a b'/></iq>",
                 wrong[i]);
        refused(xml, JAT_EXML);
        /* nor in the stanza after it */
        accepted("<iq " NS "><q xmlns='a b'/></iq>", &s);
        snprintf(xml, sizeof xml, "<iq " NS ">%s</iq>", wrong[i]);
        refused(xml, JAT_EXML);
    }
}

/* libxml2 2.13 and newer stops telling of errors after a hundred. */
static void many_odd_names_hide_no_unbound_prefix(void **state)
{
    (void)state;
    static const char *const ends[] = {"<q a='b'/></iq>", "<p:q/></iq>",
                                       "<q p:a='b'/></iq>"};
    struct jat_stanza s;
    for (size_t k = 0; k < 3; k++) {
        struct jat_buf b = JAT_BUF_INIT;
        jat_buf_add(&b, JAT_STR("<iq " NS ">"));
        for (unsigned i = 0; i < 300; i++)
            jat_buf_add(&b, text("<q xmlns='a %u'/>", i));
        jat_buf_add(&b, str(ends[k]));
        if (k == 0) {
            assert_int_equal(parse(jat_str(b.p, b.n), &s), JAT_OK);
            assert_int_equal(s.n_children, 301);
        } else {
            refused_text(jat_str(b.p, b.n), JAT_EXML);
        }
        jat_buf_fini(&b);
    }
    for (unsigned i = 0; i < 300; i++)
        accepted("<iq " NS "><q xmlns='a b'/></iq>", &s);
    refused("<iq " NS "><p:q/></iq>", JAT_EXML);
}

/* Namespaces in XML 1.0, 3: it is bound without having been declared. */
static void the_prefix_xml_is_always_bound(void **state)
{
    (void)state;
    struct jat_str xml_ns = JAT_STR("http://www.w3.org/XML/1998/namespace");
    struct jat_stanza s;
    accepted("<iq " NS "><xml:x xml:y='z' a='b'><xml:z/></xml:x></iq>", &s);
    assert_str(s.children[0].ns, xml_ns);
    assert_str(s.children[0].name, JAT_STR("x"));
    assert_str(s.attrs[0].ns, xml_ns);
    assert_attr(&s, 0, "a", "b");
    accepted("<iq " NS "><xml:x xmlns='u:v'/></iq>", &s);
    accepted("<iq " NS "><q xmlns:xml='http://www.w3.org/XML/1998/namespace'"
             " xml:a='b'/></iq>",
             &s);
}

static void what_is_not_namespace_well_formed_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "<iq " NS "><a:b/></iq>",
        "<iq " NS " a:b='c'/>",
        "<iq " NS "><a><b c:d='e'/></a></iq>",
        "<p:iq/>",
        "<iq " NS " xmlns:a=''/>",
        "<iq " NS "><a:b:c xmlns:a='x:y'/></iq>",
        "<iq " NS "><q xmlns:a='x:y' xmlns:b='x:y' a:c='1' b:c='2'/></iq>",
        "<iq " NS " xmlns:xmlns='x:y'/>",
        "<iq " NS " xmlns:xml='x:y'/>",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refused(texts[i], JAT_EXML);
}

/* libxml2 takes names of up to 50,000 octets. */
static void a_name_longer_than_libxml2_takes_is_refused(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "<iq " NS "><$/></iq>",
        "<iq " NS "><q $=''/></iq>",
        "<iq " NS "><$:q xmlns:$='u:v'/></iq>",
    };
    static const size_t lengths[] = {1000, 49000, 51000, 60000};
    struct jat_stanza s;
    char name[60001];
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        memset(name, 'n', lengths[l]);
        name[lengths[l]] = '\0';
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            char *xml = with_name(forms[f], name);
            if (l < 2)
                accepted(xml, &s);
            else
                refused(xml, JAT_ESIZE);
            free(xml);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARSER_TEST(a_prefixed_stanza_is_one),
        PARSER_TEST(a_relative_namespace_is_one),
        PARSER_TEST(any_string_is_the_name_of_a_namespace),
        PARSER_TEST(an_odd_name_does_not_hide_what_is_wrong),
        PARSER_TEST(many_odd_names_hide_no_unbound_prefix),
        PARSER_TEST(the_prefix_xml_is_always_bound),
        PARSER_TEST(a_name_longer_than_libxml2_takes_is_refused),
        PARSER_TEST(what_is_not_namespace_well_formed_is_refused),
    };
    stanza_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
