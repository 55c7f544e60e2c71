/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "contact.h"

struct jat_contact jat_contact_of(const struct jat_share *requester,
                                  uint64_t target, uint64_t node)
{
    return (struct jat_contact){
        jat_mix64(requester->user ^ jat_mix64(target ^ jat_mix64(node))),
        requester->domain};
}

struct jat_contact jat_conversation_of(const struct jat_share *requester,
                                       uint64_t node)
{
    return (struct jat_contact){jat_mix64(requester->user ^ jat_mix64(node)),
                                requester->domain};
}

static struct jat_stay stay_of(const struct jat_config *config,
                               struct jat_contact who, uint64_t now)
{
    return (struct jat_stay){.group = who.group,
                             .now = now,
                             .until = now + (uint64_t)config->contact_timeout +
                                      jat_contact_slack(config)};
}

void jat_contact_touch(struct jat_recent *contacts,
                       const struct jat_config *config, struct jat_contact who,
                       bool made, uint64_t now, uint64_t until)
{
    struct jat_recent_key key = jat_recent_number(who.hash);
    struct jat_stay stay = stay_of(config, who, now);

    if (config->outbound != JAT_OUTBOUND_REPLY)
        return;
    if (stay.until < until)
        stay.until = until;
    if (jat_recent_touch(contacts, key, who.group, now, stay.until))
        return;
    /* Without memory or a place there is no contact: the target may not speak
     * first. */
    if (made)
        (void)jat_recent_put(contacts, key, jat_str(NULL, 0), &stay,
                             (size_t)config->max_contacts);
}

bool jat_contact_find(struct jat_recent *contacts, struct jat_contact who,
                      uint64_t now)
{
    struct jat_buf nothing = JAT_BUF_INIT;

    return jat_recent_get(contacts, jat_recent_number(who.hash), who.group, now,
                          &nothing) == JAT_OK;
}

void jat_conversation_name(struct jat_recent *conversations,
                           const struct jat_config *config,
                           struct jat_contact who, uint64_t endpoint,
                           uint64_t now)
{
    struct jat_stay stay = stay_of(config, who, now);
    struct jat_str value = jat_str((const char *)&endpoint, sizeof(endpoint));

    /* Without memory or a place the next message goes by its sender alone. */
    (void)jat_recent_put(conversations, jat_recent_number(who.hash), value,
                         &stay, (size_t)config->max_contacts);
}

bool jat_conversation_find(struct jat_recent *conversations,
                           struct jat_contact who, uint64_t now,
                           uint64_t *endpoint)
{
    char room[sizeof(*endpoint)];
    struct jat_buf value = jat_buf_lent(room, sizeof(room));

    if (jat_recent_get(conversations, jat_recent_number(who.hash), who.group,
                       now, &value) != JAT_OK)
        return false;
    memcpy(endpoint, room, sizeof(*endpoint));
    return true;
}
