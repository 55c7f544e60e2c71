/* Contacts: which requester and which target have spoken lately. They are what
 * `outbound: reply` goes by, and are kept only for it. */
#include "house.h"

/* The key of a contact: the bare JID of U, NUL (which no JID holds), T. */
struct key {
    char text[2 * JAT_JID_MAX + 1];
};

static struct jat_str key_of(struct key *k, struct jat_str user,
                             struct jat_str target)
{
    struct jat_str bare = jat_jid_bare(user);

    if (bare.n > JAT_JID_MAX || target.n > JAT_JID_MAX)
        return (struct jat_str){NULL, 0};
    memcpy(k->text, bare.p, bare.n);
    k->text[bare.n] = '\0';
    memcpy(k->text + bare.n + 1, target.p, target.n);
    return jat_str(k->text, bare.n + 1 + target.n);
}

void jat_contact_touch(struct jat *j, const struct jat_config *config,
                       struct jat_str user, struct jat_str target, bool made,
                       uint64_t now, uint64_t until)
{
    struct jat_str none = {NULL, 0};
    struct jat_str key;
    struct key k;

    if (config->outbound != JAT_OUTBOUND_REPLY)
        return;
    if (until < now + (uint64_t)config->contact_timeout)
        until = now + (uint64_t)config->contact_timeout;
    key = key_of(&k, user, target);
    /* Without memory there is no contact: the target may not speak first. */
    if (!jat_recent_touch(j->contacts, key, now, until) && made)
        (void)jat_recent_put(j->contacts, key, none, until,
                             (size_t)config->max_contacts);
}

bool jat_contact_known(struct jat *j, struct jat_str user,
                       struct jat_str target, uint64_t now)
{
    struct jat_buf none = JAT_BUF_INIT;
    struct key k;
    enum jat_err err =
        jat_recent_get(j->contacts, key_of(&k, user, target), now, &none);

    jat_buf_fini(&none);
    return err == JAT_OK;
}
