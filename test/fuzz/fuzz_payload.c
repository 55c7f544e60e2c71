/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Any texts as payloads, in both directions. libxml2's own tree says where the
 * places of addresses are: each edit is of one of them, each address of U as he
 * writes it is edited, and what comes of an address becomes the same again on
 * the way back. */
#include <libxml/parser.h>

#include "fuzz.h"
#include "payload.h"
#include "places.h"
#include "xml.h"

#define P "proxy.example.org"
#define U "u@example.net/r"
#define PU P "/" U
#define E "svc@example.org/a"

static struct jat *hosts[2]; /* by encoding */
static struct jat_str shown[2];

static const char *const names[] = {
    "<item xmlns='%s'",       "<query xmlns='%s'",
    "<jingle xmlns='%s'",     "<candidate xmlns='%s'",
    "<streamhost xmlns='%s'", "<streamhost-used xmlns='%s'",
    "<activate xmlns='%s'",   "<x xmlns='%s'",
    "<field xmlns='%s'",      "<value xmlns='%s'",
    "<reported xmlns='%s'",   "<forwarded xmlns='%s'",
    "<iq xmlns='%s'",         "<message xmlns='%s'",
    "<presence xmlns='%s'",   "<delay xmlns='%s'",
    "<invite xmlns='%s'",     "<decline xmlns='%s'",
    "<p:item xmlns:p='%s'",   "<item"};

static const char *const namespaces[] = {
    "http://jabber.org/protocol/disco#items",
    "jabber:iq:search",
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:transports:s5b:1",
    "http://jabber.org/protocol/bytestreams",
    "jabber:x:data",
    "urn:xmpp:forward:0",
    "jabber:client",
    "urn:xmpp:delay",
    "http://jabber.org/protocol/muc#user",
    "jabber:x:conference",
    "urn:x"};

static const char *const attributes[] = {
    "jid", "from", "to", "initiator", "responder", "var", "type", "p:jid"};

static const char *const texts[] = {U,
                                    "u@example.net",
                                    "U@EXAMPLE.net/r",
                                    E,
                                    PU,
                                    "svc@example.org",
                                    P "/u@example.net",
                                    P,
                                    "n@" PU,
                                    P "/x@",
                                    P "/x.@",
                                    "v@example.net/r",
                                    "jid-multi",
                                    "jid-single",
                                    "form",
                                    "submit",
                                    "",
                                    "@",
                                    "\xc3\xbc@example.net/r",
                                    "u@\xc3\xbc/r",
                                    "&amp;",
                                    "&#117;@example.net/r",
                                    "a",
                                    "]]>"};

#define PICK(table, choice)                                                    \
    (table)[(choice) % (sizeof(table) / sizeof(table)[0])]

/* Writes a text by the choices of the input: nearly well-formed, and all that
 * the table of places knows occurs in it. */
static void write_text(struct input *in, struct jat_buf *to)
{
    const char *open[80];
    unsigned depth = 0, used = 0;
    bool in_tag = false;
    char line[512];

    while (in->n > 0 && to->n < 8192) {
        unsigned step = input_octet(in), choice = input_octet(in), n = 0;
        bool may_open = depth < sizeof open / sizeof open[0];

        line[0] = '\0';
        if (step % 4 == 0 && may_open) {
            const char *form = PICK(names, choice);
            const char *ns = PICK(namespaces, input_octet(in));

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            n = (unsigned)snprintf(line, sizeof line, form, ns);
#pragma GCC diagnostic pop
            if (in_tag)
                jat_buf_addc(to, '>');
            open[depth++] = form + 1;
            in_tag = true;
            used = 0;
        } else if (step % 4 == 1 && in_tag && (used & 1U << choice % 8) == 0) {
            used |= 1U << choice % 8;
            n = (unsigned)snprintf(line, sizeof line, " %s='%s'",
                                   PICK(attributes, choice),
                                   PICK(texts, input_octet(in)));
        } else if (step % 4 == 2) {
            n = (unsigned)snprintf(line, sizeof line, "%s%s", in_tag ? ">" : "",
                                   PICK(texts, choice));
            in_tag = false;
        } else if (depth > 0) {
            const char *name = open[--depth];

            n = (unsigned)snprintf(line, sizeof line, "%s</%.*s>",
                                   in_tag ? ">" : "", (int)strcspn(name, " "),
                                   name);
            in_tag = false;
        }
        jat_buf_add(to, jat_str(line, n));
    }
    while (depth > 0) {
        const char *name = open[--depth];
        int n = snprintf(line, sizeof line, "%s</%.*s>", in_tag ? ">" : "",
                         (int)strcspn(name, " "), name);

        in_tag = false;
        jat_buf_add(to, jat_str(line, (size_t)n));
    }
}

/* What was asked for: the ASCII letters small, or now and then nothing. */
static struct jat_str prepared[JAT_MAX_ADDRESSES];

static void prepare(const struct jat_edits *edits, struct jat_buf *buf,
                    struct jat_buf *room)
{
    for (uint32_t i = 0; i < edits->n; i++) {
        struct jat_str s = jat_buf_str(buf, edits->v[i].value);

        CHECK(s.n > 0);
        prepared[i] = i % 5 == 4 ? jat_str(NULL, 0)
                                 : jat_buf_str(room, jat_buf_add(room, s));
    }
}

static enum jat_err translate(struct jat *j, const struct jat_addresses *a,
                              struct jat_str text, struct jat_buf *buf,
                              struct jat_edits *edits)
{
    struct jat_buf room = JAT_BUF_INIT;
    enum jat_err err =
        jat_payload_translate(j, a, text, NULL, 0, 1, buf, edits);

    if (err == JAT_OK && edits->ask) {
        CHECK(edits->n > 0 && edits->n <= JAT_MAX_ADDRESSES);
        (void)jat_buf_room(&room, buf->n); /* it does not move then */
        prepare(edits, buf, &room);
        err = jat_payload_translate(j, a, text, prepared, edits->n, 1, buf,
                                    edits);
        CHECK(err != JAT_OK || !edits->ask);
    }
    jat_buf_fini(&room);
    return err;
}

struct check {
    struct jat *j;
    struct jat_addresses back;
    struct jat_str as; /* what the target knows U by */
    const struct jat_buf *buf;
    struct jat_edit
        *v; /* a copy, for the thread's are gone with the next parse */
    uint32_t n, at;
    bool in;
};

/* What an address of a place has become, goes back to itself. */
static void goes_back(const struct check *c, struct jat_str value,
                      const char *was)
{
    struct jat_buf text = JAT_BUF_INIT, buf = JAT_BUF_INIT;
    struct jat_str self = jat_str(was, strlen(was));
    struct jat_edits edits;

    jat_buf_add(&text, JAT_STR("<q xmlns='http://jabber.org/protocol/"
                               "disco#items'><item jid='"));
    jat_buf_add(&text, value);
    jat_buf_add(&text, JAT_STR("'/></q>"));
    if (memchr(value.p, '&', value.n) == NULL && jat_jid_is_prepared(self) &&
        strncmp(was, P, sizeof P - 1) != 0 &&
        strcmp(was, "svc@example.org") != 0 && was[0] != 'n') {
        CHECK(translate(c->j, &c->back, jat_str(text.p, text.n), &buf,
                        &edits) == JAT_OK);
        CHECK(edits.n == 1 &&
              jat_str_eq(jat_buf_str(&buf, edits.v[0].value), self));
    }
    jat_buf_fini(&text);
    jat_buf_fini(&buf);
}

static void look(uint32_t element, const char *attr, const char *value,
                 bool loose, void *data)
{
    struct check *c = data;
    const struct jat_edit *e = &c->v[c->at];
    bool here = c->at < c->n && e->element == element &&
                e->attribute.n == (attr == NULL ? 0 : strlen(attr)) &&
                (attr == NULL || strcmp(e->attribute.p, attr) == 0);

    (void)loose;
    if (here) {
        c->at++;
        goes_back(c, jat_buf_str(c->buf, e->value), value);
    } else {
        CHECK(!c->in || strcmp(value, U) != 0);
        CHECK(c->in || !jat_str_eq(c->as, jat_str(value, strlen(value))));
    }
}

static void compare(struct check *c, struct jat_str text)
{
    struct places_walk w = {.fn = look, .data = c};
    struct jat_buf all = JAT_BUF_INIT;
    xmlDocPtr doc;

    jat_buf_add(&all, JAT_STR("<stream xmlns='jabber:client'>"));
    jat_buf_add(&all, text);
    jat_buf_add(&all, JAT_STR("</stream>"));
    doc = xmlReadMemory(all.p, (int)all.n, NULL, "UTF-8",
                        XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOERROR |
                            XML_PARSE_NOWARNING);
    CHECK(doc != NULL);
    places_walk(&w, xmlDocGetRootElement(doc)->children);
    CHECK(c->at == c->n);
    xmlFreeDoc(doc);
    jat_buf_fini(&all);
}

static void play(struct jat *j, struct jat_str as, bool in, struct jat_str text)
{
    struct jat_addresses to_e = {JAT_STR(U), JAT_STR(P), as, JAT_STR(E)},
                         to_u = {JAT_STR(E), as, JAT_STR(P), JAT_STR(U)};
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_edits edits;
    enum jat_err err = translate(j, in ? &to_e : &to_u, text, &buf, &edits);

    CHECK(err != JAT_EBADARG && err != JAT_ENOMEM && err != JAT_EFULL);
    if (err == JAT_OK) {
        struct check c = {.j = j,
                          .back = in ? to_u : to_e,
                          .as = as,
                          .buf = &buf,
                          .n = edits.n,
                          .in = in};

        c.v = calloc(edits.n + 1, sizeof *c.v);
        CHECK(c.v != NULL);
        if (edits.n > 0)
            memcpy(c.v, edits.v, edits.n * sizeof *c.v);
        compare(&c, text);
        free(c.v);
    }
    jat_buf_fini(&buf);
}

static struct jat *host(const char *encoding)
{
    static const unsigned char seed[24] = "a seed of 24 octets ...";
    struct jat_endpoint_state online = {JAT_SHOW_NONE, 0, false, false};
    struct jat_config *c = jat_config_new();
    struct jat *j;
    bool added;

    CHECK(c != NULL);
    CHECK(jat_config_str(c, JAT_STR("host"), JAT_STR(P)) == JAT_OK);
    CHECK(jat_config_str(c, JAT_STR("targets"), JAT_STR("svc@example.org")) ==
          JAT_OK);
    CHECK(jat_config_str(c, JAT_STR("keys"),
                         JAT_STR("32 octets make a key for sealing")) ==
          JAT_OK);
    CHECK(jat_config_str(c, JAT_STR("encoding"),
                         jat_str(encoding, strlen(encoding))) == JAT_OK);
    CHECK(jat_instance_new(c, seed, &j) == JAT_OK);
    CHECK(jat_put_endpoint(j, JAT_STR(E), &online, 0, &added) == JAT_OK);
    return j;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static struct jat_buf sealed = JAT_BUF_INIT;
    enum jat_form form;

    (void)argc, (void)argv;
    jat_xml_init();
    hosts[0] = host("jid");
    hosts[1] = host("sealed");
    jat_buf_add(&sealed, JAT_STR(P "/"));
    CHECK(jat_address_seal(atomic_load(&hosts[1]->config)->keyring,
                           JAT_ROLE_REQUESTER, JAT_STR(U), &sealed,
                           &form) == JAT_OK);
    shown[0] = JAT_STR(PU);
    shown[1] = jat_str(sealed.p, sealed.n);
    return 0;
}

/* An input that begins like XML is a text; any other one writes it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n};
    struct jat_buf written = JAT_BUF_INIT;
    struct jat_str text = {(const char *)data, n};

    if (n == 0 || data[0] != '<') {
        write_text(&in, &written);
        text = jat_str(written.p, written.n);
    }
    for (unsigned i = 0; i < 4; i++)
        play(hosts[i % 2], shown[i % 2], i < 2, text);
    jat_xml_thread_fini();
    jat_buf_fini(&written);
    return 0;
}
