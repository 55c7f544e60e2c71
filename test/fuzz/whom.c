/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Whom an address at P stands for, and who may write to whom. */
#include "view.h"

bool has_node(const struct truth *t, struct jat_str node)
{
    struct jat_str glob = t->o.localparts;
    bool open = glob.n > 0 && glob.p[glob.n - 1] == '*';

    if (node.n == 0 || !open)
        return jat_str_eq(node, glob) || node.n == 0;
    glob.n--;
    return node.n >= glob.n && jat_str_eq(glob, jat_str(node.p, glob.n));
}

enum stands endpoint_at(const struct truth *t, struct jat_str resource,
                        unsigned *session)
{
    struct jat_buf jid = JAT_BUF_INIT;
    enum stands stands = FOR_NOBODY;

    for (*session = 0; *session < t->n_sessions; ++*session)
        if (t->sessions[*session].online &&
            jat_str_eq(t->sessions[*session].shown, resource))
            return FOR_ONLINE;
    if (jat_address_open(t->o.ring, JAT_ROLE_ENDPOINT, resource, &jid) ==
        JAT_OK) {
        *session = truth_online(t, jat_str(jid.p, jid.n));
        stands = *session == NOBODY ? FOR_GONE : FOR_ONLINE;
    }
    jat_buf_fini(&jid);
    return stands;
}

enum stands stands_for(const struct truth *t, const struct view *v,
                       unsigned *session)
{
    *session = NOBODY;
    if (!has_node(t, v->to.user))
        return FOR_NOBODY;
    return v->to.resource.n == 0 ? FOR_P
                                 : endpoint_at(t, v->to.resource, session);
}

bool shown_as(struct truth *t, const struct view *v, struct jat_str *shown)
{
    if (t->o.encoding == JAT_ENCODE_JID && v->user.n <= JAT_JID_PART_MAX &&
        (v->hints & JAT_HINT_RESOURCEPREP_REFUSED) == 0) {
        *shown = truth_keep(t, v->user);
        return jat_jid_is_plain(v->user) ||
               (v->hints & JAT_HINT_RESOURCEPREP_OK) != 0;
    }
    *shown = truth_enc(t, JAT_ROLE_REQUESTER, v->user);
    return true;
}

/* Targets */

/* False: nobody. */
static bool user_at(struct truth *t, const struct view *v, struct jat_str *user,
                    bool *spoke)
{
    struct jat_buf jid = JAT_BUF_INIT;
    bool is = false;

    *spoke = true;
    switch (jat_address_form(v->to.resource)) {
    case JAT_FORM_SEALED:
        is = jat_address_open(t->o.ring, JAT_ROLE_REQUESTER, v->to.resource,
                              &jid) == JAT_OK;
        *user = truth_keep(t, jat_str(jid.p, jid.n));
        break;
    case JAT_FORM_HANDLE:
        is = truth_is_handle(t, v->to.resource, v->handle_seen, user);
        break;
    case JAT_FORM_JID:
        *spoke = false;
        *user = truth_keep(t, v->prepared.n > 0 ? v->prepared : v->to.resource);
        is = true;
        break;
    }
    jat_buf_fini(&jid);
    return is;
}

/* A plain JID, where the target is to know none. */
static bool is_hidden(const struct truth *t, const struct view *v)
{
    return t->o.encoding == JAT_ENCODE_SEALED &&
           t->o.outbound != JAT_OUTBOUND_ANY &&
           jat_address_form(v->to.resource) == JAT_FORM_JID;
}

static bool is_unprepared(const struct view *v)
{
    return jat_address_form(v->to.resource) == JAT_FORM_JID &&
           v->prepared.n == 0 && !jat_jid_is_prepared(v->to.resource);
}

struct whom whom_of(struct truth *t, const struct view *v)
{
    struct whom out = {.is = A_REQUESTER};
    struct jat_jid jid;
    unsigned session;

    if (!has_node(t, v->to.user))
        out.is = NOT_A_NODE;
    else if (v->to.resource.n == 0)
        out.is = P_ITSELF;
    else if (is_hidden(t, v))
        out.is = PLAIN_JID;
    else if ((v->hints & JAT_HINT_JID_MALFORMED) != 0)
        out.is = NO_ADDRESS;
    else if (endpoint_at(t, v->to.resource, &session) != FOR_NOBODY)
        out.is = AN_ENDPOINT;
    else if (is_unprepared(v))
        out.is = UNPREPARED;
    else if (!user_at(t, v, &out.user, &out.spoke) ||
             !jat_jid_split(out.user, &jid))
        out.is = NO_ADDRESS;
    else if (truth_is_target(t, out.user))
        out.is = A_TARGET;
    else if (jat_str_eq(jid.server, JAT_STR(P)))
        out.is = AT_P;
    return out;
}

/* That U's sealed address or handle is known says nothing of the node. */
static bool is_allowed(struct truth *t, const struct view *v,
                       const struct whom *to)
{
    switch ((enum jat_outbound)t->o.outbound) {
    case JAT_OUTBOUND_REPLY:
        return (to->spoke && t->o.localparts.n == 0) ||
               truth_is_contact(t, to->user, v->user, v->to.user,
                                v->contact_seen);
    case JAT_OUTBOUND_ANY:
        return !t->o.outbound_acl ||
               (v->hints & JAT_HINT_OUTBOUND_ALLOWED) != 0;
    case JAT_OUTBOUND_NONE:
        break;
    }
    return false;
}

bool may_write(struct truth *t, const struct view *v, const struct whom *to,
               unsigned *session, struct verdict *out)
{
    *session = truth_online(t, v->user);
    if (*session == NOBODY)
        *out = (v->hints & JAT_HINT_ENDPOINT_READ) != 0
                   ? reply(JAT_NOT_ALLOWED)
                   : ask(JAT_ASK_ENDPOINT, v->user);
    else if (is_allowed(t, v, to))
        return true;
    else if (t->o.outbound == JAT_OUTBOUND_ANY &&
             (v->hints & JAT_HINT_OUTBOUND_DENIED) == 0)
        *out = ask(JAT_ASK_OUTBOUND, to->user);
    else
        *out = reply(JAT_FORBIDDEN);
    return false;
}
