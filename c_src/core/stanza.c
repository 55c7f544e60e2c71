/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "stanza.h"

#include "xml.h"

#define N_KINDS 3 /* of enum jat_kind */

/* Names that are looked for, as the thread's context has them: there each name
 * stands once, so that two are the same if their pointers are. */
struct names {
    unsigned context;            /* its number */
    const unsigned char *client; /* the namespace */
    const unsigned char *kinds[N_KINDS];
    const unsigned char *id, *from, *to, *type;
};

static _Thread_local struct names thread_names;

/* A stanza as it is read. Names and namespaces are in the dictionary of the
 * context, values, children and attributes in the thread's memory. */
struct reading {
    struct jat_stanza stanza;
    bool is_stanza;
    struct names *names;
    struct jat_xml *xml;
};

/* ---- types ---- */

#define MAX_TYPES 7

static const struct kind {
    struct jat_str name;
    struct {
        struct jat_str word;
        enum jat_type type;
    } types[MAX_TYPES];
} kinds[N_KINDS] = {
#define WORD(lit)                                                              \
    {                                                                          \
        "" lit, sizeof(lit) - 1                                                \
    }
    [JAT_IQ] = {WORD("iq"),
                {{WORD("get"), JAT_TYPE_GET},
                 {WORD("set"), JAT_TYPE_SET},
                 {WORD("result"), JAT_TYPE_RESULT},
                 {WORD("error"), JAT_TYPE_ERROR}}},
    [JAT_MESSAGE] = {WORD("message"),
                     {{WORD("chat"), JAT_TYPE_CHAT},
                      {WORD("groupchat"), JAT_TYPE_GROUPCHAT},
                      {WORD("normal"), JAT_TYPE_NORMAL},
                      {WORD("headline"), JAT_TYPE_HEADLINE},
                      {WORD("error"), JAT_TYPE_ERROR}}},
    [JAT_PRESENCE] = {WORD("presence"),
                      {{WORD("unavailable"), JAT_TYPE_UNAVAILABLE},
                       {WORD("subscribe"), JAT_TYPE_SUBSCRIBE},
                       {WORD("subscribed"), JAT_TYPE_SUBSCRIBED},
                       {WORD("unsubscribe"), JAT_TYPE_UNSUBSCRIBE},
                       {WORD("unsubscribed"), JAT_TYPE_UNSUBSCRIBED},
                       {WORD("probe"), JAT_TYPE_PROBE},
                       {WORD("error"), JAT_TYPE_ERROR}}},
#undef WORD
};

static enum jat_type type_of(enum jat_kind kind, struct jat_str word)
{
    const struct kind *k = &kinds[kind];

    for (size_t i = 0; i < MAX_TYPES && k->types[i].word.n != 0; i++)
        if (jat_str_eq(k->types[i].word, word))
            return k->types[i].type;
    return JAT_TYPE_UNKNOWN;
}

/* ---- what the parser tells ---- */

static void take_head(struct reading *r, const unsigned char *name,
                      const unsigned char *ns, int n_attrs,
                      const unsigned char **a)
{
    struct jat_stanza *s = &r->stanza;
    const struct names *names = r->names;
    struct jat_str type = {NULL, 0};
    size_t kind = 0;

    while (kind < N_KINDS && names->kinds[kind] != name)
        kind++;
    if (kind == N_KINDS || ns != names->client)
        return;
    r->is_stanza = true;
    s->kind = (enum jat_kind)kind;
    for (; n_attrs > 0; n_attrs--, a += JAT_XML_ATTR) {
        if (a[2] != NULL)
            continue;
        if (a[0] == names->id) {
            s->has_id = true;
            s->id = jat_xml_keep(r->xml, jat_xml_value(a));
        } else if (a[0] == names->from) {
            s->from = jat_xml_keep(r->xml, jat_xml_value(a));
        } else if (a[0] == names->to) {
            s->to = jat_xml_keep(r->xml, jat_xml_value(a));
        } else if (a[0] == names->type) {
            type = jat_xml_keep(r->xml, jat_xml_value(a));
        }
    }
    if (type.p != NULL)
        s->type = type_of(s->kind, type);
}

static enum jat_err take_child(struct reading *r, const unsigned char *name,
                               const unsigned char *ns, int n_attrs,
                               const unsigned char **a)
{
    struct jat_stanza *s = &r->stanza;
    struct jat_buf *children = &r->xml->rows[0], *attrs = &r->xml->rows[1];
    struct jat_child child = {jat_xml_str(ns), jat_xml_str(name), s->n_attrs,
                              (uint32_t)n_attrs};

    for (; n_attrs > 0; n_attrs--, a += JAT_XML_ATTR) {
        struct jat_attr attr = {jat_xml_str(a[2]), jat_xml_str(a[0]),
                                jat_xml_keep(r->xml, jat_xml_value(a))};

        jat_buf_add(attrs, jat_str((const char *)&attr, sizeof attr));
        s->n_attrs++;
    }
    jat_buf_add(children, jat_str((const char *)&child, sizeof child));
    s->n_children++;
    return attrs->failed || children->failed ? JAT_ENOMEM : JAT_OK;
}

/* False: no memory. */
static bool find_names(struct reading *r)
{
    struct names *n = r->names;
    bool all = (n->client = jat_xml_name("jabber:client")) != NULL &&
               (n->id = jat_xml_name("id")) != NULL &&
               (n->from = jat_xml_name("from")) != NULL &&
               (n->to = jat_xml_name("to")) != NULL &&
               (n->type = jat_xml_name("type")) != NULL;

    for (size_t i = 0; all && i < N_KINDS; i++) {
        n->kinds[i] = jat_xml_name(kinds[i].name.p);
        all = n->kinds[i] != NULL;
    }
    if (all)
        n->context = r->xml->context;
    return all;
}

static enum jat_err on_start(void *self, uint32_t depth,
                             const unsigned char *name, const unsigned char *ns,
                             int n_attrs, const unsigned char **attrs)
{
    struct reading *r = self;

    if (depth > 2)
        return JAT_OK;
    if (depth == 2)
        return take_child(r, name, ns, n_attrs, attrs);
    if (r->names->context != r->xml->context && !find_names(r))
        return JAT_ENOMEM;
    take_head(r, name, ns, n_attrs, attrs);
    return JAT_OK;
}

enum jat_err jat_stanza_parse(struct jat_str xml, size_t max_size,
                              struct jat_stanza *out)
{
    static const struct jat_xml_sink sink = {.max_roots = 1, .start = on_start};
    struct reading r = {.names = &thread_names, .xml = jat_xml_thread()};
    enum jat_err err = jat_xml_parse(xml, max_size, &sink, &r);

    if (err != JAT_OK)
        return err;
    if (!r.is_stanza)
        return JAT_ENOSTANZA;
    *out = r.stanza;
    out->children = (const void *)r.xml->rows[0].p;
    out->attrs = (const void *)r.xml->rows[1].p;
    return JAT_OK;
}

struct jat_str jat_child_attr(const struct jat_stanza *s,
                              const struct jat_child *c, struct jat_str name)
{
    const struct jat_attr *a = s->attrs;

    for (uint32_t i = c->first_attr; i < c->first_attr + c->n_attrs; i++)
        if (a[i].ns.n == 0 && jat_str_eq(a[i].name, name))
            return a[i].value;
    return jat_str(NULL, 0);
}
