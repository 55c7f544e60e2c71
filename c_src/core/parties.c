/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "parties.h"

#include "address.h"

enum jat_err jat_parties_of(struct jat *j, const struct jat_addresses *a,
                            uint64_t now, struct jat_parties *out)
{
    struct jat_parties p = {
        .j = j,
        .config = atomic_load_explicit(&j->config, memory_order_acquire),
        .now = now};
    struct jat_str shown;

    p.direction = jat_list_has(&p.config->targets, jat_jid_bare(a->from))
                      ? JAT_OUT
                      : JAT_IN;
    if (p.direction == JAT_IN) {
        p.requester = a->from;
        p.session = a->new_to;
        shown = a->new_from;
    } else {
        p.requester = a->new_to;
        p.session = a->from;
        shown = a->to;
    }
    if (!jat_jid_split(p.requester, &p.user) ||
        !jat_jid_split(p.session, &p.endpoint) ||
        !jat_jid_split(shown, &p.shown) || p.shown.resource.n == 0)
        return JAT_EBADARG;
    *out = p;
    return JAT_OK;
}

/* Reading */

static char lower(char c)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz";

    if (c >= 'A' && c <= 'Z')
        return small[c - 'A'];
    return c;
}

static bool is_ascii(struct jat_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] & 0x80) != 0)
            return false;
    return true;
}

/* Equal, but for the case of ASCII letters. */
static bool is_alike(struct jat_str a, struct jat_str b)
{
    bool same = a.n == b.n;

    for (size_t i = 0; same && i < a.n; i++)
        same = lower(a.p[i]) == lower(b.p[i]);
    return same;
}

/* True if its prepared form is surely another one: nodeprep and nameprep do
 * nothing to ASCII but this. */
static bool is_other(struct jat_str part, struct jat_str prepared)
{
    return is_ascii(part) && !is_alike(part, prepared);
}

/* A JID that may be one of those (of an account: any resource of it). */
static enum jat_reading read_jid(struct jat_str text, const struct jat_jid *jid,
                                 struct jat_str full,
                                 const struct jat_jid *party,
                                 char room[JAT_JID_MAX], struct jat_str *out)
{
    *out = text;
    if (is_other(jid->server, party->server) ||
        is_other(jid->user, party->user))
        return JAT_NOBODYS;
    if (jat_str_eq(text, full) || jat_str_eq(text, party->bare))
        return JAT_READ;
    if (!is_ascii(jid->bare) || !jat_jid_is_plain(jid->resource))
        return JAT_UNREAD;
    memcpy(room, text.p, text.n);
    for (size_t i = 0; i < jid->bare.n; i++)
        room[i] = lower(text.p[i]);
    *out = jat_str(room, text.n);
    return JAT_READ;
}

/* A JID at P in plain that is nobody's, before anything is looked up: it is a
 * guess of who does not know U by his. */
static bool is_hidden(const struct jat_parties *p, struct jat_str resource)
{
    return jat_address_form(resource) == JAT_FORM_JID &&
           (p->direction == JAT_IN ||
            jat_address_form(p->shown.resource) != JAT_FORM_JID);
}

/* A resource of P. A JID in plain is U's, or nobody's. */
static enum jat_reading read_resource(const struct jat_parties *p,
                                      char room[JAT_JID_MAX],
                                      struct jat_str *resource)
{
    struct jat_jid jid;

    if (jat_address_form(*resource) != JAT_FORM_JID)
        return JAT_READ;
    if (is_hidden(p, *resource) || !jat_jid_split(*resource, &jid))
        return JAT_NOBODYS;
    return read_jid(*resource, &jid, p->requester, &p->user, room, resource);
}

/* Makes a resource of what is at P. False: it has none. */
static bool take_resource(const struct jat_jid *jid, struct jat_named *named)
{
    named->at_host = true;
    named->jid = jid->resource;
    return jid->resource.n > 0;
}

enum jat_reading jat_parties_read(const struct jat_parties *p,
                                  struct jat_str address,
                                  char room[JAT_JID_MAX],
                                  struct jat_named *named)
{
    bool in = p->direction == JAT_IN;
    const struct jat_jid *party = in ? &p->user : &p->endpoint;
    struct jat_jid jid;

    if (!jat_jid_split(address, &jid))
        return JAT_NOBODYS;
    if (is_alike(jid.server, p->j->host))
        return take_resource(&jid, named) ? read_resource(p, room, &named->jid)
                                          : JAT_NOBODYS;
    named->at_host = false;
    named->jid = address;
    /* perhaps P's, in another way to write it */
    if (!is_ascii(jid.server) && !jat_str_eq(jid.server, party->server))
        return JAT_UNREAD;
    return read_jid(address, &jid, in ? p->requester : p->session, party, room,
                    &named->jid);
}

bool jat_parties_prepared(const struct jat_parties *p, struct jat_str prepared,
                          struct jat_named *named)
{
    struct jat_jid jid;

    if (!jat_jid_split(prepared, &jid))
        return false;
    if (!named->at_host && jat_str_eq(jid.server, p->j->host))
        return take_resource(&jid, named);
    named->jid = prepared;
    return true;
}

/* Translating */

/* [node@]P/ */
static void add_host(const struct jat_parties *p, struct jat_buf *out)
{
    jat_buf_add(out, p->shown.bare);
    jat_buf_addc(out, '/');
}

/* A handle that the endpoint gets to know is one that it may write to. */
static enum jat_err remember(const struct jat_parties *p, struct jat_str handle)
{
    struct jat_recent *handles = p->j->handles;
    struct jat_stay stay = {
        .group = jat_shares_domain(p->j->shares, p->config, p->user.server),
        .now = p->now,
        .until = p->now + (uint64_t)p->config->contact_timeout};

    return jat_recent_put(handles, jat_recent_text(handles, handle),
                          p->user.bare, &stay, (size_t)p->config->max_contacts);
}

/* U's account, in the form in which the endpoint knows U himself. */
static enum jat_err show_account(const struct jat_parties *p,
                                 struct jat_buf *out)
{
    enum jat_form form = JAT_FORM_JID;
    enum jat_err err = JAT_OK;
    size_t start;

    add_host(p, out);
    start = out->n;
    if (jat_address_form(p->shown.resource) == JAT_FORM_JID)
        jat_buf_add(out, p->user.bare);
    else
        err = jat_address_seal(p->config->keyring, JAT_ROLE_REQUESTER,
                               p->user.bare, out, &form);
    if (err == JAT_OK && form == JAT_FORM_HANDLE)
        err = remember(p, jat_buf_str(out, jat_buf_since(out, start)));
    return err;
}

static enum jat_err show_user(const struct jat_parties *p, struct jat_str jid,
                              struct jat_buf *out)
{
    if (jat_str_eq(jid, p->requester)) {
        add_host(p, out);
        jat_buf_add(out, p->shown.resource);
        return JAT_OK;
    }
    return jat_str_eq(jid, p->user.bare) ? show_account(p, out) : JAT_ENOTFOUND;
}

static enum jat_err show_target(const struct jat_parties *p, struct jat_str jid,
                                struct jat_buf *out)
{
    enum jat_form form;

    if (!jat_str_eq(jat_jid_bare(jid), p->endpoint.bare))
        return JAT_ENOTFOUND;
    if (jid.n == p->endpoint.bare.n) {
        jat_buf_add(out, p->shown.bare);
        return JAT_OK;
    }
    add_host(p, out);
    return jat_address_seal(p->config->keyring, JAT_ROLE_ENDPOINT, jid, out,
                            &form);
}

/* The JID that a sealed address or a handle stands for, if it does in this
 * role. */
static enum jat_err open_as(const struct jat_parties *p, enum jat_role role,
                            struct jat_str resource, struct jat_buf *out)
{
    enum jat_role is = role;
    enum jat_err err = jat_open(p->j, resource, p->now, &is, out);

    return err == JAT_EUNOPENABLE || (err == JAT_OK && is != role)
               ? JAT_ENOTFOUND
               : err;
}

static enum jat_err open_endpoint(const struct jat_parties *p,
                                  struct jat_str resource, struct jat_buf *out)
{
    size_t start = out->n;
    struct jat_endpoint e;
    struct jat_str jid;
    enum jat_err err = open_as(p, JAT_ROLE_ENDPOINT, resource, out);

    if (err != JAT_OK)
        return err;
    jid = jat_buf_str(out, jat_buf_since(out, start));
    return jat_str_eq(jat_jid_bare(jid), p->endpoint.bare)
               ? jat_endpoints_find(p->j->endpoints, jid, JAT_NO_STRINGS, out,
                                    &e)
               : JAT_ENOTFOUND;
}

static enum jat_err open_user(const struct jat_parties *p,
                              struct jat_str resource, struct jat_buf *out)
{
    size_t start = out->n;
    enum jat_err err = JAT_OK;
    struct jat_str jid;

    if (is_hidden(p, resource))
        return JAT_ENOTFOUND;
    if (jat_str_eq(resource, p->shown.resource))
        jat_buf_add(out, p->requester);
    else if (jat_address_form(resource) == JAT_FORM_JID)
        jat_buf_add(out, resource);
    else
        err = open_as(p, JAT_ROLE_REQUESTER, resource, out);
    if (err != JAT_OK)
        return err;
    jid = jat_buf_str(out, jat_buf_since(out, start));
    return jat_str_eq(jid, p->requester) || jat_str_eq(jid, p->user.bare)
               ? JAT_OK
               : JAT_ENOTFOUND;
}

enum jat_err jat_parties_translate(const struct jat_parties *p,
                                   const struct jat_named *named,
                                   struct jat_buf *out)
{
    typedef enum jat_err translate_fn(const struct jat_parties *,
                                      struct jat_str, struct jat_buf *);
    static translate_fn *const how[2][2] = {
        [JAT_IN] = {show_user, open_endpoint},
        [JAT_OUT] = {show_target, open_user}};
    size_t start = out->n;
    enum jat_err err = how[p->direction][named->at_host](p, named->jid, out);

    if (out->failed)
        err = JAT_ENOMEM;
    if (err != JAT_OK)
        out->n = start;
    return err;
}
