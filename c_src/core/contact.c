/* Contacts: which requester and which target have spoken lately. They are what
 * `outbound: reply` goes by, and are kept only for it. Both are known by a hash
 * (see quota.h), which every record and every endpoint has already. */
#include "house.h"

#define KEY_OF(contact) jat_str((const char *)(contact), sizeof(contact))

void jat_contact_touch(struct jat *j, const struct jat_config *config,
                       uint64_t user, uint64_t target, bool made, uint64_t now,
                       uint64_t until)
{
    struct jat_str none = {NULL, 0};
    const uint64_t contact[] = {user, target};

    if (config->outbound != JAT_OUTBOUND_REPLY)
        return;
    if (until < now + (uint64_t)config->contact_timeout)
        until = now + (uint64_t)config->contact_timeout;
    /* Without memory there is no contact: the target may not speak first. */
    if (!jat_recent_touch(j->contacts, KEY_OF(contact), now, until) && made)
        (void)jat_recent_put(j->contacts, KEY_OF(contact), none, until,
                             (size_t)config->max_contacts);
}

bool jat_contact_known(struct jat *j, uint64_t user, uint64_t target,
                       uint64_t now)
{
    struct jat_buf none = JAT_BUF_INIT;
    const uint64_t contact[] = {user, target};
    enum jat_err err = jat_recent_get(j->contacts, KEY_OF(contact), now, &none);

    jat_buf_fini(&none);
    return err == JAT_OK;
}
