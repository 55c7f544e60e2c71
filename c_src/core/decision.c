/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "decision.h"

struct jat_parts jat_parts_cut(struct jat_span jid, struct jat_cut cut)
{
    uint32_t server = cut.user_n == 0 ? 0 : cut.user_n + 1U;
    uint32_t resource = cut.bare_n == jid.n ? jid.n : cut.bare_n + 1U;

    return (struct jat_parts){{jid.at, cut.user_n},
                              {jid.at + server, cut.bare_n - server},
                              {jid.at + resource, jid.n - resource}};
}

struct jat_span jat_parts_join(struct jat_buf *buf,
                               const struct jat_parts *parts,
                               struct jat_cut *cut)
{
    size_t start = buf->n;

    cut->user_n = (uint16_t)parts->user.n;
    if (jat_buf_room(buf, (size_t)JAT_JID_MAX) == NULL)
        return (struct jat_span){0, 0};
    if (parts->user.n > 0) {
        jat_buf_add(buf, jat_buf_str(buf, parts->user));
        jat_buf_addc(buf, '@');
    }
    jat_buf_add(buf, jat_buf_str(buf, parts->server));
    cut->bare_n = (uint16_t)(buf->n - start);
    if (parts->resource.n > 0) {
        jat_buf_addc(buf, '/');
        jat_buf_add(buf, jat_buf_str(buf, parts->resource));
    }
    return jat_buf_since(buf, start);
}

enum jat_err jat_refuse(struct jat_decision *d, enum jat_why why)
{
    d->verb = JAT_DO_REFUSE;
    d->why = why;
    return JAT_OK;
}

enum jat_err jat_drop(struct jat_decision *d, enum jat_reason reason)
{
    d->verb = JAT_DO_DROP;
    d->reason = reason;
    return JAT_OK;
}

enum jat_err jat_local(struct jat_decision *d, enum jat_local what)
{
    d->verb = JAT_DO_LOCAL;
    d->local = what;
    return JAT_OK;
}

enum jat_err jat_elsewhere(struct jat_decision *d, const char tag[JAT_TAG])
{
    d->verb = JAT_DO_ELSEWHERE;
    memcpy(d->tag, tag, JAT_TAG);
    return JAT_OK;
}

enum jat_err jat_ask(struct jat_decision *d, enum jat_ask what,
                     struct jat_span about)
{
    d->verb = JAT_DO_ASK;
    d->ask = (struct jat_question){what, about};
    return JAT_OK;
}

enum jat_err jat_ask_text(struct jat_decision *d, enum jat_ask what,
                          struct jat_str about, struct jat_buf *buf)
{
    struct jat_span span = jat_buf_add(buf, about);

    return buf->failed ? JAT_ENOMEM : jat_ask(d, what, span);
}

const char *jat_local_name(unsigned local)
{
    static const char *const names[JAT_LOCAL_COUNT] = {
        "target_presence", "subscribe",
        "unsubscribe",     "probe",
        "available",       "presence_error",
        "decline",         "disco_info",
        "disco_items",     "ping"};

    return names[local];
}

const char *jat_ask_name(unsigned ask)
{
    static const char *const names[JAT_ASK_COUNT] = {
        "resourceprep", "jid",          "outbound", "endpoint",
        "contact",      "conversation", "handle",   "session",
        "kept",         "taken",        "admission"};

    return names[ask];
}

const char *jat_reason_name(unsigned reason)
{
    static const char *const names[JAT_REASON_COUNT] = {
        "unsolicited", "unroutable", "limited",
        "no_endpoint", "denied",     "full"};

    return names[reason];
}
