/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* XML written by the choices of an input: nearly well-formed, so that what lies
 * behind libxml2's own checks is reached, and large where that is chosen. */
#ifndef GRAMMAR_H
#define GRAMMAR_H

#include "buf.h"
#include "fuzz.h"

#define GRAMMAR_END '\xff'     /* of one text of several */
#define GRAMMAR_MAX_TEXT 8192U /* octets, about */

static const char *const grammar_names[] = {
    "iq", "message", "presence", "query", "p:a", "q:b", "error", "x"};

static const char *const grammar_attrs[] = {" xmlns='jabber:client'",
                                            " xmlns='jabber:server'",
                                            " xmlns=''",
                                            " xmlns='no URI'",
                                            " xmlns:p='urn:p'",
                                            " xmlns:q='urn: q'",
                                            " xmlns:p='jabber:client'",
                                            " xml:lang='en'",
                                            " type='get'",
                                            " type='set'",
                                            " type='result'",
                                            " type='error'",
                                            " type='chat'",
                                            " type='subscribe'",
                                            " type='probe'",
                                            " type=''",
                                            " id='1'",
                                            " id=''",
                                            " id='&amp;&#38;'",
                                            " from='u@example.net/r'",
                                            " from=''",
                                            " to='proxy.example.org'",
                                            " to='proxy.example.org/a&apos;b'",
                                            " p:id='2'",
                                            " q:type='set'",
                                            " node='\xc3\xa4'",
                                            " a='&lt;&gt;&quot;'",
                                            " b='\t\r\n'",
                                            " c='&#x1F600;'",
                                            " d='&#9;'",
                                            " e=\"'\"",
                                            " f='<'"};

static const char *const grammar_texts[] = {
    "text",          " ",
    "\r\n",          "\xc3\xa4\xf0\x9f\x98\x80",
    "&amp;",         "&#0;",
    "&#xD800;",      "&undefined;",
    "]]>",           "<![CDATA[<&]]>",
    "<!-- -->",      "<?a b?>",
    "<!DOCTYPE iq>", "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "\xc0\xaf",      "\xed\xa0\x80"};

#define GRAMMAR_PICK(table, choice)                                            \
    (table)[(choice) % (sizeof(table) / sizeof(table)[0])]

struct grammar {
    struct input *in;
    struct jat_buf *to;
    const char *open[128]; /* names of the elements that are */
    unsigned depth;
    unsigned serial; /* of attributes made here */
    bool in_tag;     /* of the innermost element */
};

static inline void grammar_put(struct grammar *g, const char *text)
{
    jat_buf_add(g->to, jat_str(text, strlen(text)));
}

static inline void grammar_end_tag(struct grammar *g)
{
    if (g->in_tag)
        jat_buf_addc(g->to, '>');
    g->in_tag = false;
}

static inline void grammar_open(struct grammar *g, const char *name)
{
    if (g->depth == sizeof g->open / sizeof g->open[0])
        return;
    grammar_end_tag(g);
    g->open[g->depth++] = name;
    jat_buf_addc(g->to, '<');
    grammar_put(g, name);
    g->in_tag = true;
}

/* Where nothing is open, ends the text: another one begins. */
static inline void grammar_close(struct grammar *g)
{
    if (g->depth == 0) {
        jat_buf_addc(g->to, GRAMMAR_END);
        return;
    }
    g->depth--;
    if (g->in_tag) {
        grammar_put(g, "/>");
        g->in_tag = false;
        return;
    }
    grammar_put(g, "</");
    grammar_put(g, g->open[g->depth]);
    jat_buf_addc(g->to, '>');
}

/* One no other attribute of the element has the name of. */
static inline void grammar_number(struct grammar *g)
{
    char text[32];

    (void)snprintf(text, sizeof text, " n%u='%u'", g->serial, g->serial);
    g->serial++;
    grammar_put(g, text);
}

static inline void grammar_step(struct grammar *g, unsigned step,
                                unsigned choice)
{
    switch (step) {
    case 0:
        grammar_open(g, GRAMMAR_PICK(grammar_names, choice));
        break;
    case 1:
        grammar_close(g);
        break;
    case 2:
        if (g->in_tag)
            grammar_put(g, GRAMMAR_PICK(grammar_attrs, choice));
        break;
    case 3:
        if (g->in_tag)
            grammar_number(g);
        break;
    case 4:
        grammar_end_tag(g);
        grammar_put(g, GRAMMAR_PICK(grammar_texts, choice));
        break;
    case 5:
        grammar_open(g, "x");
        grammar_close(g);
        break;
    case 6:
        grammar_open(g, GRAMMAR_PICK(grammar_names, choice));
        grammar_put(g, " xmlns='jabber:client' from='u@example.net/r'"
                       " to='proxy.example.org'");
        break;
    default:
        jat_buf_add(g->to, input_str(g->in, choice % 16));
        break;
    }
}

/* Appends a text to `to`: step after step until the input ends. */
static inline void grammar_write(struct input *in, struct jat_buf *to)
{
    struct grammar g = {.in = in, .to = to};

    while (in->n > 0 && to->n < GRAMMAR_MAX_TEXT) {
        unsigned step = input_octet(in), choice = input_octet(in);
        unsigned times = step < 128 ? 1 : input_octet(in);

        while (times-- > 0 && to->n < GRAMMAR_MAX_TEXT)
            grammar_step(&g, step % 8, choice);
    }
    while (g.depth > 0)
        grammar_close(&g);
}

#endif
