/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "jid.h"

bool jat_jid_split(struct jat_str text, struct jat_jid *out)
{
    struct jat_str rest = jat_jid_bare(text);
    struct jat_jid jid = {rest, {NULL, 0}, rest, {NULL, 0}};
    const char *at = rest.n == 0 ? NULL : memchr(rest.p, '@', rest.n);

    if (rest.n < text.n) {
        jid.resource = jat_str(rest.p + rest.n + 1, text.n - rest.n - 1);
        if (jid.resource.n == 0)
            return false;
    }
    if (at != NULL) {
        jid.user = jat_str(rest.p, (size_t)(at - rest.p));
        jid.server = jat_str(at + 1, rest.n - jid.user.n - 1);
        if (jid.user.n == 0 || memchr(at + 1, '@', jid.server.n) != NULL)
            return false;
    }
    if (jid.server.n == 0 || jid.server.n > JAT_JID_PART_MAX ||
        jid.user.n > JAT_JID_PART_MAX || jid.resource.n > JAT_JID_PART_MAX)
        return false;
    *out = jid;
    return true;
}

struct jat_str jat_jid_bare(struct jat_str text)
{
    const char *slash = text.n == 0 ? NULL : memchr(text.p, '/', text.n);

    return slash == NULL ? text : jat_str(text.p, (size_t)(slash - text.p));
}

/* Eight octets at once. The topmost bit of the first one that is not plain gets
 * set: it was set, or subtracting '!' borrows it, or adding 1 to 0x7f carries
 * into it. */
static bool is_plain8(const char *p)
{
    const uint64_t ones = 0x0101010101010101U;
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return ((w | (w - '!' * ones) | (w + ones)) & 0x80 * ones) == 0;
}

bool jat_jid_is_plain(struct jat_str text)
{
    size_t i = 0;

    while (text.n - i >= 8 && is_plain8(text.p + i))
        i += 8;
    for (; i < text.n; i++)
        if (text.p[i] < '!' || text.p[i] > '~')
            return false;
    return true;
}

static bool is_lower(struct jat_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

bool jat_jid_is_prepared(struct jat_str text)
{
    struct jat_jid jid;

    return jat_jid_split(text, &jid) && is_lower(jid.user) &&
           is_lower(jid.server) && jat_jid_is_plain(jid.resource);
}
