/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <malloc.h>
#include <pthread.h>

#include "buf.h"
#include "examples.h"
#include "stanza.h"
#include "tree.h"

#define MAX_SIZE 262144U
#define NS "xmlns='jabber:client'"

/* ---- libxml2's memory: counted, and refused when a test says so ---- */

static bool xml_memory_is_counted;
static size_t xml_memory;
static unsigned xml_allocations_left = UINT32_MAX;
static unsigned xml_allocations; /* so far */

static void *xml_realloc(void *p, size_t n)
{
    xml_allocations++;
    if (!xml_memory_is_counted)
        return library_realloc(p, n);
    if (xml_allocations_left == 0)
        return NULL;
    if (xml_allocations_left != UINT32_MAX)
        xml_allocations_left--;
    size_t old = malloc_usable_size(p);
    void *q = library_realloc(p, n);
    if (q != NULL)
        xml_memory += malloc_usable_size(q) - old;
    return q;
}

static void *xml_malloc(size_t n)
{
    return xml_realloc(NULL, n);
}

static void xml_free(void *p)
{
    if (xml_memory_is_counted)
        xml_memory -= malloc_usable_size(p);
    free(p);
}

static char *xml_strdup(const char *s)
{
    char *p = xml_malloc(strlen(s) + 1);
    return p == NULL ? NULL : strcpy(p, s);
}

/* From a thread without a context to the same. */
static void count_xml_memory(bool yes)
{
    jat_stanza_thread_fini();
    xmlResetLastError();
    xml_memory_is_counted = yes;
    xml_memory = 0;
}

/* ---- short forms ---- */

static enum jat_err parse(struct jat_str xml, struct jat_stanza *out)
{
    return jat_stanza_parse(xml, MAX_SIZE, out);
}

static struct jat_str str(const char *s)
{
    return jat_str(s, strlen(s));
}

static void accepted(const char *xml, struct jat_stanza *s)
{
    enum jat_err err = parse(str(xml), s);
    if (err != JAT_OK)
        print_error("%s: %s\n", jat_err_name(err), xml);
    assert_int_equal(err, JAT_OK);
}

/* Refused with nothing written to the output, and the next stanza is fine. */
static void refused_text(struct jat_str xml, enum jat_err expected)
{
    struct jat_stanza s, before;
    memset(&before, 0x5a, sizeof before);
    memcpy(&s, &before, sizeof s);
    enum jat_err err = parse(xml, &s);
    if (err != expected)
        print_error("%s, not %s: %.*s\n", jat_err_name(err),
                    jat_err_name(expected), (int)(xml.n < 200 ? xml.n : 200),
                    xml.p);
    assert_int_equal(err, expected);
    assert_memory_equal(&s, &before, sizeof s);
    accepted("<iq " NS " id='after'><q xmlns='a:b'/></iq>", &s);
    assert_str(s.id, JAT_STR("after"));
}

static void refused(const char *xml, enum jat_err expected)
{
    refused_text(str(xml), expected);
}

/* Not by value of n alone: JAT_STR of an absent one is {NULL, 0}. */
static void assert_attr(const struct jat_stanza *s, unsigned child,
                        const char *name, const char *value)
{
    struct jat_str v = jat_child_attr(s, &s->children[child], str(name));
    assert_str(v, str(value));
    assert_non_null(v.p);
}

/* ---- what is accepted ---- */

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

/* form, with name for each '$'; to be freed. */
static char *with_name(const char *form, const char *name)
{
    struct jat_buf b = JAT_BUF_INIT;
    for (; *form != '\0'; form++) {
        if (*form == '$')
            jat_buf_add(&b, str(name));
        else
            jat_buf_addc(&b, *form);
    }
    jat_buf_addc(&b, '\0');
    char *made = strdup(b.p);
    jat_buf_fini(&b);
    return made;
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

/* libxml2 takes names of up to 50,000 octets; longer ones never get here. */
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
                refused(xml, JAT_EXML);
            free(xml);
        }
    }
}

/* ---- what is refused ---- */

static void what_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "<",
        "<>",
        "x",
        " <iq " NS "/>",
        "<iq",
        "<iq " NS,
        "<iq " NS ">",
        "<iq " NS "><a></iq>",
        "<iq " NS "></message>",
        "<iq " NS "/><iq " NS "/>",
        "<iq " NS "/>text",
        "<iq " NS "/></iq>",
        "<iq " NS " id='1' id='2'/>",
        "<iq " NS " id=1/>",
        "<iq " NS " id='<'/>",
        "<iq " NS " id='&'/>",
        "<iq " NS " id='&#0;'/>",
        "<iq " NS " id='&#xd800;'/>",
        "<iq " NS " id='&#x110000;'/>",
        "<iq " NS ">&</iq>",
        "<iq " NS ">]]></iq>",
        "<iq " NS ">\x01</iq>",
        "<iq " NS "><a b='\x08'/></iq>",
        "<iq " NS ">\xef\xbf\xbf</iq>",
        "<iq " NS "><1/></iq>",
        "<iq " NS "><![CDATA[x</iq>",
        "</iq>",
        "<foo><bar></foo>",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refused(texts[i], JAT_EXML);
    refused_text(jat_str(NULL, 0), JAT_EXML);
}

/* Each beginning of a stanza is none. */
static void a_stanza_cut_short_is_refused(void **state)
{
    (void)state;
    const char xml[] = "<iq " NS " id='&lt;'><q xmlns='a:b' c='d'>t&#38;<e/>"
                       "<![CDATA[x]]></q></iq>";
    for (size_t n = 0; n < sizeof xml - 1; n++)
        refused_text(jat_str(xml, n), JAT_EXML);
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

static void what_is_not_utf_8_is_refused(void **state)
{
    (void)state;
    static const char *const octets[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xa1",
        "\xc3",
        "\xc3(",
        "\xe0\x81\xa1",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xe2\x82(",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x81\xa1",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf0\x9f\x98(",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xe4",
    };
    static const char *const right[] = {
        "\x7f",         "\xc2\x80",         "\xdf\xbf",
        "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
        "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbd"};
    static const char *const places[][2] = {
        {"<iq " NS " id='", "'/>"},
        {"<iq " NS ">", "</iq>"},
        {"<iq " NS "><a b='", "'>text text</a></iq>"},
        {"<iq " NS "><![CDATA[", "]]></iq>"},
        {"<iq " NS "/>", ""}, /* where no text may be */
    };
    struct jat_stanza s;
    char xml[200];
    for (size_t p = 0; p < 5; p++) {
        for (size_t i = 0; i < sizeof octets / sizeof *octets; i++) {
            snprintf(xml, sizeof xml, "%s%s%s", places[p][0], octets[i],
                     places[p][1]);
            refused(xml, JAT_EXML);
        }
        for (size_t i = 0; p < 4 && i < sizeof right / sizeof *right; i++) {
            snprintf(xml, sizeof xml, "%s%s%s", places[p][0], right[i],
                     places[p][1]);
            accepted(xml, &s);
        }
    }
    refused("<iq " NS "><a\xc1\xa1/></iq>", JAT_EXML);
    refused("\xef\xbb\xbf<iq " NS "/>", JAT_EXML);
}

/* UTF-16, UTF-32 and EBCDIC have none of them a '<' and no NUL. */
static void no_other_encoding_is_guessed(void **state)
{
    (void)state;
    const char xml[] = "<iq " NS "/>";
    char wide[4 * sizeof xml + 4];
    for (size_t width = 2; width <= 4; width += 2) {
        for (size_t at = 0; at < width; at += width - 1) {
            memset(wide, 0, sizeof wide);
            for (size_t i = 0; i < sizeof xml - 1; i++)
                wide[i * width + at] = xml[i];
            refused_text(jat_str(wide, width * (sizeof xml - 1)), JAT_EXML);
        }
    }
    refused("\x4c\x6f\xa7\x94\x93", JAT_EXML);
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    char xml[] = "<iq " NS " id='1234'><q xmlns='a:b'>text</q></iq>";
    for (size_t i = 0; i < sizeof xml - 1; i++) {
        char right = xml[i];
        xml[i] = '\0';
        refused_text(jat_str(xml, sizeof xml - 1), JAT_EXML);
        xml[i] = right;
    }
    refused_text(jat_str(xml, sizeof xml), JAT_EXML); /* its final one */
}

static void a_document_type_is_refused_never_expanded(void **state)
{
    (void)state;
    refused("<!DOCTYPE iq><iq " NS "/>", JAT_EDTD);
    refused("<!DOCTYPE iq []><iq " NS "/>", JAT_EDTD);
    refused("<!DOCTYPE lolz [<!ENTITY a 'lol'>"
            "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
            "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
            "<!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
            "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>]>"
            "<iq " NS " id='&e;'>&e;</iq>",
            JAT_EDTD);
    refused("<!DOCTYPE iq [<!ENTITY % a SYSTEM 'file:///etc/passwd'>%a;]>"
            "<iq " NS "/>",
            JAT_EDTD);
    refused("<!DOCTYPE iq [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
            "<iq " NS ">&a;</iq>",
            JAT_EDTD);
    refused("<!DOCTYPE iq SYSTEM 'http://127.0.0.1:1/dtd'><iq " NS "/>",
            JAT_EDTD);
    refused("<!DOCTYPE iq PUBLIC 'p' 'http://127.0.0.1:1/dtd'><iq " NS "/>",
            JAT_EDTD);
    refused("<!DOCTYPE iq [<!ATTLIST iq id CDATA 'x'>]><iq " NS "/>", JAT_EDTD);
    refused("<iq " NS "><!DOCTYPE iq></iq>", JAT_EXML);
    refused("<iq " NS "/><!DOCTYPE iq>", JAT_EXML);
}

static void an_unknown_entity_is_refused(void **state)
{
    (void)state;
    refused("<iq " NS ">&nbsp;</iq>", JAT_EXML);
    refused("<iq " NS " id='&nbsp;'/>", JAT_EXML);
    refused("<iq " NS "><a b='&x;'/></iq>", JAT_EXML);
}

static void a_comment_is_refused(void **state)
{
    (void)state;
    refused("<!-- c --><iq " NS "/>", JAT_ECOMMENT);
    refused("<iq " NS "><!-- c --></iq>", JAT_ECOMMENT);
    refused("<iq " NS "><a><b><!----></b></a></iq>", JAT_ECOMMENT);
    refused("<iq " NS "/><!-- c -->", JAT_ECOMMENT);
}

static void a_processing_instruction_is_refused(void **state)
{
    (void)state;
    refused("<?xml version='1.0'?><iq " NS "/>", JAT_EPI);
    refused("<?xml version='1.0' encoding='UTF-16'?><iq " NS "/>", JAT_EPI);
    refused("<?xml-stylesheet href='x'?><iq " NS "/>", JAT_EPI);
    refused("<iq " NS "><?p i?></iq>", JAT_EPI);
    refused("<iq " NS "/><?p i?>", JAT_EPI);
    refused("<iq " NS "><?xml version='1.0'?></iq>", JAT_EXML);
}

static void what_is_no_stanza_is_refused(void **state)
{
    (void)state;
    refused("<c/>", JAT_ENOSTANZA);
    refused("<iq xmlns='jabber:server'/>", JAT_ENOSTANZA);
    refused("<iq xmlns='jabber:clien'/>", JAT_ENOSTANZA);
    refused("<iq xmlns='jabber:client '/>", JAT_ENOSTANZA);
    refused("<iqx " NS "/>", JAT_ENOSTANZA);
    refused("<i " NS "/>", JAT_ENOSTANZA);
    refused("<IQ " NS "/>", JAT_ENOSTANZA);
    refused("<a " NS "><iq " NS "/></a>", JAT_ENOSTANZA);
    refused("<a><!-- c --></a>", JAT_ECOMMENT);
}

static unsigned messages;

/* In the place of libxml2's printer to stderr. */
__attribute__((format(printf, 2, 3))) static void
count_message(void *data, const char *f, ...)
{
    (void)data, (void)f;
    messages++;
}

static void nothing_is_printed(void **state)
{
    (void)state;
    struct jat_stanza s;
    spare_this_test(); /* libxml2 may say that it has no memory */
    messages = 0;
    xmlSetGenericErrorFunc(NULL, count_message);
    refused("<iq " NS "><a></iq>", JAT_EXML);
    refused("<a:iq/>", JAT_EXML);
    refused("<!DOCTYPE a SYSTEM 'file:///nowhere'><a/>", JAT_EDTD);
    accepted("<iq " NS "><q xmlns='relative'/></iq>", &s);
    xmlSetGenericErrorFunc(NULL, NULL);
    assert_int_equal(messages, 0);
}

/* ---- limits ---- */

static void a_stanza_larger_than_max_is_refused(void **state)
{
    (void)state;
    struct jat_stanza s;
    const char xml[] = "<iq " NS "/>";
    size_t n = sizeof xml - 1;
    assert_int_equal(jat_stanza_parse(jat_str(xml, n), n, &s), JAT_OK);
    assert_int_equal(jat_stanza_parse(jat_str(xml, n), n - 1, &s), JAT_ESIZE);
    assert_int_equal(jat_stanza_parse(jat_str(xml, 0), 0, &s), JAT_EXML);
    /* before anything is read of it */
    assert_int_equal(jat_stanza_parse(jat_str(xml, SIZE_MAX), SIZE_MAX, &s),
                     JAT_ESIZE);
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_add(&b, JAT_STR("<iq " NS " id='"));
    while (b.n < MAX_SIZE - 3)
        jat_buf_addc(&b, 'i');
    jat_buf_add(&b, JAT_STR("'/>"));
    assert_int_equal(parse(jat_str(b.p, b.n), &s), JAT_OK);
    assert_int_equal(s.id.n, MAX_SIZE - 3 - strlen("<iq " NS " id='"));
    b.n -= 3;
    jat_buf_add(&b, JAT_STR("i'/>"));
    refused_text(jat_str(b.p, b.n), JAT_ESIZE);
    jat_buf_fini(&b);
}

static struct jat_buf nested(unsigned depth)
{
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_add(&b, JAT_STR("<iq " NS ">"));
    for (unsigned i = 1; i < depth; i++)
        jat_buf_add(&b, JAT_STR("<a>"));
    for (unsigned i = 1; i < depth; i++)
        jat_buf_add(&b, JAT_STR("</a>"));
    jat_buf_add(&b, JAT_STR("</iq>"));
    return b;
}

static void a_stanza_deeper_than_64_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned depth;
        enum jat_err err;
    } cases[] = {{1, JAT_OK},
                 {JAT_MAX_DEPTH, JAT_OK},
                 {JAT_MAX_DEPTH + 1, JAT_EDEPTH},
                 {20000, JAT_EDEPTH}};
    struct jat_stanza s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jat_buf b = nested(cases[i].depth);
        assert_int_equal(parse(jat_str(b.p, b.n), &s), cases[i].err);
        jat_buf_fini(&b);
    }
}

/* An element with n attributes, one of them a namespace declaration. */
static void add_attributes(struct jat_buf *b, const char *begin, unsigned n)
{
    jat_buf_add(b, str(begin));
    for (unsigned i = 1; i < n; i++)
        jat_buf_add(b, text(" a%u='%u'", i, i));
    jat_buf_add(b, JAT_STR("/>"));
}

static void an_element_with_more_than_256_attributes_is_refused(void **state)
{
    (void)state;
    struct jat_stanza s;
    for (int over = 0; over <= 1; over++) {
        struct jat_buf b = JAT_BUF_INIT;
        enum jat_err err = over ? JAT_EATTRIBUTES : JAT_OK;
        unsigned n = JAT_MAX_ATTRIBUTES + (unsigned)over;
        add_attributes(&b, "<iq " NS, n);
        assert_int_equal(parse(jat_str(b.p, b.n), &s), err);
        b.n = 0;
        jat_buf_add(&b, JAT_STR("<iq " NS "><q/>"));
        add_attributes(&b, "<q xmlns='a:b'", n);
        jat_buf_add(&b, JAT_STR("</iq>"));
        assert_int_equal(parse(jat_str(b.p, b.n), &s), err);
        if (!over) {
            assert_int_equal(s.n_attrs, n - 1);
            for (unsigned i = 1; i < n; i++) {
                struct jat_str v =
                    jat_child_attr(&s, &s.children[1], text("a%u", i));
                assert_str(v, text("%u", i));
            }
        }
        b.n = 0;
        jat_buf_add(&b, JAT_STR("<iq " NS "><q>"));
        add_attributes(&b, "<q xmlns='a:b'", n);
        jat_buf_add(&b, JAT_STR("</q></iq>"));
        assert_int_equal(parse(jat_str(b.p, b.n), &s), err);
        jat_buf_fini(&b);
    }
}

static void an_element_with_more_than_65536_children_is_refused(void **state)
{
    (void)state;
    struct jat_stanza s;
    for (int depth = 1; depth <= 2; depth++) {
        struct jat_buf b = JAT_BUF_INIT;
        jat_buf_add(&b, JAT_STR("<iq " NS ">"));
        if (depth == 2)
            jat_buf_add(&b, JAT_STR("<q>"));
        for (unsigned i = 0; i < JAT_MAX_CHILDREN; i++)
            jat_buf_add(&b, i % 2 ? JAT_STR("<a b=''/>") : JAT_STR("<c/>"));
        size_t n = b.n;
        for (int over = 1; over >= 0; over--) {
            b.n = n;
            if (over)
                jat_buf_add(&b, JAT_STR("<a/>"));
            jat_buf_add(&b,
                        depth == 2 ? JAT_STR("</q></iq>") : JAT_STR("</iq>"));
            assert_int_equal(jat_stanza_parse(jat_str(b.p, b.n), SIZE_MAX, &s),
                             over ? JAT_ECHILDREN : JAT_OK);
        }
        if (depth == 1) {
            assert_int_equal(s.n_children, JAT_MAX_CHILDREN);
            assert_int_equal(s.n_attrs, JAT_MAX_CHILDREN / 2);
            assert_str(s.children[JAT_MAX_CHILDREN - 1].name, JAT_STR("a"));
            assert_int_equal(s.children[JAT_MAX_CHILDREN - 1].first_attr,
                             JAT_MAX_CHILDREN / 2 - 1);
        }
        jat_buf_fini(&b);
    }
}

/* ---- one after the other ---- */

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
        jat_stanza_thread_fini();
        enum jat_err expected = parse(str(odd[b]), &alone);
        n_accepted += expected == JAT_OK;
        for (size_t a = 0; a < N_ODD; a++) {
            struct jat_stanza s;
            jat_stanza_thread_fini();
            (void)parse(str(odd[a]), &s);
            is_seen_alike(odd[b], expected, &alone);
            is_seen_alike(odd[b], expected, &alone);
        }
    }
    assert_int_equal(n_accepted, 7);
}

/* ---- memory ---- */

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
    jat_stanza_thread_fini();
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
    jat_stanza_thread_fini();
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
        (jat_stanza_thread_fini(), parse(jat_str(FULL, sizeof FULL - 1), &s)),
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

/* ---- threads ---- */

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

/* ---- the XEPs' examples: as libxml2's own tree has them ---- */

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

/* Each test ends, so the next one begins, without a context in this thread. */
static int end(void **state)
{
    jat_stanza_thread_fini();
    return no_block_left(state);
}

#define PARSER_TEST(f) cmocka_unit_test_setup_teardown(f, count_blocks, end)

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
        PARSER_TEST(a_prefixed_stanza_is_one),
        PARSER_TEST(a_relative_namespace_is_one),
        PARSER_TEST(any_string_is_the_name_of_a_namespace),
        PARSER_TEST(an_odd_name_does_not_hide_what_is_wrong),
        PARSER_TEST(many_odd_names_hide_no_unbound_prefix),
        PARSER_TEST(the_prefix_xml_is_always_bound),
        PARSER_TEST(a_name_longer_than_libxml2_takes_is_refused),
        PARSER_TEST(what_is_not_well_formed_is_refused),
        PARSER_TEST(a_stanza_cut_short_is_refused),
        PARSER_TEST(what_is_not_namespace_well_formed_is_refused),
        PARSER_TEST(what_is_not_utf_8_is_refused),
        PARSER_TEST(no_other_encoding_is_guessed),
        PARSER_TEST(a_nul_is_refused_wherever_it_stands),
        PARSER_TEST(a_document_type_is_refused_never_expanded),
        PARSER_TEST(an_unknown_entity_is_refused),
        PARSER_TEST(a_comment_is_refused),
        PARSER_TEST(a_processing_instruction_is_refused),
        PARSER_TEST(what_is_no_stanza_is_refused),
        PARSER_TEST(nothing_is_printed),
        PARSER_TEST(a_stanza_larger_than_max_is_refused),
        PARSER_TEST(a_stanza_deeper_than_64_is_refused),
        PARSER_TEST(an_element_with_more_than_256_attributes_is_refused),
        PARSER_TEST(an_element_with_more_than_65536_children_is_refused),
        PARSER_TEST(what_was_parsed_before_makes_no_difference),
        PARSER_TEST(ever_new_names_do_not_fill_the_memory),
        PARSER_TEST(a_name_that_is_no_uri_costs_a_new_context_seldom),
        PARSER_TEST(one_large_stanza_is_forgotten_with_the_next),
        PARSER_TEST(without_memory_nothing_changes),
        PARSER_TEST(without_memory_for_libxml2_nothing_changes),
        PARSER_TEST(threads_parse_at_the_same_time),
        PARSER_TEST(every_stanza_of_the_xeps_is_seen_as_libxml2_sees_it),
    };
    xmlMemSetup(xml_free, xml_malloc, xml_realloc, xml_strdup);
    jat_stanza_init();
    jat_stanza_init(); /* a second time does nothing */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
