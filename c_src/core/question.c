/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "question.h"

enum jat_err jat_question_ask(struct jat_call *c, enum jat_ask what,
                              const struct jat_str *parts, unsigned n)
{
    size_t start = c->buf->n;

    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            jat_buf_addc(c->buf, '\0');
        jat_buf_add(c->buf, parts[i]);
    }
    return c->buf->failed ? JAT_ENOMEM
                          : jat_ask(c->out, what, jat_buf_since(c->buf, start));
}

bool jat_question_cut(struct jat_str text, struct jat_str *parts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char *end = text.n == 0 ? NULL : memchr(text.p, '\0', text.n);

        if ((end == NULL) != (i == n - 1))
            return false;
        parts[i] =
            jat_str(text.p, end == NULL ? text.n : (size_t)(end - text.p));
        if (end != NULL)
            text = jat_str(end + 1, text.n - parts[i].n - 1);
    }
    return true;
}

bool jat_question_share(const struct jat *j, const struct jat_config *config,
                        struct jat_str jid, struct jat_share *out)
{
    struct jat_jid parts;

    if (!jat_jid_split(jid, &parts))
        return false;
    *out = (struct jat_share){
        .user = jat_shares_user(j->shares, parts.bare),
        .domain = jat_shares_domain(j->shares, config, parts.server)};
    return true;
}
