/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "payload.h"

#include "xml.h"

/* The places */

/* What an element is to those in it. */
enum inside {
    ANYTHING,
    FORWARDED,  /* XEP-0297 */
    FORM,       /* XEP-0004: of type `form', where each field has a type */
    LOOSE_FORM, /* of any other type: types may be left out */
    COLUMNS,    /* its <reported/>: the types of the fields of its items */
    ROW,        /* one of these items */
    JID_FIELD,  /* of type jid-single or jid-multi */
    LOOSE_FIELD /* of no type */
};

#define STR(lit)                                                               \
    {                                                                          \
        "" lit, sizeof(lit) - 1                                                \
    }
#define TEXT                                                                   \
    {                                                                          \
        NULL, 0                                                                \
    }
#define NS_CLIENT "jabber:client"
#define NS_FORM "jabber:x:data"
#define NS_BYTESTREAMS "http://jabber.org/protocol/bytestreams"
#define NS_MUC_USER "http://jabber.org/protocol/muc#user"

/* Where addresses stand: in an attribute, or as the text. parent: what the
 * element must stand in, if that matters. */
static const struct place {
    const char *element, *ns;
    struct jat_str attribute;
    enum inside parent;
} places[] = {
    /* XEP-0030, 0055 */
    {"item", "http://jabber.org/protocol/disco#items", STR("jid"), ANYTHING},
    {"item", "jabber:iq:search", STR("jid"), ANYTHING},
    /* XEP-0166, 0260 */
    {"jingle", "urn:xmpp:jingle:1", STR("initiator"), ANYTHING},
    {"jingle", "urn:xmpp:jingle:1", STR("responder"), ANYTHING},
    {"candidate", "urn:xmpp:jingle:transports:s5b:1", STR("jid"), ANYTHING},
    /* XEP-0065 */
    {"streamhost", NS_BYTESTREAMS, STR("jid"), ANYTHING},
    {"streamhost-used", NS_BYTESTREAMS, STR("jid"), ANYTHING},
    {"activate", NS_BYTESTREAMS, TEXT, ANYTHING},
    /* XEP-0004 */
    {"value", NS_FORM, TEXT, JID_FIELD},
    {"value", NS_FORM, TEXT, LOOSE_FIELD},
    /* XEP-0297 */
    {"iq", NS_CLIENT, STR("from"), FORWARDED},
    {"iq", NS_CLIENT, STR("to"), FORWARDED},
    {"message", NS_CLIENT, STR("from"), FORWARDED},
    {"message", NS_CLIENT, STR("to"), FORWARDED},
    {"presence", NS_CLIENT, STR("from"), FORWARDED},
    {"presence", NS_CLIENT, STR("to"), FORWARDED},
    {"delay", "urn:xmpp:delay", STR("from"), FORWARDED},
    /* XEP-0045, 0249 */
    {"invite", NS_MUC_USER, STR("from"), ANYTHING},
    {"invite", NS_MUC_USER, STR("to"), ANYTHING},
    {"decline", NS_MUC_USER, STR("from"), ANYTHING},
    {"decline", NS_MUC_USER, STR("to"), ANYTHING},
    {"x", "jabber:x:conference", STR("jid"), ANYTHING},
};

#define N_PLACES (sizeof(places) / sizeof(places[0]))

/* The walk */

/* Columns of a form that hold JIDs; no more are remembered. */
#define MAX_COLUMNS 32U

struct walk {
    struct jat_parties parties;
    const struct jat_str *prepared;
    size_t n_prepared, n_asked, n_addresses;
    struct jat_xml *xml;
    struct jat_buf *buf;   /* of the values */
    struct jat_buf *edits; /* the thread's */
    uint32_t n_edits;
    bool ask;
    int64_t growth; /* octets */

    uint32_t n_elements;                     /* so far */
    unsigned char inside[JAT_MAX_DEPTH + 1]; /* enum inside, by depth */
    struct jat_str columns[MAX_COLUMNS];     /* `var' of each */
    unsigned n_columns;

    /* the text that is collected, in the thread's memory */
    const struct place *of; /* NULL: none is */
    uint32_t element;
    struct jat_str text;
};

static struct jat_str attribute(int n_attrs, const unsigned char **a,
                                const char *name)
{
    for (; n_attrs > 0; n_attrs--, a += JAT_XML_ATTR)
        if (a[2] == NULL && strcmp((const char *)a[0], name) == 0)
            return jat_xml_value(a);
    return jat_str(NULL, 0);
}

/* Octets of a value as text in XML. */
static int64_t written(struct jat_str value)
{
    int64_t n = (int64_t)value.n;

    for (size_t i = 0; i < value.n; i++)
        switch (value.p[i]) {
        case '&':
            n += 4;
            break;
        case '<':
        case '>':
            n += 3;
            break;
        case '\'':
        case '"':
            n += 5;
            break;
        default:
            break;
        }
    return n;
}

/* What becomes shorter gives no room to the rest: otherwise a text that just
 * fits, or just does not, would tell its sender how long a hidden address is.
 */
static void grow(struct walk *w, int64_t octets)
{
    if (octets > 0)
        w->growth += octets;
}

static enum jat_err edit(struct walk *w, uint32_t element,
                         const struct place *place, struct jat_span value)
{
    struct jat_edit e = {element, place->attribute, value};

    jat_buf_add(w->edits, jat_str((const char *)&e, sizeof e));
    w->n_edits++;
    return w->edits->failed || w->buf->failed ? JAT_ENOMEM : JAT_OK;
}

/* What stands in a place is to be prepared by the caller: asked for, or, in the
 * second call, taken from what it has found out. False: there is nothing to be
 * translated (now); *err says what became of it. */
static bool prepare(struct walk *w, uint32_t element, const struct place *place,
                    struct jat_named *named, enum jat_err *err)
{
    size_t n = w->n_asked++;

    *err = JAT_OK;
    if (w->n_prepared == 0) {
        if (!w->ask) { /* what is known already is found again then */
            w->edits->n = 0;
            w->n_edits = 0;
        }
        w->ask = true;
        *err = edit(w, element, place, jat_buf_add(w->buf, named->jid));
        return false;
    }
    if (n >= w->n_prepared) {
        *err = JAT_EBADARG;
        return false;
    }
    return jat_parties_prepared(&w->parties, w->prepared[n], named);
}

/* A bare JID in a field of no type may be a mail address just as well. Only
 * where JIDs are to be hidden it is taken for what it looks like. */
static bool may_be_mail(const struct walk *w, const struct place *place,
                        const struct jat_named *named)
{
    return place->parent == LOOSE_FIELD && !named->at_host &&
           w->parties.config->encoding == JAT_ENCODE_JID &&
           jat_jid_bare(named->jid).n == named->jid.n;
}

static enum jat_err look_at(struct walk *w, uint32_t element,
                            const struct place *place, struct jat_str value)
{
    char room[JAT_JID_MAX];
    struct jat_named named;
    size_t start;
    enum jat_err err;
    enum jat_reading reading =
        jat_parties_read(&w->parties, value, room, &named);

    if (reading == JAT_NOBODYS || may_be_mail(w, place, &named))
        return JAT_OK;
    if (w->n_addresses++ == JAT_MAX_ADDRESSES)
        return JAT_EADDRESSES;
    if (reading == JAT_UNREAD && !prepare(w, element, place, &named, &err))
        return err;
    if (w->ask)
        return JAT_OK;
    start = w->buf->n;
    err = jat_parties_translate(&w->parties, &named, w->buf);
    if (err != JAT_OK)
        return err == JAT_ENOTFOUND ? JAT_OK : err;
    grow(w, written(jat_buf_str(w->buf, jat_buf_since(w->buf, start))) -
                written(value));
    return edit(w, element, place, jat_buf_since(w->buf, start));
}

/* Forms */

static bool is_column(const struct walk *w, struct jat_str var)
{
    for (unsigned i = 0; i < w->n_columns; i++)
        if (jat_str_eq(w->columns[i], var))
            return true;
    return false;
}

static enum inside field(struct walk *w, enum inside parent, int n_attrs,
                         const unsigned char **a)
{
    struct jat_str type = attribute(n_attrs, a, "type"),
                   var = attribute(n_attrs, a, "var");

    if (type.n == 0 && parent == ROW)
        return is_column(w, var) ? JID_FIELD : ANYTHING;
    if (type.n == 0)
        return parent == LOOSE_FORM ? LOOSE_FIELD : ANYTHING;
    if (!jat_str_eq(type, JAT_STR("jid-single")) &&
        !jat_str_eq(type, JAT_STR("jid-multi")))
        return ANYTHING;
    if (parent == COLUMNS && w->n_columns < MAX_COLUMNS)
        w->columns[w->n_columns++] = jat_xml_keep(w->xml, var);
    return JID_FIELD;
}

static enum inside form_part(struct walk *w, enum inside parent,
                             const char *name, int n_attrs,
                             const unsigned char **a)
{
    if (strcmp(name, "field") == 0)
        return field(w, parent, n_attrs, a);
    if (strcmp(name, "item") == 0)
        return ROW;
    if (strcmp(name, "reported") == 0)
        return COLUMNS;
    if (strcmp(name, "x") != 0)
        return ANYTHING;
    w->n_columns = 0;
    return jat_str_eq(attribute(n_attrs, a, "type"), JAT_STR("form"))
               ? FORM
               : LOOSE_FORM;
}

static enum inside what_it_is(struct walk *w, enum inside parent,
                              const char *name, const char *ns, int n_attrs,
                              const unsigned char **a)
{
    if (strcmp(ns, NS_FORM) == 0)
        return form_part(w, parent, name, n_attrs, a);
    return strcmp(name, "forwarded") == 0 &&
                   strcmp(ns, "urn:xmpp:forward:0") == 0
               ? FORWARDED
               : ANYTHING;
}

/* Elements */

static bool is_at(const struct place *place, const char *name, const char *ns,
                  enum inside parent)
{
    return place->element[0] == name[0] && strcmp(place->element, name) == 0 &&
           strcmp(place->ns, ns) == 0 &&
           (place->parent == ANYTHING || place->parent == parent);
}

static void collect(struct walk *w, const struct place *place, uint32_t element)
{
    w->of = place;
    w->element = element;
    w->text = jat_str(NULL, 0);
}

static enum jat_err on_start(void *self, uint32_t depth,
                             const unsigned char *name_,
                             const unsigned char *ns_, int n_attrs,
                             const unsigned char **attrs)
{
    const char *name = (const char *)name_,
               *ns = ns_ == NULL ? "" : (const char *)ns_;
    struct walk *w = self;
    uint32_t element = w->n_elements++;
    enum inside parent = (enum inside)w->inside[depth - 1];
    enum jat_err err = JAT_OK;

    w->inside[depth] =
        (unsigned char)what_it_is(w, parent, name, ns, n_attrs, attrs);
    w->of = NULL; /* an address has no elements in it */
    for (size_t i = 0; i < N_PLACES && err == JAT_OK; i++) {
        if (!is_at(&places[i], name, ns, parent))
            continue;
        if (places[i].attribute.n == 0)
            collect(w, &places[i], element);
        else
            err = look_at(w, element, &places[i],
                          attribute(n_attrs, attrs, places[i].attribute.p));
    }
    return err;
}

/* The pieces of a text stand one behind the other in the thread's memory:
 * nothing else comes between them. */
static void on_text(void *self, uint32_t depth, struct jat_str piece)
{
    struct walk *w = self;
    struct jat_str kept;

    (void)depth;
    if (w->of == NULL)
        return;
    kept = jat_xml_keep(w->xml, piece);
    if (w->text.p == NULL)
        w->text.p = kept.p;
    w->text.n += kept.n;
}

static enum jat_err on_end(void *self, uint32_t depth)
{
    struct walk *w = self;
    const struct place *of = w->of;

    (void)depth;
    w->of = NULL;
    return of == NULL ? JAT_OK : look_at(w, w->element, of, w->text);
}

enum jat_err jat_payload_translate(struct jat *j, const struct jat_addresses *a,
                                   struct jat_str text,
                                   const struct jat_str *prepared,
                                   size_t n_prepared, uint64_t now,
                                   struct jat_buf *buf, struct jat_edits *out)
{
    static const struct jat_xml_sink sink = {JAT_MAX_CHILDREN, on_start,
                                             on_text, on_end};
    struct walk w;
    int64_t max;
    enum jat_err err;

    memset(&w, 0, sizeof w);
    if ((err = jat_parties_of(j, a, now, &w.parties)) != JAT_OK)
        return err;
    w.prepared = prepared;
    w.n_prepared = n_prepared;
    w.buf = buf;
    w.xml = jat_xml_thread();
    w.edits = &w.xml->rows[0];
    max = w.parties.config->max_stanza_size;
    if ((err = jat_xml_parse(text, (size_t)max, &sink, &w)) != JAT_OK)
        return err;
    if ((int64_t)text.n + w.growth > max)
        return JAT_ESIZE;
    *out = (struct jat_edits){(const void *)w.edits->p, w.n_edits, w.ask};
    return JAT_OK;
}
