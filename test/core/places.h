/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The places of addresses in a payload as libxml2's own tree has them, found in
 * another way than payload.c finds them. */
#ifndef PLACES_H
#define PLACES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <libxml/tree.h>

/* Called for each place, in the order of elements. attr: NULL for the text.
 * loose: in a field of a form that has no type. */
typedef void place_fn(uint32_t element, const char *attr, const char *value,
                      bool loose, void *data);

struct places_walk {
    place_fn *fn;
    void *data;
    uint32_t elements;
    const void *columns[32]; /* of the last form: <field/>s of <reported/> */
    unsigned n_columns;
};

static inline bool places_is(xmlNodePtr node, const char *ns, const char *name)
{
    return node != NULL && node->type == XML_ELEMENT_NODE && node->ns != NULL &&
           strcmp((const char *)node->ns->href, ns) == 0 &&
           (name == NULL || strcmp((const char *)node->name, name) == 0);
}

static inline bool places_form(xmlNodePtr node, const char *name)
{
    return places_is(node, "jabber:x:data", name);
}

static inline bool places_same(const xmlChar *a, const char *b)
{
    return strcmp(a == NULL ? "" : (const char *)a, b) == 0;
}

static inline bool places_attr_is(xmlNodePtr node, const char *name,
                                  const char *value)
{
    xmlChar *is = xmlGetNoNsProp(node, (const xmlChar *)name);
    bool yes = places_same(is, value);
    xmlFree(is);
    return yes;
}

static inline bool places_is_jid(xmlNodePtr field)
{
    return places_attr_is(field, "type", "jid-single") ||
           places_attr_is(field, "type", "jid-multi");
}

static inline bool places_is_column(const struct places_walk *w,
                                    xmlNodePtr field)
{
    bool found = false;
    xmlChar *var = xmlGetNoNsProp(field, (const xmlChar *)"var");
    for (unsigned i = 0; i < w->n_columns; i++)
        found |= places_attr_is((xmlNodePtr)(uintptr_t)w->columns[i], "var",
                                var == NULL ? "" : (const char *)var);
    xmlFree(var);
    return found;
}

/* A value of a form: 0: no place, 1: of a type that is JIDs, 2: of no type. */
static inline unsigned places_value(const struct places_walk *w,
                                    xmlNodePtr field)
{
    xmlNodePtr in = field->parent;
    if (!places_form(field, "field"))
        return 0;
    if (!places_attr_is(field, "type", ""))
        return places_is_jid(field);
    if (places_form(in, "item"))
        return places_is_column(w, field);
    return places_form(in, "x") && !places_attr_is(in, "type", "form") ? 2 : 0;
}

static inline void places_attr(struct places_walk *w, uint32_t element,
                               xmlNodePtr node, const char *attr)
{
    xmlChar *value = xmlGetNoNsProp(node, (const xmlChar *)attr);
    if (value != NULL)
        w->fn(element, attr, (const char *)value, false, w->data);
    xmlFree(value);
}

static inline void places_text(struct places_walk *w, uint32_t element,
                               xmlNodePtr node, bool loose)
{
    xmlChar *content = xmlNodeGetContent(node);
    if (xmlFirstElementChild(node) == NULL)
        w->fn(element, NULL, (const char *)content, loose, w->data);
    xmlFree(content);
}

static inline void places_in_forwarded(struct places_walk *w, uint32_t element,
                                       xmlNodePtr node)
{
    if (places_is(node, "jabber:client", "iq") ||
        places_is(node, "jabber:client", "message") ||
        places_is(node, "jabber:client", "presence")) {
        places_attr(w, element, node, "from");
        places_attr(w, element, node, "to");
    } else if (places_is(node, "urn:xmpp:delay", "delay")) {
        places_attr(w, element, node, "from");
    }
}

static inline void places_of(struct places_walk *w, uint32_t element,
                             xmlNodePtr node)
{
    const char *bytestreams = "http://jabber.org/protocol/bytestreams";
    const char *muc = "http://jabber.org/protocol/muc#user";
    unsigned value;
    if (places_is(node->parent, "urn:xmpp:forward:0", "forwarded"))
        places_in_forwarded(w, element, node);
    if (places_is(node, "http://jabber.org/protocol/disco#items", "item") ||
        places_is(node, "jabber:iq:search", "item") ||
        places_is(node, "urn:xmpp:jingle:transports:s5b:1", "candidate") ||
        places_is(node, bytestreams, "streamhost") ||
        places_is(node, bytestreams, "streamhost-used") ||
        places_is(node, "jabber:x:conference", "x")) {
        places_attr(w, element, node, "jid");
    } else if (places_is(node, "urn:xmpp:jingle:1", "jingle")) {
        places_attr(w, element, node, "initiator");
        places_attr(w, element, node, "responder");
    } else if (places_is(node, muc, "invite") ||
               places_is(node, muc, "decline")) {
        places_attr(w, element, node, "from");
        places_attr(w, element, node, "to");
    } else if (places_is(node, bytestreams, "activate")) {
        places_text(w, element, node, false);
    } else if (places_form(node, "x")) {
        w->n_columns = 0;
    } else if (places_form(node, "field")) {
        if (places_form(node->parent, "reported") && places_is_jid(node) &&
            w->n_columns < 32)
            w->columns[w->n_columns++] = node;
    } else if (places_form(node, "value")) {
        value = places_value(w, node->parent);
        if (value != 0)
            places_text(w, element, node, value == 2);
    }
}

/* Of the elements from `node` on, and all that is in them. */
static inline void places_walk(struct places_walk *w, xmlNodePtr node)
{
    for (; node != NULL; node = node->next) {
        if (node->type != XML_ELEMENT_NODE)
            continue;
        places_of(w, w->elements++, node);
        places_walk(w, node->children);
    }
}

#endif
