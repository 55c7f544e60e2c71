/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Where addresses are looked for in a payload, and where not; how much of it
 * there may be. Whose they are: test_parties.c. */
#include "payload_fixture.h"

#include "examples.h"
#include "places.h"

#define NS_FORM "xmlns='jabber:x:data'"
#define SUBMITTED(value) "<x " NS_FORM " type='submit'>" FIELD("", value) "</x>"
#define FIELD(attrs, value) "<field " attrs "><value>" value "</value></field>"

static void ask_in_plain(void)
{
    proxy("");
    come(A);
    from_user(U, P, PU);
}

static void each_place_of_the_table_is_found(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {ITEMS("<item node='n' jid='" U "' name='x'/>"), "1@jid " PU},
        {"<query xmlns='jabber:iq:search'><item jid='" U "'/></query>",
         "1@jid " PU},
        {"<jingle xmlns='urn:xmpp:jingle:1' responder='" U "' initiator='" U
         "'/>",
         "0@initiator " PU "; 0@responder " PU},
        {"<transport xmlns='urn:xmpp:jingle:transports:s5b:1'>"
         "<candidate jid='" U "'/></transport>",
         "1@jid " PU},
        {"<query xmlns='http://jabber.org/protocol/bytestreams'>"
         "<streamhost jid='" U "'/><streamhost-used jid='" U "'/>"
         "<activate>" U "</activate></query>",
         "1@jid " PU "; 2@jid " PU "; 3 " PU},
        {"<forwarded xmlns='urn:xmpp:forward:0'>"
         "<delay xmlns='urn:xmpp:delay' from='" U "' stamp=''/>"
         "<iq from='" U "' to='" U "' xmlns='jabber:client'/>"
         "<message to='" U "' xmlns='jabber:client'><body>" U
         "</body></message>"
         "<presence from='" U "' xmlns='jabber:client'/></forwarded>",
         "1@from " PU "; 2@from " PU "; 2@to " PU "; 3@to " PU "; 5@from " PU},
        {"<x xmlns='http://jabber.org/protocol/muc#user'>"
         "<invite to='" U "' from='" U "'/><decline to='" U "' from='" U "'/>"
         "</x>",
         "1@from " PU "; 1@to " PU "; 2@from " PU "; 2@to " PU},
        {"<x xmlns='jabber:x:conference' jid='" U "'/>", "0@jid " PU},
        {"<x " NS_FORM " type='form'>" FIELD("type='jid-single'", U)
             FIELD("type='jid-multi'", U "</value><value>" U) "</x>",
         "2 " PU "; 4 " PU "; 5 " PU},
    };
    ask_in_plain();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_words(edits_of(texts[i][0]), texts[i][1]);
}

static void an_address_elsewhere_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "<query xmlns='urn:x'>" ITEM(U) "</query>",
        "<item jid='" U "'/>",
        "<item xmlns='' jid='" U "'/>",
        ITEMS("<items jid='" U "'/><item name='" U "' node='" U "'>" U
              "</item>"),
        ITEMS("<item xmlns:p='urn:p' p:jid='" U "'/>"),
        ITEMS("<item/>"),
        ITEMS("<item jid=''/>"),
        "<jingle xmlns='urn:xmpp:jingle:1' sid='" U "'/>",
        "<query xmlns='http://jabber.org/protocol/bytestreams' dstaddr='" U
        "'><activate>" U "<a/></activate><activate>x<a>" U
        "</a></activate><activate><a/>" U "</activate></query>",
        "<message from='" U "'/>",
        "<forwarded xmlns='urn:x'><message xmlns='jabber:client' from='" U
        "'/></forwarded>",
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='urn:x' from='" U
        "'/><a><message xmlns='jabber:client' from='" U "'/></a></forwarded>",
        "<delay xmlns='urn:xmpp:delay' from='" U "'/>",
        "<x " NS_FORM " type='form'>" FIELD("var='a'", U)
            FIELD("type='text-single'",
                  U) "<value>" U "</value>"
                     "<field type='jid-single'><option><value>" U
                     "</value></option></field></x>",
        "<x xmlns='urn:x'>" FIELD("type='jid-single'", U) "</x>",
    };
    ask_in_plain();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_words(edits_of(texts[i]), "");
}

static void places_are_found_however_deep_and_under_any_prefix(void **state)
{
    (void)state;
    ask_in_plain();
    assert_words(edits_of("<a xmlns='urn:a' xmlns:d='" ITEMS_NS "'>"
                          "<b/><c><d:item jid='" U "'/></c>"
                          "<forwarded xmlns='urn:xmpp:forward:0'>"
                          "<message xmlns='jabber:client'>"
                          "<x xmlns='jabber:x:conference' jid='" U
                          "'/></message></forwarded></a>"),
                 "3@jid " PU "; 6@jid " PU);
}

static void several_children_of_a_stanza_are_counted_as_one_row(void **state)
{
    (void)state;
    ask_in_plain();
    assert_words(edits_of(ITEMS(ITEM(U)) ITEMS("") ITEMS(ITEM("x") ITEM(U))),
                 "1@jid " PU "; 5@jid " PU);
}

static void a_text_may_come_in_pieces(void **state)
{
    (void)state;
    ask_in_plain();
    assert_words(
        edits_of("<query xmlns='http://jabber.org/protocol/bytestreams'>"
                 "<activate>u@<![CDATA[example]]>.net&#47;r"
                 "</activate></query>"),
        "1 " PU);
}

static void a_value_with_references_is_read_as_what_it_stands_for(void **state)
{
    (void)state;
    proxy("");
    come(A);
    from_user("u@example.net/'&<", P, P "/u@example.net/'&<");
    assert_words(edits_of(ITEMS(ITEM("u@example.net/&apos;&amp;&lt;"))),
                 "1@jid " P "/u@example.net/'&<");
}

/* XEP-0004, 3.4 */
static void items_of_a_form_have_the_types_of_its_columns(void **state)
{
    (void)state;
    ask_in_plain();
    assert_words(
        edits_of("<x " NS_FORM " type='result'><reported>"
                 "<field var='who' type='jid-single'/>"
                 "<field var='what' type='text-single'/></reported>"
                 "<item>" FIELD("var='what'", U) FIELD("var='who'", U)
                     FIELD("var='whose'", U) "</item></x>"
                                             "<x " NS_FORM
                                             " type='result'><item>" FIELD(
                                                 "var='who'", U) "</item></x>"),
        "8 " PU);
    /* and those of its columns only */
    assert_words(edits_of("<x " NS_FORM ">" FIELD(
                     "var='who' type='jid-single'",
                     "x") "<item>" FIELD("var='who'", U) "</item></x>"),
                 "");
}

/* No more than 32 columns are looked at. */
static void a_form_may_have_any_number_of_columns(void **state)
{
    (void)state;
    const char *columns = "", *fields = "", *expected = "";
    ask_in_plain();
    for (unsigned i = 0; i < 40; i++) {
        columns = line("%s<field var='%u' type='jid-multi'/>", columns, i);
        fields = line("%s" FIELD("var='%u'", U), fields, i);
        if (i < 32)
            expected =
                line("%s%s%u " PU, expected, i == 0 ? "" : "; ", 44 + 2 * i);
    }
    assert_words(edits_of(line("<x " NS_FORM "><reported>%s</reported>"
                               "<item>%s</item></x>",
                               columns, fields)),
                 expected);
}

/* XEP-0004, 3.3: who submits a form may leave the types out. */
static void
in_a_field_without_a_type_only_what_is_surely_an_address_is_one(void **state)
{
    (void)state;
    proxy("");
    come(A);
    const char *a = shown(A);
    from_user(U, P, PU);
    assert_words(edits_of(SUBMITTED(U)), "2 " PU);
    assert_words(edits_of(line(SUBMITTED("%s"), a)), "2 " A);
    /* a mail address? */
    assert_words(edits_of(SUBMITTED("u@example.net")), "");
    assert_words(edits_of("<x " NS_FORM " type='submit'>" FIELD(
                     "type='jid-single'", "u@example.net") "</x>"),
                 "2 " P "/u@example.net");
    from_target(PU, P, U);
    assert_words(edits_of(SUBMITTED(A)), line("2 %s", a));
    assert_words(edits_of(SUBMITTED(T)), "");
    assert_words(edits_of(SUBMITTED(P "/u@example.net")), "2 u@example.net");
}

/* With `sealed` nobody gets to know a JID for want of a type. */
static void
in_a_field_without_a_type_all_is_an_address_that_looks_like_one(void **state)
{
    (void)state;
    proxy("encoding=sealed");
    come(A);
    get("1", U, P);
    from_user(U, P, from_of());
    const char *bare = edits_of(ITEMS(ITEM("u@example.net")));
    assert_words(edits_of("<x " NS_FORM
                          " type='submit'>" FIELD("", "u@example.net") "</x>"),
                 line("2 %s", bare + sizeof "1@jid"));
    close_all();
}

/* Limits */

static const char *items(const char *item, unsigned n)
{
    struct jat_buf b = JAT_BUF_INIT;
    jat_buf_add(&b, JAT_STR("<query xmlns='" ITEMS_NS "'>"));
    for (unsigned i = 0; i < n; i++)
        jat_buf_add(&b, str(item));
    jat_buf_add(&b, JAT_STR("</query>"));
    jat_buf_addc(&b, '\0');
    const char *payload = line("%s", b.p);
    jat_buf_fini(&b);
    return payload;
}

/* What is counted is the payload that the receiver will get. */
static void a_payload_does_not_grow_beyond_max_stanza_size(void **state)
{
    (void)state;
    const char *one = ITEM("u@example.net/&amp;");
    const char *payload = items(one, 3);
    /* PU with the entity, in the place of U with it */
    size_t after = strlen(payload) + 3 * (sizeof P "/" - 1);
    for (int less = 0; less < 2; less++) {
        proxy(line("max_stanza_size=%zu", after - (size_t)less));
        come(A);
        from_user("u@example.net/&", P, P "/u@example.net/&");
        if (less)
            assert_words(edits_of(payload), "failed too_big");
        else
            assert_words(edits_of(payload), line("1@jid %s/u@example.net/&; "
                                                 "2@jid %s/u@example.net/&; "
                                                 "3@jid %s/u@example.net/&",
                                                 P, P, P));
    }
    proxy(line("max_stanza_size=%zu", strlen(payload) - 1));
    come(A);
    assert_words(edits_of(payload), "failed too_big");
}

/* What shrinks makes room. */
static void each_character_that_is_escaped_counts_as_it_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *resource, *reference;
    } each[] = {{"&", "&amp;"},
                {"<", "&lt;"},
                {">", "&gt;"},
                {"'", "&apos;"},
                {"\"", "&quot;"}};
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        const char *e = line(T "/%s", each[i].resource);
        proxy("");
        come(e);
        const char *becomes = line("%s", shown(e));
        const char *payload =
            line(ITEMS("<item jid='" T "/%s'/>"), each[i].reference);
        size_t after = strlen(payload) + strlen(becomes) - strlen(T "/") -
                       strlen(each[i].reference);
        for (unsigned fits = 0; fits < 2; fits++) {
            proxy(line("max_stanza_size=%zu", after - 1 + fits));
            come(A);
            from_target(PU, P, U);
            assert_words(edits_of(payload),
                         fits ? line("1@jid %s", becomes) : "failed too_big");
        }
    }
}

/* Else one who may fill a text up with addresses of his own would learn from
 * the error how long the other one's address is. */
static void what_becomes_shorter_gives_no_room_to_the_rest(void **state)
{
    (void)state;
    const char *payload = ITEMS(ITEM(A) ITEM(PU)), *own = ITEMS(ITEM(A));
    size_t growth;
    proxy("encoding=jid");
    come(A);
    from_target(PU, P, U);
    assert_int_equal(translate(own), JAT_OK);
    growth = edits.v[0].value.n - strlen(A);
    for (unsigned less = 0; less < 2; less++) {
        proxy(line("encoding=jid max_stanza_size=%zu",
                   strlen(payload) + growth - less));
        come(A);
        assert_int_equal(translate(payload), less ? JAT_ESIZE : JAT_OK);
    }
}

static void only_so_many_addresses_are_translated(void **state)
{
    (void)state;
    ask_in_plain();
    assert_int_equal(translate(items(ITEM(U), JAT_MAX_ADDRESSES)), JAT_OK);
    assert_int_equal(edits.n, JAT_MAX_ADDRESSES);
    assert_words(edits_of(items(ITEM(U), JAT_MAX_ADDRESSES + 1)),
                 "failed too_many_addresses");
    /* also those of which nothing can come */
    assert_words(edits_of(items(ITEM(P "/x@"), JAT_MAX_ADDRESSES + 1)),
                 "failed too_many_addresses");
    /* those of others are no cost */
    assert_words(edits_of(items(ITEM("x@example.org/r"), 2000)), "");
    assert_words(edits_of(items(ITEM("x@example.net/r"), 2000)), "");
    assert_words(edits_of(items(ITEM(PU), 2000)), "");
}

static void what_is_no_payload_is_an_error(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "failed malformed_xml"},
        {"<a>", "failed malformed_xml"},
        {"<a/>text", "failed malformed_xml"},
        {"<p:a/>", "failed malformed_xml"},
        {"<a/><!-- -->", "failed comment"},
        {"<a><?p ?></a>", "failed processing_instruction"},
    };
    const char *deep = "<a/>";
    ask_in_plain();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_words(edits_of(texts[i][0]), texts[i][1]);
    for (unsigned i = 1; i < JAT_MAX_DEPTH; i++)
        deep = line("<a>%s</a>", deep);
    assert_words(edits_of(deep), "");
    assert_words(edits_of(line("<a>%s</a>", deep)), "failed too_deep");
}

static void what_is_no_stanza_that_is_forwarded_is_refused(void **state)
{
    (void)state;
    const char *payload = ITEMS(ITEM(U));
    proxy("");
    come(A);
    from_user("", P, PU);
    assert_words(edits_of(payload), "failed badarg");
    from_user(U, P, P);
    assert_words(edits_of(payload), "failed badarg");
    from_user(U, P, PU);
    addresses.new_to = JAT_STR("");
    assert_words(edits_of(payload), "failed badarg");
    from_target("@", P, U);
    assert_words(edits_of(payload), "failed badarg");
}

/* The XEPs' examples: each address in a place of the tree is found when it is
 * the requester's, and no other. */

struct expected {
    const char *jid;   /* the requester */
    const char *words; /* what is to be edited then */
};

static void expect(uint32_t element, const char *attr, const char *value,
                   bool loose, void *data)
{
    struct expected *e = data;
    if (strcmp(value, e->jid) != 0 || (loose && strchr(value, '/') == NULL))
        return;
    const char *where =
        attr == NULL ? line("%u", element) : line("%u@%s", element, attr);
    e->words =
        line("%s%s%s " P "/%s", e->words, *e->words ? "; " : "", where, e->jid);
}

struct tried {
    const char *jids[64];
    unsigned n;
};

static void collect_jid(uint32_t element, const char *attr, const char *value,
                        bool loose, void *data)
{
    struct tried *t = data;
    (void)element, (void)attr, (void)loose;
    if (t->n < 64 && jat_jid_is_prepared(str(value)))
        t->jids[t->n++] = line("%s", value);
}

static unsigned n_found;

static bool has_comment(xmlNodePtr node)
{
    for (; node != NULL; node = node->next)
        if (node->type == XML_COMMENT_NODE || has_comment(node->children))
            return true;
    return false;
}

static void its_addresses_are_found(xmlNodePtr stanza, struct jat_str text)
{
    struct tried t = {.n = 0};
    struct places_walk all = {.fn = collect_jid, .data = &t};
    if (has_comment(stanza))
        return;
    places_walk(&all, stanza);
    for (unsigned i = 0; i < t.n; i++) {
        struct expected e = {t.jids[i], ""};
        struct places_walk w = {.fn = expect, .data = &e};
        places_walk(&w, stanza);
        from_user(e.jid, P, line(P "/%s", e.jid));
        assert_words(edits_at_last(line("%.*s", (int)text.n, text.p)), e.words);
        n_found++;
    }
}

static void
in_each_stanza_of_the_xeps_the_addresses_of_the_tree_are_found(void **state)
{
    (void)state;
    proxy("");
    come(A);
    spare_this_test(); /* thousands of texts, each read in the other tests' ways
                        */
    int n = examples_each(getenv("XEP_EXAMPLES"), its_addresses_are_found);
    if (n < 0) {
        print_message("skipped: no XEP examples here\n");
        skip();
    }
    print_message("%d stanzas, %u addresses\n", n, n_found);
    assert_true(n_found > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAYLOAD_CASE(each_place_of_the_table_is_found),
        PAYLOAD_CASE(an_address_elsewhere_stays),
        PAYLOAD_CASE(places_are_found_however_deep_and_under_any_prefix),
        PAYLOAD_CASE(several_children_of_a_stanza_are_counted_as_one_row),
        PAYLOAD_CASE(a_text_may_come_in_pieces),
        PAYLOAD_CASE(a_value_with_references_is_read_as_what_it_stands_for),
        PAYLOAD_CASE(items_of_a_form_have_the_types_of_its_columns),
        PAYLOAD_CASE(a_form_may_have_any_number_of_columns),
        PAYLOAD_CASE(
            in_a_field_without_a_type_only_what_is_surely_an_address_is_one),
        PAYLOAD_CASE(
            in_a_field_without_a_type_all_is_an_address_that_looks_like_one),
        PAYLOAD_CASE(a_payload_does_not_grow_beyond_max_stanza_size),
        PAYLOAD_CASE(each_character_that_is_escaped_counts_as_it_is_written),
        PAYLOAD_CASE(what_becomes_shorter_gives_no_room_to_the_rest),
        PAYLOAD_CASE(only_so_many_addresses_are_translated),
        PAYLOAD_CASE(what_is_no_payload_is_an_error),
        PAYLOAD_CASE(what_is_no_stanza_that_is_forwarded_is_refused),
        PAYLOAD_CASE(
            in_each_stanza_of_the_xeps_the_addresses_of_the_tree_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
