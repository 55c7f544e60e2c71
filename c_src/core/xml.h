/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* XML as a row of events. Who wants to know what a text says gives a sink. The
 * only user of libxml2; the strings that a sink gets are libxml2's.
 *
 * The text is that of a child, or of children, of a stream with the content
 * namespace jabber:client (RFC 6120, 4.8.2). Anything that XMPP forbids (RFC
 * 6120, 11.1: comments, processing instructions, DTDs, entities) is refused,
 * never expanded, never fetched. A text is accepted only if it is well-formed
 * and no prefix is unbound in it. libxml2 says both, and more: it also takes a
 * namespace for an error whose name is no URI. Any string is a name here, as it
 * is to the parser of the server (expat).
 *
 * Each thread has a parser context that texts are fed to one after the other;
 * one that has seen an error, or has been in use for long, is replaced. */
#ifndef JAT_XML_H
#define JAT_XML_H

#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "str.h"

#define JAT_MAX_DEPTH 64
#define JAT_MAX_ATTRIBUTES 256
#define JAT_MAX_CHILDREN 65536

/* Attributes as libxml2 hands them over: local name, prefix, namespace (NULL:
 * none), and the value's begin and end. Namespace declarations are not among
 * them. */
#define JAT_XML_ATTR 5

/* A row of elements, of the outermost ones at a time, and their texts. `self`
 * is what was given to jat_xml_parse. */
struct jat_xml_sink {
    uint32_t max_roots; /* outermost elements of a text */
    /* An element begins, at this depth (1: an outermost one). Names and
     * namespaces live as long as the context, the rest for this call. Anything
     * but JAT_OK refuses the text. */
    enum jat_err (*start)(void *self, uint32_t depth, const unsigned char *name,
                          const unsigned char *ns, int n_attrs,
                          const unsigned char **attrs);
    /* NULL: nobody asks. Text comes in pieces. */
    void (*text)(void *self, uint32_t depth, struct jat_str piece);
    enum jat_err (*end)(void *self, uint32_t depth);
};

/* What a thread has for its sinks: memory, empty when a text begins, good until
 * the next one does. */
struct jat_xml {
    unsigned context;      /* number of the context: as long as it is the same,
                              a name is the same pointer wherever it occurs */
    struct jat_buf octets; /* has room for all of the text: never moves */
    struct jat_buf rows[2];
};

/* Once per process, before the first parse and before threads (calls
 * xmlInitParser). Never undone: libxml2 belongs to the whole process. */
void jat_xml_init(void);

/* Tells sink what the text (borrowed) says, element by element. max_size in
 * octets. Errors: JAT_EXML, JAT_EDTD, JAT_ECOMMENT, JAT_EPI, JAT_ESIZE,
 * JAT_EDEPTH, JAT_EATTRIBUTES, JAT_ECHILDREN, JAT_ENOMEM, those of the sink. */
enum jat_err jat_xml_parse(struct jat_str text, size_t max_size,
                           const struct jat_xml_sink *sink, void *self);

/* Of the calling thread. */
struct jat_xml *jat_xml_thread(void);
/* For a sink: the pointer of a name (see context). NULL: no memory. */
const unsigned char *jat_xml_name(const char *name);

/* Frees what the calling thread holds for parsing (also done by itself when a
 * thread ends). */
void jat_xml_thread_fini(void);

/* A copy of octets of the text, each of which is copied once at most. So all
 * find room, since nothing is longer than its source: nothing but character
 * references and the five predefined entities is ever expanded. (If it were not
 * so, the text would be refused.) */
static inline struct jat_str jat_xml_keep(struct jat_xml *x,
                                          struct jat_str octets)
{
    char *to = x->octets.p + x->octets.n;

    x->octets.failed |= octets.n > x->octets.cap - x->octets.n;
    if (x->octets.failed)
        return jat_str(NULL, 0);
    memcpy(to, octets.p, octets.n);
    x->octets.n += octets.n;
    return jat_str(to, octets.n);
}

static inline struct jat_str jat_xml_str(const unsigned char *s)
{
    return s == NULL ? jat_str(NULL, 0)
                     : jat_str((const char *)s, strlen((const char *)s));
}

/* The value of an attribute. */
static inline struct jat_str jat_xml_value(const unsigned char **attr)
{
    return jat_str((const char *)attr[3], (size_t)(attr[4] - attr[3]));
}

#endif
