/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "outcome.h"

#include "address.h"
#include "mem.h"

void jat_outcomes_fini(struct jat_outcomes *o)
{
    jat_free(o->v);
    jat_buf_fini(&o->text);
    *o = (struct jat_outcomes)JAT_OUTCOMES_INIT;
}

struct jat_closing jat_closing_of(struct jat *j, uint64_t now,
                                  struct jat_outcomes *out)
{
    return (struct jat_closing){j,   atomic_load(&j->config),          now,
                                out, jat_buf_add(&out->text, j->host), 0};
}

enum jat_err jat_outcomes_reserve(struct jat_outcomes *out, size_t text)
{
    size_t cap = out->cap == 0 ? 16 : 2 * out->cap;
    struct jat_outcome *v;

    if (jat_buf_room(&out->text, text) == NULL)
        return JAT_ENOMEM;
    if (out->n < out->cap)
        return JAT_OK;
    v = jat_realloc(out->v, cap * sizeof(*v));
    if (v == NULL)
        return JAT_ENOMEM;
    out->v = v;
    out->cap = cap;
    return JAT_OK;
}

void jat_taken_note(struct jat_taken *t, const struct jat_buf *text)
{
    if (t->r.n_tried > 0)
        memcpy(t->tried, t->r.tried, t->r.n_tried * sizeof(*t->tried));
    t->r.tried = t->tried;
    t->user = jat_buf_span(text, t->r.user);
    t->shown = jat_buf_span(text, t->r.shown);
    t->asked = jat_buf_span(text, t->r.asked);
    t->id = jat_buf_span(text, t->r.id);
}

void jat_taken_look(struct jat_taken *t, const struct jat_buf *text)
{
    t->r.user = jat_buf_str(text, t->user);
    t->r.shown = jat_buf_str(text, t->shown);
    t->r.asked = jat_buf_str(text, t->asked);
    t->r.id = jat_buf_str(text, t->id);
}

/* The JID of an endpoint that is no longer in the table, opened from its
 * address `shown`. It may still be online and waiting (it has withdrawn, or
 * option `resources` does not name it now). False: the address was a handle, so
 * the JID is lost. */
static bool former(const struct jat_closing *c, struct jat_str shown,
                   struct jat_parts *out)
{
    struct jat_buf *text = &c->out->text;
    size_t at = text->n;
    struct jat_jid jid;

    if (jat_address_open(c->config->keyring, JAT_ROLE_ENDPOINT, shown, text) !=
        JAT_OK)
        return false;
    (void)jat_jid_split(jat_buf_str(text, jat_buf_since(text, at)), &jid);
    *out = jat_parts_cut(jat_buf_since(text, at), jat_jid_cut(&jid));
    return true;
}

/* Where the one who asked is: the requester, or the endpoint. False: nobody
 * knows any more. */
static bool asker(const struct jat_closing *c, const struct jat_taken *t,
                  struct jat_parts *out)
{
    struct jat_endpoint e;

    if (t->r.direction == JAT_IN) {
        *out = jat_parts_cut(t->user, t->r.user_cut);
        return true;
    }
    if (jat_endpoints_get(c->j->endpoints, t->r.eid, JAT_WITH_JID,
                          &c->out->text, &e) != JAT_OK)
        return former(c, t->r.shown, out);
    *out = jat_parts_cut(e.jid, e.cut);
    return true;
}

void jat_closing_ended(struct jat_closing *c, const struct jat_taken *t,
                       enum jat_end end)
{
    unsigned held = jat_endpoints_hold(c->j->endpoints);

    jat_shares_end(c->j->shares, &t->r, end, c->now);
    jat_endpoints_let_go(c->j->endpoints, held);
}

void jat_closing_fail(struct jat_closing *c, struct jat_taken *t,
                      enum jat_end end, enum jat_why why)
{
    struct jat_outcome *o = &c->out->v[c->out->n++];

    jat_taken_look(t, &c->out->text);
    jat_closing_ended(c, t, end);
    *o = (struct jat_outcome){.fate = JAT_FATE_FAIL,
                              .record = t->ref,
                              .why = why,
                              .kept = t->r.share.octets > 0,
                              .from = jat_parts_cut(t->asked, t->r.asked_cut),
                              .id = t->id};
    if (!asker(c, t, &o->to)) {
        o->fate = JAT_FATE_FORGET;
        jat_stats_add(&c->j->stats, JAT_STAT_forgotten);
    }
}

struct jat_request jat_taken_next(struct jat_taken *t)
{
    struct jat_request next = t->r;

    next.retries--;
    next.released = false;
    if (next.n_tried < JAT_MAX_TRIED)
        t->tried[next.n_tried++] = next.eid_hash; /* this one has had it */
    return next;
}

size_t jat_taken_more(const struct jat_taken *t)
{
    return JAT_JID_MAX + t->id.n + JAT_OURS_N + JAT_TAG_SEALED;
}

void jat_closing_goes_on(struct jat_closing *c, const struct jat_taken *t,
                         const struct jat_sent *sent,
                         const struct jat_buf *notes)
{
    struct jat_buf *text = &c->out->text;
    struct jat_span to =
        jat_buf_add(text, jat_buf_str(notes, sent->endpoint.jid));

    c->out->v[c->out->n++] = (struct jat_outcome){
        .fate = JAT_FATE_RETRY,
        .record = t->ref,
        .next = sent->put.ref,
        .kept = t->r.share.octets > 0,
        .from = {{t->asked.at, t->r.asked_cut.user_n}, c->host, t->shown},
        .to = jat_parts_cut(to, sent->endpoint.cut),
        .id = sent->put.id.n > 0
                  ? jat_buf_add(text, jat_buf_str(notes, sent->put.id))
                  : t->id};
}

void jat_closing_moved(struct jat_closing *c, const struct jat_taken *t,
                       const struct jat_sent *sent, const struct jat_buf *notes)
{
    jat_closing_ended(c, t, JAT_END_MOVED);
    jat_closing_goes_on(c, t, sent, notes);
    jat_stats_add(&c->j->stats, JAT_STAT_retries);
}
