/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Any texts to the parser, one after the other. libxml2's own tree of each
 * decides whether it was right to take it, or to refuse it for that reason. */
#include <libxml/parser.h>

#include "fuzz.h"
#include "grammar.h"
#include "stanza.h"
#include "tree.h"
#include "xml.h"

#define GOOD                                                                   \
    "<iq xmlns='jabber:client' type='get' id='1'><a xmlns='b' c='d'/></iq>"

/* What stands in a tree that has something to do with a verdict. */
struct facts {
    size_t depth, attrs, children;
    bool comment, instruction, stanza;
};

static size_t attrs_of(xmlNodePtr node)
{
    size_t n = 0;

    for (xmlAttrPtr a = node->properties; a != NULL; a = a->next)
        n++;
    for (xmlNsPtr ns = node->nsDef; ns != NULL; ns = ns->next)
        n++;
    return n;
}

static void raise_to(size_t *most, size_t n)
{
    *most = n > *most ? n : *most;
}

/* Of the nodes from `node` on, and all that is in them. */
static void look(xmlNodePtr node, size_t depth, struct facts *f)
{
    size_t elements = 0;

    for (; node != NULL; node = node->next) {
        f->comment |= node->type == XML_COMMENT_NODE;
        f->instruction |= node->type == XML_PI_NODE;
        if (node->type != XML_ELEMENT_NODE)
            continue;
        raise_to(&f->children, ++elements);
        raise_to(&f->depth, depth);
        raise_to(&f->attrs, attrs_of(node));
        look(node->children, depth + 1, f);
    }
}

static bool is_stanza(xmlNodePtr root)
{
    static const char *const kinds[] = {"iq", "message", "presence"};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp((const char *)root->name, kinds[i]) == 0)
            return root->ns != NULL &&
                   strcmp((const char *)root->ns->href, "jabber:client") == 0;
    return false;
}

static bool holds(struct jat_str text, const char *word)
{
    return memmem(text.p, text.n, word, strlen(word)) != NULL;
}

/* RFC 3629: what is decoded must be a character, encoded as short as can be. */
static bool is_utf8(struct jat_str s)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < s.n;) {
        uint32_t c = (uint8_t)s.p[i++];
        unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

        if (c >= 0x80 && (c < 0xc0 || c > 0xf7))
            return false;
        c &= 0xffU >> (more == 0 ? 0 : more + 2);
        for (unsigned k = 0; k < more; k++, i++) {
            if (i == s.n || ((uint8_t)s.p[i] & 0xc0) != 0x80)
                return false;
            c = c << 6 | ((uint8_t)s.p[i] & 0x3f);
        }
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

static bool has_ns_error;

/* Any string is the name of a namespace, though libxml2 wants a URI. */
#if LIBXML_VERSION >= 21200
static void on_error(void *data, const xmlError *error)
#else
static void on_error(void *data, xmlErrorPtr error)
#endif
{
    (void)data;
    has_ns_error |= error->domain == XML_FROM_NAMESPACE &&
                    error->level != XML_ERR_WARNING &&
                    error->code != XML_WAR_NS_URI;
}

static xmlDocPtr parse(struct jat_str text)
{
    xmlParserCtxtPtr ctxt = xmlNewParserCtxt();
    xmlDocPtr doc;

    CHECK(ctxt != NULL);
    has_ns_error = false;
    ctxt->sax->serror = on_error;
    doc = xmlCtxtReadMemory(ctxt, text.p, (int)text.n, NULL, "UTF-8",
                            XML_PARSE_NONET | XML_PARSE_NOENT);
    if (!ctxt->wellFormed || has_ns_error) {
        xmlFreeDoc(doc);
        doc = NULL;
    }
    xmlFreeParserCtxt(ctxt);
    return doc;
}

/* A well-formed text without a document type, as libxml2 sees it in a stream;
 * with one, libxml2 would follow where it leads. */
struct tree {
    xmlDocPtr doc; /* NULL: it is not so */
    xmlNodePtr nodes;
};

static struct tree tree_of(struct jat_str text)
{
    struct jat_buf wrapped = JAT_BUF_INIT;
    struct tree tree = {NULL, NULL};
    xmlDocPtr alone;

    if (text.n < 2 || text.p[0] != '<' || holds(text, "<!DOCTYPE") ||
        memchr(text.p, '\0', text.n) != NULL)
        return tree;
    alone = parse(text);
    if (alone == NULL)
        return tree;
    jat_buf_add(&wrapped, JAT_STR("<stream xmlns='jabber:client'>"));
    jat_buf_add(&wrapped, text);
    jat_buf_add(&wrapped, JAT_STR("</stream>"));
    tree.doc = parse(jat_str(wrapped.p, wrapped.n));
    jat_buf_fini(&wrapped);
    if (tree.doc != NULL) {
        tree.nodes = xmlDocGetRootElement(tree.doc)->children;
        xmlFreeDoc(alone);
    } else { /* an XML declaration, or as deep as libxml2 goes */
        tree = (struct tree){alone, alone->children};
    }
    return tree;
}

static xmlNodePtr root_of(const struct tree *tree)
{
    xmlNodePtr node = tree->nodes;

    while (node->type != XML_ELEMENT_NODE)
        node = node->next;
    return node;
}

static void taken(const struct tree *tree, const struct facts *f,
                  const struct jat_stanza *s)
{
    CHECK(f->stanza && !f->comment && !f->instruction);
    CHECK(f->depth <= JAT_MAX_DEPTH && f->attrs <= JAT_MAX_ATTRIBUTES &&
          f->children <= JAT_MAX_CHILDREN);
    CHECK(tree_agrees(root_of(tree), s));
}

/* A well-formed text was refused: what for. */
static void refused(struct jat_str text, const struct facts *f,
                    enum jat_err err)
{
    switch ((int)err) {
    case JAT_EXML: /* libxml2 lets some pass that RFC 3629 forbids; and as it
                      reads a stream it does not like what comes after a stanza
                      and a blank */
        CHECK(!is_utf8(text) || f->instruction || f->comment);
        break;
    case JAT_ECOMMENT:
        CHECK(f->comment);
        break;
    case JAT_EPI:
        CHECK(f->instruction || holds(text, "<?xml"));
        break;
    case JAT_EDEPTH:
        CHECK(f->depth > JAT_MAX_DEPTH);
        break;
    case JAT_EATTRIBUTES:
        CHECK(f->attrs > JAT_MAX_ATTRIBUTES);
        break;
    case JAT_ECHILDREN:
        CHECK(f->children > JAT_MAX_CHILDREN);
        break;
    case JAT_ENOSTANZA:
        CHECK(!f->stanza);
        break;
    default:
        CHECK(false);
    }
}

static void judge(struct jat_str text, const struct tree *tree,
                  const struct facts *f, enum jat_err err,
                  const struct jat_stanza *s)
{
    if (tree->doc != NULL && err == JAT_OK)
        taken(tree, f, s);
    else if (tree->doc != NULL)
        refused(text, f, err);
    else
        CHECK(err != JAT_OK);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    jat_xml_init();
    return 0;
}

static void play(struct jat_str text)
{
    struct tree tree = tree_of(text);
    struct facts f = {0};
    struct jat_stanza s;
    enum jat_err err;

    if (tree.doc != NULL) {
        look(tree.nodes, 1, &f);
        f.stanza = is_stanza(root_of(&tree));
    }
    CHECK(text.n == 0 || jat_stanza_parse(text, text.n - 1, &s) == JAT_ESIZE);
    err = jat_stanza_parse(text, text.n, &s);
    judge(text, &tree, &f, err, &s);
    /* what was there before leaves no trace */
    CHECK(jat_stanza_parse(JAT_STR(GOOD), sizeof GOOD, &s) == JAT_OK);
    CHECK(jat_stanza_parse(text, text.n, &s) == err);
    judge(text, &tree, &f, err, &s);
    xmlFreeDoc(tree.doc);
}

/* The text up to GRAMMAR_END, which is no octet of UTF-8. */
static struct jat_str next_text(struct input *in)
{
    const uint8_t *end =
        in->n == 0 ? NULL : memchr(in->p, (unsigned char)GRAMMAR_END, in->n);
    struct jat_str text =
        input_str(in, end == NULL ? in->n : (size_t)(end - in->p));

    (void)input_octet(in);
    return text;
}

/* An input that begins like XML is texts; any other one writes them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n};
    struct jat_buf written = JAT_BUF_INIT;

    if (n > 0 && data[0] != '<') {
        grammar_write(&in, &written);
        in = (struct input){(const uint8_t *)written.p, written.n};
    }
    do
        play(next_text(&in));
    while (in.n > 0);
    jat_xml_thread_fini();
    jat_buf_fini(&written);
    return 0;
}
