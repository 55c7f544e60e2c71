/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "stanza.h"

#include <limits.h>
#include <pthread.h>

#include <libxml/parser.h>

#include "buf.h"
#include "utf8.h"

/* Memory that a thread keeps between two stanzas, in each of its buffers. */
#define KEEP 65536U

/* A context is replaced after so many octets, or names in its dictionary:
 * strangers choose the names, and libxml2 keeps them all. */
#define MAX_FED 65536U
#define MAX_NAMES 1024
/* Names of namespaces that are no URIs, for libxml2 2.13 and newer tells of no
 * more than a hundred errors. */
#define MAX_ODD 50U

#define N_KINDS 3 /* of enum jat_kind */

/* Names that are looked for, as the dictionary of a context has them: there
 * each name stands once, so that two are the same if their pointers are. */
struct names {
    const xmlChar *client; /* the namespace */
    const xmlChar *kinds[N_KINDS];
    const xmlChar *id, *from, *to, *type;
};

/* What a thread holds. Stanzas are fed to ctxt one after the other, as children
 * of a root that is never closed, like those of an XMPP stream: no new document
 * for each, and no place where a document type could stand. Its namespace need
 * not be said, and looked at by libxml2, in each stanza. Names and namespaces
 * of the last stanza live in the dictionary of ctxt; values are copied, for
 * libxml2 moves its input. */
struct parser {
    xmlParserCtxtPtr ctxt;
    struct names names;
    size_t fed;
    unsigned odd; /* names of namespaces so far that are no URIs */
    struct jat_buf values, children, attrs;
    struct jat_stanza stanza;
    bool is_stanza;
    enum jat_err refused; /* the first refusal of a callback */
    uint32_t depth;
    uint32_t n_children[JAT_MAX_DEPTH + 1]; /* of the open element of a depth;
                                               [0]: of the root */
};

static _Thread_local struct parser parser;

/* Only for its destructor. Until it is made it is no valid key. */
static pthread_key_t thread_key = (pthread_key_t)-1;

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

/* ---- text ---- */

static bool begins_with(struct jat_str s, struct jat_str head)
{
    return s.n >= head.n && memcmp(s.p, head.p, head.n) == 0;
}

/* What can be said without a parse. The XML declaration and a document type are
 * errors like any other inside of the root. */
static enum jat_err check_text(struct jat_str xml, size_t max_size)
{
    if (xml.n > max_size || xml.n > INT_MAX)
        return JAT_ESIZE;
    if (!begins_with(xml, JAT_STR("<")) || !jat_utf8_is_valid(xml))
        return JAT_EXML;
    if (begins_with(xml, JAT_STR("<?")))
        return JAT_EPI;
    if (begins_with(xml, JAT_STR("<!DOCTYPE")))
        return JAT_EDTD;
    return JAT_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without the white space that may follow an element. */
static struct jat_str trimmed(struct jat_str xml)
{
    while (xml.n > 0 && is_space(xml.p[xml.n - 1]))
        xml.n--;
    return xml;
}

/* ---- callbacks of libxml2 ---- */

static void note(struct parser *p, enum jat_err err)
{
    if (p->refused == JAT_OK)
        p->refused = err;
}

static void refuse(struct parser *p, enum jat_err err)
{
    note(p, err);
    xmlStopParser(p->ctxt);
}

static struct jat_str of_xml(const xmlChar *s)
{
    return s == NULL ? jat_str(NULL, 0)
                     : jat_str((const char *)s, strlen((const char *)s));
}

/* Attributes as SAX2 hands them over: local name, prefix, namespace, and the
 * value's begin and end. */
#define ATTR_WIDTH 5

/* The value's octets get a place of their own. All values fit into a block as
 * long as the text, since none is longer than its source: nothing but
 * character references and the five predefined entities is ever expanded. So
 * the block never moves. */
static struct jat_str keep_value(struct parser *p, const xmlChar **a)
{
    char *to = p->values.p + p->values.n;
    size_t n = (size_t)(a[4] - a[3]);

    if (n > p->values.cap - p->values.n) {
        refuse(p, JAT_EXML);
        return jat_str(NULL, 0);
    }
    memcpy(to, a[3], n);
    p->values.n += n;
    return jat_str(to, n);
}

static void take_head(struct parser *p, const xmlChar *name, const xmlChar *ns,
                      int n_attrs, const xmlChar **a)
{
    struct jat_stanza *s = &p->stanza;
    const struct names *names = &p->names;
    struct jat_str type = {NULL, 0};
    size_t kind = 0;

    while (kind < N_KINDS && names->kinds[kind] != name)
        kind++;
    if (kind == N_KINDS || ns != names->client)
        return;
    p->is_stanza = true;
    s->kind = (enum jat_kind)kind;
    for (; n_attrs > 0; n_attrs--, a += ATTR_WIDTH) {
        if (a[2] != NULL)
            continue;
        if (a[0] == names->id) {
            s->has_id = true;
            s->id = keep_value(p, a);
        } else if (a[0] == names->from) {
            s->from = keep_value(p, a);
        } else if (a[0] == names->to) {
            s->to = keep_value(p, a);
        } else if (a[0] == names->type) {
            type = keep_value(p, a);
        }
    }
    if (type.p != NULL)
        s->type = type_of(s->kind, type);
}

static void take_child(struct parser *p, const xmlChar *name, const xmlChar *ns,
                       int n_attrs, const xmlChar **a)
{
    struct jat_stanza *s = &p->stanza;
    struct jat_child child = {of_xml(ns), of_xml(name), s->n_attrs,
                              (uint32_t)n_attrs};

    for (; n_attrs > 0; n_attrs--, a += ATTR_WIDTH) {
        struct jat_attr attr = {of_xml(a[2]), of_xml(a[0]), keep_value(p, a)};

        jat_buf_add(&p->attrs, jat_str((const char *)&attr, sizeof attr));
        s->n_attrs++;
    }
    jat_buf_add(&p->children, jat_str((const char *)&child, sizeof child));
    s->n_children++;
    if (p->attrs.failed || p->children.failed)
        refuse(p, JAT_ENOMEM);
}

/* A prefix that stands for no namespace. That libxml2 says so is not enough:
 * see MAX_ODD. */
static bool is_unbound(const xmlChar *prefix, const xmlChar *ns)
{
    return prefix != NULL && ns == NULL;
}

static bool is_any_unbound(int n_attrs, const xmlChar **a)
{
    for (; n_attrs > 0; n_attrs--, a += ATTR_WIDTH)
        if (is_unbound(a[1], a[2]))
            return true;
    return false;
}

static void on_start(void *data, const xmlChar *name, const xmlChar *prefix,
                     const xmlChar *ns, int n_ns, const xmlChar **nss,
                     int n_attrs, int n_defaulted, const xmlChar **attrs)
{
    struct parser *p = data;

    (void)nss, (void)n_defaulted;
    if (p->refused != JAT_OK)
        return;
    if ((p->depth == 0 && p->n_children[0] > 0) || is_unbound(prefix, ns) ||
        is_any_unbound(n_attrs, attrs))
        refuse(p, JAT_EXML);
    else if (p->depth == JAT_MAX_DEPTH)
        refuse(p, JAT_EDEPTH);
    else if (n_attrs + n_ns > JAT_MAX_ATTRIBUTES)
        refuse(p, JAT_EATTRIBUTES);
    else if (p->n_children[p->depth] == JAT_MAX_CHILDREN)
        refuse(p, JAT_ECHILDREN);
    if (p->refused != JAT_OK)
        return;
    p->n_children[p->depth++]++;
    p->n_children[p->depth] = 0;
    if (p->depth == 1)
        take_head(p, name, ns, n_attrs, attrs);
    else if (p->depth == 2)
        take_child(p, name, ns, n_attrs, attrs);
}

static void on_end(void *data, const xmlChar *name, const xmlChar *prefix,
                   const xmlChar *ns)
{
    struct parser *p = data;

    (void)name, (void)prefix, (void)ns;
    if (p->refused != JAT_OK)
        return;
    if (p->depth == 0)
        refuse(p, JAT_EXML); /* the root's */
    else
        p->depth--;
}

static void on_text(void *data, const xmlChar *text, int n)
{
    struct parser *p = data;

    (void)text, (void)n;
    if (p->depth == 0)
        refuse(p, JAT_EXML);
}

static void on_comment(void *data, const xmlChar *text)
{
    (void)text;
    refuse(data, JAT_ECOMMENT);
}

static void on_instruction(void *data, const xmlChar *target,
                           const xmlChar *text)
{
    (void)target, (void)text;
    refuse(data, JAT_EPI);
}

/* Errors are noted here, for a later one could hide them: no memory, and errors
 * of namespaces. A namespace whose name is no URI is an error to libxml2 alone:
 * it is counted. The parser is not stopped here, since within a tag libxml2
 * would go on to use what that frees. A handler of our own keeps a global one
 * of somebody else from being called. */
#if LIBXML_VERSION >= 21200
static void on_error(void *data, const xmlError *error)
#else
static void on_error(void *data, xmlErrorPtr error)
#endif
{
    struct parser *p = data;

    if (error->code == XML_ERR_NO_MEMORY)
        refuse(p, JAT_ENOMEM);
    else if (error->code == XML_WAR_NS_URI)
        p->odd++;
    else if (error->domain == XML_FROM_NAMESPACE &&
             error->level != XML_ERR_WARNING)
        note(p, JAT_EXML);
}

static const xmlSAXHandler callbacks = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = on_start,
    .endElementNs = on_end,
    .characters = on_text,
    .cdataBlock = on_text,
    .comment = on_comment,
    .processingInstruction = on_instruction,
    .serror = on_error,
};

/* ---- the parser of a thread ---- */

static void drop_ctxt(struct parser *p)
{
    xmlFreeParserCtxt(p->ctxt);
    p->ctxt = NULL;
}

static void begin(struct parser *p)
{
    p->stanza = (struct jat_stanza){0};
    p->is_stanza = false;
    p->refused = JAT_OK;
    p->depth = 0;
    p->n_children[0] = 0;
}

/* True if ctxt has found nothing wrong, but for names that are no URIs, and
 * nothing is left of the text: the beginning of something would go on with the
 * next stanza. */
static bool feed(struct parser *p, struct jat_str xml)
{
    p->fed += xml.n;
    return xmlParseChunk(p->ctxt, xml.p, (int)xml.n, 0) == 0 &&
           p->ctxt->wellFormed && (p->ctxt->nsWellFormed || p->odd > 0) &&
           p->ctxt->input->cur == p->ctxt->input->end;
}

static const xmlChar *dictionary_name(const struct parser *p, const char *name)
{
    return xmlDictLookup(p->ctxt->dict, (const xmlChar *)name, -1);
}

/* False: no memory. */
static bool find_names(struct parser *p)
{
    struct names *n = &p->names;
    bool all = (n->client = dictionary_name(p, "jabber:client")) != NULL &&
               (n->id = dictionary_name(p, "id")) != NULL &&
               (n->from = dictionary_name(p, "from")) != NULL &&
               (n->to = dictionary_name(p, "to")) != NULL &&
               (n->type = dictionary_name(p, "type")) != NULL;

    for (size_t i = 0; all && i < N_KINDS; i++) {
        n->kinds[i] = dictionary_name(p, kinds[i].name.p);
        all = n->kinds[i] != NULL;
    }
    return all;
}

static bool new_ctxt(struct parser *p)
{
    xmlSAXHandler sax = callbacks; /* copied, but not const in the prototype */

    begin(p); /* the callbacks see the root like anything else */
    p->fed = 0;
    p->odd = 0;
    p->ctxt = xmlCreatePushParserCtxt(&sax, p, NULL, 0, NULL);
    /* NOENT: without it libxml2 hands over '&' as "&#38;". There is no other
     * entity to be replaced, for none can be declared. */
    return p->ctxt != NULL && pthread_setspecific(thread_key, p) == 0 &&
           xmlCtxtUseOptions(p->ctxt, XML_PARSE_NONET | XML_PARSE_NOENT) == 0 &&
           find_names(p) && feed(p, JAT_STR("<stream xmlns='jabber:client'>"));
}

static bool is_worn(const struct parser *p)
{
    return p->fed > MAX_FED || p->odd > MAX_ODD ||
           xmlDictSize(p->ctxt->dict) > MAX_NAMES;
}

/* A parser as new, for a text of n octets. */
static bool make_ready(struct parser *p, size_t n)
{
    jat_buf_reset(&p->values, KEEP);
    jat_buf_reset(&p->children, KEEP);
    jat_buf_reset(&p->attrs, KEEP);
    if (p->ctxt != NULL && is_worn(p))
        drop_ctxt(p);
    if (p->ctxt == NULL && !new_ctxt(p))
        return false;
    begin(p);
    return jat_buf_room(&p->values, n) != NULL;
}

/* libxml2 does not always tell want of memory from malformed text. */
static bool memory_is_short(void)
{
    void *p = xmlMalloc(1024);

    xmlFree(p);
    return p == NULL;
}

static enum jat_err verdict(const struct parser *p, bool right)
{
    enum jat_err err = p->refused;

    if (err == JAT_OK && (!right || p->depth > 0))
        err = JAT_EXML;
    if (err == JAT_EXML && memory_is_short())
        return JAT_ENOMEM;
    if (err == JAT_OK && !p->is_stanza)
        return JAT_ENOSTANZA;
    return err;
}

enum jat_err jat_stanza_parse(struct jat_str xml, size_t max_size,
                              struct jat_stanza *out)
{
    struct parser *p = &parser;
    enum jat_err err = check_text(xml, max_size);

    if (err != JAT_OK)
        return err;
    if (!make_ready(p, xml.n)) {
        drop_ctxt(p);
        return JAT_ENOMEM;
    }
    err = verdict(p, feed(p, trimmed(xml)));
    if (err != JAT_OK) {
        drop_ctxt(p);
        return err;
    }
    *out = p->stanza;
    out->children = (const void *)p->children.p;
    out->attrs = (const void *)p->attrs.p;
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

static void thread_fini(void *data)
{
    struct parser *p = data;

    drop_ctxt(p);
    jat_buf_fini(&p->values);
    jat_buf_fini(&p->children);
    jat_buf_fini(&p->attrs);
}

void jat_stanza_thread_fini(void)
{
    thread_fini(&parser);
}

static void init_once(void)
{
    xmlInitParser();
    /* A failure leaves no valid key: then each parse says JAT_ENOMEM. */
    pthread_key_create(&thread_key, thread_fini);
}

void jat_stanza_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_once);
}
