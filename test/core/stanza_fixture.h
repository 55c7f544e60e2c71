/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Stanzas for the tests of stanza.c: accepted, refused, and the memory that
 * libxml2 takes for them. */
#ifndef STANZA_FIXTURE_H
#define STANZA_FIXTURE_H

#include "tables.h"

#include <malloc.h>

#include <libxml/parser.h>

#include "buf.h"
#include "stanza.h"
#include "xml.h"

#define MAX_SIZE 262144U
#define NS "xmlns='jabber:client'"

/* libxml2's memory: counted, and refused when a test says so. */
static bool xml_memory_is_counted;
static size_t xml_memory;
static unsigned xml_allocations_left = UINT32_MAX;
static unsigned xml_allocations; /* so far */

static inline void *xml_realloc(void *p, size_t n)
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

static inline void *xml_malloc(size_t n)
{
    return xml_realloc(NULL, n);
}

static inline void xml_free(void *p)
{
    if (xml_memory_is_counted)
        xml_memory -= malloc_usable_size(p);
    free(p);
}

static inline char *xml_strdup(const char *s)
{
    char *p = xml_malloc(strlen(s) + 1);
    return p == NULL ? NULL : strcpy(p, s);
}

/* From a thread without a context to the same. */
static inline void count_xml_memory(bool yes)
{
    jat_xml_thread_fini();
    xmlResetLastError();
    xml_memory_is_counted = yes;
    xml_memory = 0;
}

/* To be called once, before the tests. */
static inline void stanza_begin(void)
{
    xmlMemSetup(xml_free, xml_malloc, xml_realloc, xml_strdup);
    jat_xml_init();
    jat_xml_init(); /* a second time does nothing */
}

static inline enum jat_err parse(struct jat_str xml, struct jat_stanza *out)
{
    return jat_stanza_parse(xml, MAX_SIZE, out);
}

static inline struct jat_str str(const char *s)
{
    return jat_str(s, strlen(s));
}

static inline void accepted(const char *xml, struct jat_stanza *s)
{
    enum jat_err err = parse(str(xml), s);
    if (err != JAT_OK)
        print_error("%s: %s\n", jat_err_name(err), xml);
    assert_int_equal(err, JAT_OK);
}

/* Refused with nothing written to the output, and the next stanza is fine. */
static inline void refused_text(struct jat_str xml, enum jat_err expected)
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

static inline void refused(const char *xml, enum jat_err expected)
{
    refused_text(str(xml), expected);
}

/* Not by value of n alone: JAT_STR of an absent one is {NULL, 0}. */
static inline void assert_attr(const struct jat_stanza *s, unsigned child,
                               const char *name, const char *value)
{
    struct jat_str v = jat_child_attr(s, &s->children[child], str(name));
    assert_str(v, str(value));
    assert_non_null(v.p);
}

/* form, with name for each '$'; to be freed. */
static inline char *with_name(const char *form, const char *name)
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

static unsigned messages;

/* In the place of libxml2's printer to stderr. */
__attribute__((format(printf, 2, 3))) static inline void
count_message(void *data, const char *f, ...)
{
    (void)data, (void)f;
    messages++;
}

/* Each test ends, so the next one begins, without a context in this thread. */
static inline int end(void **state)
{
    jat_xml_thread_fini();
    return no_block_left(state);
}

#define PARSER_TEST(f) cmocka_unit_test_setup_teardown(f, count_blocks, end)

#endif
