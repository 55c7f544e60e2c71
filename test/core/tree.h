/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A stanza as libxml2's own tree has it, against our view of it. */
#ifndef TREE_H
#define TREE_H

#include <libxml/tree.h>

#include "stanza.h"

static inline bool tree_is(const xmlChar *is, struct jat_str s)
{
    const char *p = (const char *)is;
    return jat_str_eq(s, jat_str(p, p == NULL ? 0 : strlen(p)));
}

static inline bool tree_attr_is(xmlNodePtr node, const char *name,
                                struct jat_str value)
{
    xmlChar *is = xmlGetNoNsProp(node, (const xmlChar *)name);
    bool yes = tree_is(is, value);
    xmlFree(is);
    return yes;
}

/* The type that the words of RFC 6120 and 6121 mean. */
static inline enum jat_type tree_type(xmlNodePtr node)
{
    static const struct {
        const char *stanza, *word;
        enum jat_type type;
    } types[] = {
        {"iq", "get", JAT_TYPE_GET},
        {"iq", "set", JAT_TYPE_SET},
        {"iq", "result", JAT_TYPE_RESULT},
        {"iq", "error", JAT_TYPE_ERROR},
        {"message", "chat", JAT_TYPE_CHAT},
        {"message", "normal", JAT_TYPE_NORMAL},
        {"message", "headline", JAT_TYPE_HEADLINE},
        {"message", "groupchat", JAT_TYPE_GROUPCHAT},
        {"message", "error", JAT_TYPE_ERROR},
        {"presence", "unavailable", JAT_TYPE_UNAVAILABLE},
        {"presence", "subscribe", JAT_TYPE_SUBSCRIBE},
        {"presence", "subscribed", JAT_TYPE_SUBSCRIBED},
        {"presence", "unsubscribe", JAT_TYPE_UNSUBSCRIBE},
        {"presence", "unsubscribed", JAT_TYPE_UNSUBSCRIBED},
        {"presence", "probe", JAT_TYPE_PROBE},
        {"presence", "error", JAT_TYPE_ERROR},
    };
    xmlChar *word = xmlGetNoNsProp(node, (const xmlChar *)"type");
    enum jat_type type = word == NULL ? JAT_TYPE_NONE : JAT_TYPE_UNKNOWN;
    for (size_t i = 0; word != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcmp((char *)word, types[i].word) == 0 &&
            strcmp((const char *)node->name, types[i].stanza) == 0)
            type = types[i].type;
    xmlFree(word);
    return type;
}

static inline bool tree_agrees_on_child(xmlNodePtr node,
                                        const struct jat_stanza *s,
                                        const struct jat_child *c)
{
    bool yes = tree_is(node->name, c->name) &&
               tree_is(node->ns == NULL ? NULL : node->ns->href, c->ns);
    uint32_t n = 0;
    for (xmlAttrPtr a = node->properties; a != NULL && yes; a = a->next, n++) {
        const struct jat_attr *ours = &s->attrs[c->first_attr + n];
        xmlChar *value = xmlNodeListGetString(node->doc, a->children, 1);
        yes = n < c->n_attrs && tree_is(a->name, ours->name) &&
              tree_is(a->ns == NULL ? NULL : a->ns->href, ours->ns) &&
              tree_is(value, ours->value);
        xmlFree(value);
    }
    return yes && n == c->n_attrs;
}

/* False: something in *s is not as it is in the tree. */
static inline bool tree_agrees(xmlNodePtr node, const struct jat_stanza *s)
{
    static const char *const kinds[] = {"iq", "message", "presence"};
    bool yes = strcmp((const char *)node->name, kinds[s->kind]) == 0 &&
               s->type == tree_type(node) && tree_attr_is(node, "id", s->id) &&
               tree_attr_is(node, "from", s->from) &&
               tree_attr_is(node, "to", s->to);
    uint32_t n = 0;
    for (xmlNodePtr c = xmlFirstElementChild(node); c != NULL && yes;
         c = xmlNextElementSibling(c), n++)
        yes = n < s->n_children && tree_agrees_on_child(c, s, &s->children[n]);
    return yes && n == s->n_children;
}

#endif
