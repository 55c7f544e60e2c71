/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "shown.h"

#include "address.h"

enum jat_err jat_shown_make(struct jat_call *c, struct jat_span *shown,
                            bool *ask)
{
    struct jat_str jid = jat_call_sender(c);
    size_t start = c->buf->n;
    enum jat_form form;
    enum jat_err err;

    *ask = false;
    if (c->config->encoding == JAT_ENCODE_JID && jid.n <= JAT_JID_PART_MAX &&
        !(c->hints & JAT_HINT_RESOURCEPREP_REFUSED)) {
        *ask = !jat_jid_is_plain(jid) && !(c->hints & JAT_HINT_RESOURCEPREP_OK);
        *shown = jat_buf_add(c->buf, jid);
        return c->buf->failed ? JAT_ENOMEM : JAT_OK;
    }
    err = jat_address_seal(c->config->keyring, JAT_ROLE_REQUESTER, jid, c->buf,
                           &form);
    *shown = jat_buf_since(c->buf, start);
    return err;
}

enum jat_err jat_shown_keep(struct jat_call *c, struct jat_span shown,
                            uint64_t group, uint64_t held)
{
    struct jat_recent *handles = c->j->handles;
    struct jat_str handle = jat_buf_str(c->buf, shown);
    struct jat_stay stay;

    if (jat_address_form(handle) != JAT_FORM_HANDLE)
        return JAT_OK;
    stay = (struct jat_stay){.group = group,
                             .now = c->now,
                             .until =
                                 c->now + (uint64_t)c->config->contact_timeout,
                             .held = held};
    if (stay.until < stay.held)
        stay.until = stay.held;
    return jat_recent_put(handles, jat_recent_text(handles, handle),
                          jat_call_sender(c), &stay,
                          (size_t)c->config->max_contacts);
}

void jat_shown_touch(struct jat_call *c, struct jat_str resource,
                     uint64_t group)
{
    struct jat_recent *handles = c->j->handles;

    if (jat_address_form(resource) == JAT_FORM_HANDLE)
        (void)jat_recent_touch(handles, jat_recent_text(handles, resource),
                               group, c->now,
                               c->now + (uint64_t)c->config->contact_timeout);
}
