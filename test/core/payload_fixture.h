/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Payloads go in as text, edits come out as a line of text:
 *
 *   1@jid proxy.example.org/u@h/r; 3 text      an attribute, a text
 *   ask TEXT; TEXT                             to be prepared
 *   failed WHY */
#ifndef PAYLOAD_FIXTURE_H
#define PAYLOAD_FIXTURE_H

#include "jat_fixture.h"

#include "payload.h"

#define ITEMS_NS "http://jabber.org/protocol/disco#items"
#define ITEM(jid) "<item jid='" jid "'/>"
#define ITEMS(items) "<query xmlns='" ITEMS_NS "'>" items "</query>"

/* What stringprep would give, of texts that the tests have. */
static const struct {
    const char *text, *prepared;
} stringprep[] = {
    {"\xc3\x9c@example.net/r", "\xc3\xbc@example.net/r"},
    {"\xc3\xbc@Example.net/r", "\xc3\xbc@example.net/r"},
    {"\xc3\x9c@example.net", "\xc3\xbc@example.net"},
    {"u@example.net/\xef\xbc\xb2", "u@example.net/R"},
    {T "/\xc3\xa4", T "/\xc3\xa4"},
    {"\xef\xbd\x93@example.org/a", "s@example.org/a"},
    {"\xef\xbd\x90roxy.example.org/" U, PU},
    {"\xef\xbd\x95@\xef\xbd\x85xample.net/r", U},
};

static struct jat_addresses addresses;
/* What was asked for in the last call, prepared. */
static struct jat_str found_out[JAT_MAX_ADDRESSES];
static size_t n_found_out;
static struct jat_edits edits;
static struct jat_buf edited; /* their strings */

static inline struct jat_str prepare(struct jat_str asked)
{
    for (size_t i = 0; i < sizeof stringprep / sizeof stringprep[0]; i++)
        if (jat_str_eq(str(stringprep[i].text), asked))
            return str(stringprep[i].prepared);
    return JAT_STR("");
}

/* The stanza is U's, for A. */
static inline void from_user(const char *from, const char *to,
                             const char *shown_as)
{
    addresses =
        (struct jat_addresses){str(from), str(to), str(shown_as), str(A)};
}

/* The stanza is A's, for `to`, whom A knows by this address. */
static inline void from_target(const char *shown_as, const char *from,
                               const char *to)
{
    addresses =
        (struct jat_addresses){str(A), str(shown_as), str(from), str(to)};
}

static inline enum jat_err translate(const char *text)
{
    jat_buf_reset(&edited, SIZE_MAX);
    edits.n = 0;
    return jat_payload_translate(j, &addresses, str(text), found_out,
                                 n_found_out, now, &edited, &edits);
}

static inline const char *edits_words(enum jat_err err)
{
    const char *all = edits.ask ? "ask " : "";
    if (err != JAT_OK)
        return line("failed %s", jat_err_name(err));
    for (uint32_t i = 0; i < edits.n; i++) {
        const struct jat_edit *e = &edits.v[i];
        struct jat_str value = jat_buf_str(&edited, e->value);
        const char *where = edits.ask ? ""
                            : e->attribute.n == 0
                                ? line("%u ", e->element)
                                : line("%u@%s ", e->element, e->attribute.p);
        all = line("%s%s%s%.*s", all, i > 0 ? "; " : "", where, (int)value.n,
                   value.p);
    }
    return all;
}

/* What is to be edited, first without anything prepared. */
static inline const char *edits_of(const char *text)
{
    n_found_out = 0;
    edits.ask = false;
    return edits_words(translate(text));
}

/* The same when all has been found out that is asked for. */
static inline const char *edits_at_last(const char *text)
{
    const char *asked = edits_of(text);
    if (strncmp(asked, "ask ", 4) != 0)
        return asked;
    for (; n_found_out < edits.n; n_found_out++)
        found_out[n_found_out] =
            prepare(jat_buf_str(&edited, edits.v[n_found_out].value));
    return edits_words(translate(text));
}

static inline int begin_payload(void **state)
{
    edited = (struct jat_buf)JAT_BUF_INIT;
    return begin(state);
}

static inline int end_payload(void **state)
{
    jat_buf_fini(&edited);
    return end(state);
}

#define PAYLOAD_CASE(f)                                                        \
    cmocka_unit_test_setup_teardown(f, begin_payload, end_payload)

#endif
