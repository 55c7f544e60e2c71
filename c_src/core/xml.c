/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "xml.h"

#include <limits.h>
#include <pthread.h>

#include <libxml/parser.h>

#include "utf8.h"

/* Memory that a thread keeps between two texts, in each of its buffers. */
#define KEEP 65536U

/* A context is replaced after so many octets, or names in its dictionary:
 * strangers choose the names, and libxml2 keeps them all. */
#define MAX_FED 65536U
#define MAX_NAMES 1024
/* Names of namespaces that are no URIs, for libxml2 2.13 and newer tells of no
 * more than a hundred errors. */
#define MAX_ODD 50U

/* What a thread holds. Texts are fed to ctxt one after the other, as children
 * of a root that is never closed, like those of an XMPP stream: no new document
 * for each, and no place where a document type could stand. Its namespace need
 * not be said, and looked at by libxml2, in each text. Names and namespaces
 * live in the dictionary of ctxt; values are copied by those who need them, for
 * libxml2 moves its input. */
struct parser {
    xmlParserCtxtPtr ctxt;
    size_t fed;
    unsigned odd; /* names of namespaces so far that are no URIs */
    struct jat_xml thread;
    const struct jat_xml_sink *sink;
    void *self;
    enum jat_err refused; /* the first refusal of a callback */
    uint32_t depth;
    uint32_t n_children[JAT_MAX_DEPTH + 1]; /* of the open element of a depth;
                                               [0]: of the root */
};

static _Thread_local struct parser parser;

/* Only for its destructor. Until it is made it is no valid key. */
static pthread_key_t thread_key = (pthread_key_t)-1;

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

/* A prefix that stands for no namespace. That libxml2 says so is not enough:
 * see MAX_ODD. */
static bool is_unbound(const xmlChar *prefix, const xmlChar *ns)
{
    return prefix != NULL && ns == NULL;
}

static bool is_any_unbound(int n_attrs, const xmlChar **a)
{
    for (; n_attrs > 0; n_attrs--, a += JAT_XML_ATTR)
        if (is_unbound(a[1], a[2]))
            return true;
    return false;
}

/* An element begins where one may. The root has no sink. */
static enum jat_err check_start(const struct parser *p, int n)
{
    uint32_t max =
        p->depth > 0 || p->sink == NULL ? JAT_MAX_CHILDREN : p->sink->max_roots;

    if (p->depth == JAT_MAX_DEPTH)
        return JAT_EDEPTH;
    if (n > JAT_MAX_ATTRIBUTES)
        return JAT_EATTRIBUTES;
    if (p->n_children[p->depth] < max)
        return JAT_OK;
    return max < JAT_MAX_CHILDREN ? JAT_EXML : JAT_ECHILDREN;
}

static void on_start(void *data, const xmlChar *name, const xmlChar *prefix,
                     const xmlChar *ns, int n_ns, const xmlChar **nss,
                     int n_attrs, int n_defaulted, const xmlChar **attrs)
{
    struct parser *p = data;
    enum jat_err err;

    (void)nss, (void)n_defaulted;
    if (p->refused != JAT_OK)
        return;
    err = is_unbound(prefix, ns) || is_any_unbound(n_attrs, attrs)
              ? JAT_EXML
              : check_start(p, n_attrs + n_ns);
    if (err == JAT_OK) {
        p->n_children[p->depth++]++;
        p->n_children[p->depth] = 0;
        if (p->sink != NULL)
            err = p->sink->start(p->self, p->depth, name, ns, n_attrs, attrs);
    }
    if (err != JAT_OK)
        refuse(p, err);
}

static void on_end(void *data, const xmlChar *name, const xmlChar *prefix,
                   const xmlChar *ns)
{
    struct parser *p = data;
    enum jat_err err = JAT_OK;

    (void)name, (void)prefix, (void)ns;
    if (p->refused != JAT_OK)
        return;
    if (p->depth == 0)
        err = JAT_EXML; /* the root's */
    else if (p->sink->end != NULL)
        err = p->sink->end(p->self, p->depth);
    if (err == JAT_OK)
        p->depth--;
    else
        refuse(p, err);
}

static void on_text(void *data, const xmlChar *text, int n)
{
    struct parser *p = data;

    if (p->refused != JAT_OK)
        return;
    if (p->depth == 0)
        refuse(p, JAT_EXML);
    else if (p->sink->text != NULL)
        p->sink->text(p->self, p->depth,
                      jat_str((const char *)text, (size_t)n));
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

/* Errors are noted here, for a later one could hide them: no memory, names that
 * libxml2 finds too long (50,000 octets), and errors of namespaces. A namespace
 * whose name is no URI is an error to libxml2 alone: it is counted. The parser
 * is not stopped here, since within a tag libxml2 would go on to use what that
 * frees. A handler of our own keeps a global one of somebody else from being
 * called. */
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
    else if (error->code == XML_ERR_NAME_TOO_LONG)
        note(p, JAT_ESIZE);
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

static void begin(struct parser *p, const struct jat_xml_sink *sink, void *self)
{
    p->sink = sink;
    p->self = self;
    p->refused = JAT_OK;
    p->depth = 0;
    p->n_children[0] = 0;
}

/* True if ctxt has found nothing wrong, but for names that are no URIs, and
 * nothing is left of the text: the beginning of something would go on with the
 * next one. (That of a CDATA section is not left: libxml2 remembers it. But the
 * text has no end of an element then.) */
static bool feed(struct parser *p, struct jat_str xml)
{
    p->fed += xml.n;
    return xmlParseChunk(p->ctxt, xml.p, (int)xml.n, 0) == 0 &&
           p->ctxt->wellFormed && (p->ctxt->nsWellFormed || p->odd > 0) &&
           p->ctxt->input->cur == p->ctxt->input->end &&
           xml.p[xml.n - 1] == '>';
}

static bool new_ctxt(struct parser *p)
{
    xmlSAXHandler sax = callbacks; /* copied, but not const in the prototype */

    begin(p, NULL, NULL); /* the callbacks see the root like anything else */
    p->thread.context++;
    p->fed = 0;
    p->odd = 0;
    p->ctxt = xmlCreatePushParserCtxt(&sax, p, NULL, 0, NULL);
    /* NOENT: without it libxml2 hands over '&' as "&#38;". There is no other
     * entity to be replaced, for none can be declared. */
    return p->ctxt != NULL && pthread_setspecific(thread_key, p) == 0 &&
           xmlCtxtUseOptions(p->ctxt, XML_PARSE_NONET | XML_PARSE_NOENT) == 0 &&
           feed(p, JAT_STR("<stream xmlns='jabber:client'>"));
}

static bool is_worn(const struct parser *p)
{
    return p->fed > MAX_FED || p->odd > MAX_ODD ||
           xmlDictSize(p->ctxt->dict) > MAX_NAMES;
}

/* A context for a text of n octets. */
static bool make_ready(struct parser *p, size_t n)
{
    jat_buf_reset(&p->thread.octets, KEEP);
    jat_buf_reset(&p->thread.rows[0], KEEP);
    jat_buf_reset(&p->thread.rows[1], KEEP);
    if (p->ctxt != NULL && is_worn(p))
        drop_ctxt(p);
    if (p->ctxt == NULL && !new_ctxt(p))
        return false;
    return jat_buf_room(&p->thread.octets, n) != NULL;
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

    if (err == JAT_OK && (!right || p->depth > 0 || p->thread.octets.failed))
        err = JAT_EXML;
    if (err == JAT_EXML && memory_is_short())
        return JAT_ENOMEM;
    return err;
}

enum jat_err jat_xml_parse(struct jat_str text, size_t max_size,
                           const struct jat_xml_sink *sink, void *self)
{
    struct parser *p = &parser;
    enum jat_err err = check_text(text, max_size);

    if (err != JAT_OK)
        return err;
    if (make_ready(p, text.n)) {
        begin(p, sink, self);
        err = verdict(p, feed(p, trimmed(text)));
    } else {
        err = JAT_ENOMEM;
    }
    if (err != JAT_OK)
        drop_ctxt(p);
    return err;
}

struct jat_xml *jat_xml_thread(void)
{
    return &parser.thread;
}

const xmlChar *jat_xml_name(const char *name)
{
    return xmlDictLookup(parser.ctxt->dict, (const xmlChar *)name, -1);
}

static void thread_fini(void *data)
{
    struct parser *p = data;

    drop_ctxt(p);
    jat_buf_fini(&p->thread.octets);
    jat_buf_fini(&p->thread.rows[0]);
    jat_buf_fini(&p->thread.rows[1]);
}

void jat_xml_thread_fini(void)
{
    thread_fini(&parser);
}

static void init_once(void)
{
    xmlInitParser();
    /* A failure leaves no valid key: then each parse says JAT_ENOMEM. */
    pthread_key_create(&thread_key, thread_fini);
}

void jat_xml_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init_once);
}
