/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "sticky.h"

/* The attribute of the option sticky_by; empty where there is none. */
static struct jat_str sticky_attribute(const struct jat_call *c)
{
    const struct jat_config *config = c->config;
    const struct jat_stanza *s = c->stanza;

    for (uint32_t i = 0; i < s->n_children; i++)
        if (jat_str_eq(s->children[i].ns, config->sticky_by.v[0]))
            return jat_child_attr(s, &s->children[i],
                                  config->sticky_by_attribute.v[0]);
    return jat_str(NULL, 0);
}

/* A value of the attribute that is a JID counts in its prepared form: one room
 * has one name, however it is written. False: the caller is to be asked for
 * that form. */
static bool prepare(const struct jat_call *c, struct jat_str *value)
{
    if (jat_jid_is_prepared(*value) || value->n > JAT_JID_MAX ||
        (c->hints & JAT_HINT_JID_MALFORMED) != 0)
        return true;
    if (c->prepared.n == 0)
        return false;
    *value = c->prepared;
    return true;
}

bool jat_sticky_key(const struct jat_call *c, struct jat_str *key)
{
    struct jat_str value;

    *key = c->from.bare;
    switch (c->config->sticky) {
    case JAT_STICKY_FULL:
        *key = jat_call_sender(c);
        break;
    case JAT_STICKY_DOMAIN:
        *key = c->from.server;
        break;
    case JAT_STICKY_ATTRIBUTE:
        value = sticky_attribute(c);
        if (value.n == 0)
            break;
        *key = value;
        return prepare(c, key);
    case JAT_STICKY_BARE:
        break;
    }
    return true;
}

bool jat_sticky_by_payload(const struct jat_call *c)
{
    return c->config->balance == JAT_STICKY &&
           c->config->sticky == JAT_STICKY_ATTRIBUTE &&
           sticky_attribute(c).n > 0;
}

uint64_t jat_sticky_hash(const struct jat_config *config, struct jat_str key)
{
    static const struct jat_seed everywhere = {{0, 0}};

    return jat_hash(config->encoding == JAT_ENCODE_SEALED
                        ? jat_keyring_seed(config->keyring)
                        : &everywhere,
                    key);
}
