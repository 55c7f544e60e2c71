/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The limits of size, depth, attributes and children. */
#include "stanza_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARSER_TEST(a_stanza_larger_than_max_is_refused),
        PARSER_TEST(a_stanza_deeper_than_64_is_refused),
        PARSER_TEST(an_element_with_more_than_256_attributes_is_refused),
        PARSER_TEST(an_element_with_more_than_65536_children_is_refused),
    };
    stanza_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
