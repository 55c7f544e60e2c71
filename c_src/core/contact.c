/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Contacts: which requester and which target have spoken lately. They are what
 * `outbound: reply` goes by, and are kept only for it. Both are known by a hash
 * (see quota.h), which every record and every endpoint has already. A remote
 * domain is a group: it makes nobody else's contacts forgotten (recent.h). */
#include "house.h"

#define KEY_OF(contact) jat_str((const char *)(contact), sizeof(contact))

void jat_contact_touch(struct jat *j, const struct jat_config *config,
                       const struct jat_request *r, uint64_t target, bool made,
                       uint64_t now, uint64_t until)
{
    struct jat_str none = {NULL, 0};
    struct jat_stay stay = {.group = r->domain_key, .now = now};
    const uint64_t contact[] = {r->user_key, target};

    if (config->outbound != JAT_OUTBOUND_REPLY)
        return;
    if (until < now + (uint64_t)config->contact_timeout)
        until = now + (uint64_t)config->contact_timeout;
    stay.until = until;
    /* Without memory or a place there is no contact: the target may not speak
     * first. */
    if (!jat_recent_touch(j->contacts, KEY_OF(contact), stay.group, now,
                          until) &&
        made)
        (void)jat_recent_put(j->contacts, KEY_OF(contact), none, &stay,
                             (size_t)config->max_contacts);
}

bool jat_contact_known(struct jat *j, const struct jat_config *config,
                       struct jat_str user, uint64_t target, uint64_t now)
{
    struct jat_buf none = JAT_BUF_INIT;
    const uint64_t contact[] = {jat_user_key(j, user), target};
    struct jat_jid jid;
    enum jat_err err = JAT_ENOTFOUND;

    if (jat_jid_split(user, &jid))
        err = jat_recent_get(j->contacts, KEY_OF(contact),
                             jat_domain_key(j, config, jid.server), now, &none);
    jat_buf_fini(&none);
    return err == JAT_OK;
}
