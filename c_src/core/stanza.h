/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One stanza's text to a flat view (xml.h says which texts are refused). The
 * text is a whole iq, message or presence element in jabber:client; usually
 * only its head: the children without their own children. */
#ifndef JAT_STANZA_H
#define JAT_STANZA_H

#include <stdint.h>

#include "err.h"
#include "str.h"

enum jat_kind { JAT_IQ, JAT_MESSAGE, JAT_PRESENCE };

/* The types of all three kinds (RFC 6120, 8.2.3; RFC 6121, 4.7.1 and 5.2.2).
 * No type attribute: JAT_TYPE_NONE (a presence: available; a message:
 * normal). */
enum jat_type {
    JAT_TYPE_NONE,
    JAT_TYPE_GET,
    JAT_TYPE_SET,
    JAT_TYPE_RESULT,
    JAT_TYPE_ERROR,
    JAT_TYPE_CHAT,
    JAT_TYPE_NORMAL,
    JAT_TYPE_HEADLINE,
    JAT_TYPE_GROUPCHAT,
    JAT_TYPE_UNAVAILABLE,
    JAT_TYPE_SUBSCRIBE,
    JAT_TYPE_SUBSCRIBED,
    JAT_TYPE_UNSUBSCRIBE,
    JAT_TYPE_UNSUBSCRIBED,
    JAT_TYPE_PROBE,
    JAT_TYPE_UNKNOWN
};

/* A direct child of the stanza. Its attributes are attrs[first_attr ..
 * first_attr + n_attrs) of the stanza; namespace declarations are not among
 * them. */
struct jat_child {
    struct jat_str ns, name;
    uint32_t first_attr, n_attrs;
};

struct jat_attr {
    struct jat_str ns, name, value; /* ns is empty for a plain attribute */
};

struct jat_stanza {
    enum jat_kind kind;
    enum jat_type type;
    struct jat_str id, from, to; /* empty where absent */
    bool has_id;
    const struct jat_child *children;
    uint32_t n_children;
    const struct jat_attr *attrs; /* of the direct children */
    uint32_t n_attrs;
};

/* Parses xml (borrowed) into *out. Everything in *out belongs to the
 * calling thread and lives until its next parse. max_size in octets.
 * Errors: those of jat_xml_parse, JAT_ENOSTANZA. */
enum jat_err jat_stanza_parse(struct jat_str xml, size_t max_size,
                              struct jat_stanza *out);

/* The value of a plain attribute of a child; {NULL, 0} where absent. */
struct jat_str jat_child_attr(const struct jat_stanza *s,
                              const struct jat_child *c, struct jat_str name);

#endif
