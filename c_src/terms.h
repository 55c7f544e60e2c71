/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The terms that cross between Erlang and C; mod_client_proxy_core.erl
 * documents them. Written once, for both carriers: each brings what is declared
 * first, which reads or writes one term at a time, and gets the core's structs.
 */
#ifndef TERMS_H
#define TERMS_H

#include <limits.h>

#include "core/jat.h"
#include "core/payload.h"
#include "core/rules.h"

/* What a carrier brings */

/* The arguments of a call, read in their order. Each get: false where the next
 * one is something else (it is the next one still). Strings are borrowed for
 * the call. */
struct args;
static bool get_str(struct args *in, struct jat_str *s);
/* The same, but it may be large, and, in the VM, an iolist. */
static bool get_text(struct args *in, struct jat_str *s);
static bool get_u64(struct args *in, uint64_t *n);
static bool get_i64(struct args *in, int64_t *n);
/* One of n atoms; *at counts from the first of them. */
static bool get_atom(struct args *in, unsigned first, unsigned n, unsigned *at);
/* Into a tuple of n elements, which are the next ones then. */
static bool get_tuple(struct args *in, unsigned n);
/* Into a list, which must be the last argument; then get_more before each
 * element until it is false. */
static bool get_list(struct args *in);
static bool get_more(struct args *in);
/* There is nothing more (and the list was a proper one). */
static bool get_end(struct args *in);

/* The result, written in prefix order: put_tuple is followed by its n elements,
 * put_list by n tuples and put_end. */
struct answer;
static void put_str(struct answer *out, struct jat_str s);
static void put_u64(struct answer *out, uint64_t n);
static void put_i64(struct answer *out, int64_t n);
static void put_atom(struct answer *out, unsigned atom);
/* An atom that is not in the table below. */
static void put_name(struct answer *out, const char *name);
static void put_tuple(struct answer *out, unsigned n);
static void put_list(struct answer *out, size_t n);
static void put_end(struct answer *out);

/* The calls, the most frequent one first, and how many hundredths of a
 * millisecond they take at least. */
#define CALLS(X)                                                               \
    X(handle, 1)                                                               \
    X(translate, 1)                                                            \
    X(bounce, 1)                                                               \
    X(abort, 1)                                                                \
    X(open, 1)                                                                 \
    X(which_rule, 1)                                                           \
    X(recall, 1)                                                               \
    X(learn, 1)                                                                \
    X(expire, 1)                                                               \
    X(close_all, 1)                                                            \
    X(sweep, 1)                                                                \
    X(put_endpoint, 1)                                                         \
    X(remove_endpoint, 1)                                                      \
    X(endpoints, 1)                                                            \
    X(pending, 1)                                                              \
    X(tick, 1)                                                                 \
    X(pings, 1)                                                                \
    X(ponged, 1)                                                               \
    X(eject, 1)                                                                \
    X(latency, 1)                                                              \
    X(latencies, 1)                                                            \
    X(counters, 1)                                                             \
    X(stays, 1)                                                                \
    X(shown, 1)                                                                \
    X(configure, 5)

/* clang-format off */
#define WORDS(X)                                                               \
    X(added) X(answer) X(ask) X(done) X(drop) X(elsewhere) X(endpoint)         \
    X(error) X(fail) X(false) X(forget) X(full) X(get) X(hold) X(ignored)      \
    X(local) X(more) X(ok) X(in) X(out) X(outbound) X(pass) X(release)         \
    X(reply) X(request) X(requester) X(retry) X(same) X(set) X(soon) X(text)   \
    X(true) X(unavailable) X(unknown) X(updated)                               \
    /* the port program's own */                                               \
    X(badarg) X(derive_key) X(free) X(new) X(ping)
/* clang-format on */

/* Every atom: the calls, the words, then those of the core's enumerations. */
enum {
#define X(name, cost) CALL_##name,
    CALLS(X)
#undef X
        CALL_COUNT,
    FIRST_WORD = CALL_COUNT - 1,
#define X(name) W_##name,
    WORDS(X)
#undef X
        W_CONDITION,
    W_WHY = W_CONDITION + JAT_CONDITION_COUNT,
    W_HOW = W_WHY + JAT_WHY_COUNT,
    W_LOCAL = W_HOW + JAT_HOW_COUNT,
    W_ASK = W_LOCAL + JAT_LOCAL_COUNT,
    W_REASON = W_ASK + JAT_ASK_COUNT,
    W_ERR = W_REASON + JAT_REASON_COUNT,
    W_SHOW = W_ERR + JAT_ERR_COUNT,
    ATOM_COUNT = W_SHOW + JAT_SHOW_COUNT
};

static const char *atom_name(unsigned atom)
{
    static const char *const names[] = {
#define X(name, cost) #name,
        CALLS(X)
#undef X
#define X(name) #name,
            WORDS(X)
#undef X
    };

    if (atom >= W_SHOW)
        return jat_show_name((enum jat_show)(atom - W_SHOW));
    if (atom >= W_ERR)
        return jat_err_name((enum jat_err)(atom - W_ERR));
    if (atom >= W_REASON)
        return jat_reason_name(atom - W_REASON);
    if (atom >= W_ASK)
        return jat_ask_name(atom - W_ASK);
    if (atom >= W_LOCAL)
        return jat_local_name(atom - W_LOCAL);
    if (atom >= W_HOW)
        return jat_how_name(atom - W_HOW);
    if (atom >= W_WHY)
        return jat_why_name((enum jat_why)(atom - W_WHY));
    if (atom >= W_CONDITION)
        return jat_condition_name((enum jat_condition)(atom - W_CONDITION));
    return names[atom];
}

/* C to terms */

static void put_span(struct answer *out, const struct jat_buf *buf,
                     struct jat_span s)
{
    put_str(out, jat_buf_str(buf, s));
}

static void put_parts(struct answer *out, const struct jat_buf *buf,
                      const struct jat_parts *p)
{
    put_tuple(out, 3);
    put_span(out, buf, p->user);
    put_span(out, buf, p->server);
    put_span(out, buf, p->resource);
}

static void put_bool(struct answer *out, bool b)
{
    put_atom(out, b ? W_true : W_false);
}

static void put_error(struct answer *out, enum jat_err err)
{
    put_tuple(out, 2);
    put_atom(out, W_error);
    put_atom(out, W_ERR + err);
}

/* {Verb, Detail}, both atoms. */
static void put_pair(struct answer *out, unsigned verb, unsigned detail)
{
    put_tuple(out, 2);
    put_atom(out, verb);
    put_atom(out, detail);
}

/* The decision to forward. */
static void put_forward(struct answer *out, const struct jat_buf *buf,
                        const struct jat_forward *f)
{
    bool is_outbound = !f->answer && f->direction == JAT_OUT;

    put_tuple(out, is_outbound ? 5 : 6);
    put_atom(out, f->answer ? W_answer : is_outbound ? W_outbound : W_request);
    put_parts(out, buf, &f->from);
    put_parts(out, buf, &f->to);
    if (f->new_id)
        put_span(out, buf, f->id);
    else
        put_atom(out, W_same);
    put_u64(out, f->record);
    if (!is_outbound)
        put_bool(out, f->keep);
}

static void put_pass(struct answer *out, const struct jat_buf *buf,
                     const struct jat_pass *p)
{
    put_tuple(out, 4);
    put_atom(out, W_pass);
    put_atom(out, p->direction == JAT_IN ? W_in : W_out);
    put_parts(out, buf, &p->from);
    put_parts(out, buf, &p->to);
}

static void put_decision(struct answer *out, const struct jat_buf *buf,
                         const struct jat_decision *d)
{
    switch (d->verb) {
    case JAT_DO_FORWARD:
        put_forward(out, buf, &d->forward);
        break;
    case JAT_DO_HOLD:
        put_tuple(out, 2);
        put_atom(out, W_hold);
        put_u64(out, d->record);
        break;
    case JAT_DO_PASS:
        put_pass(out, buf, &d->pass);
        break;
    case JAT_DO_REFUSE:
        put_tuple(out, 3);
        put_atom(out, W_reply);
        put_atom(out, W_CONDITION + jat_why_condition(d->why));
        put_atom(out, W_WHY + d->why);
        break;
    case JAT_DO_LOCAL:
        put_pair(out, W_local, W_LOCAL + d->local);
        break;
    case JAT_DO_DROP:
        put_pair(out, W_drop, W_REASON + d->reason);
        break;
    case JAT_DO_ELSEWHERE:
        put_tuple(out, 2);
        put_atom(out, W_elsewhere);
        put_str(out, jat_str(d->tag, sizeof(d->tag)));
        break;
    case JAT_DO_ASK:
        put_tuple(out, 2);
        put_atom(out, W_ask);
        put_tuple(out, 2);
        put_atom(out, W_ASK + d->ask.what);
        put_span(out, buf, d->ask.about);
        break;
    case JAT_VERB_COUNT:
        break;
    }
}

/* The words of a rule: empty where it has none. */
static void put_words(struct answer *out, const struct jat_rule_words *w)
{
    const char *const words[] = {w->stanza, w->to, w->says};

    put_tuple(out, 3);
    for (unsigned i = 0; i < 3; i++)
        put_str(out, words[i] == NULL ? jat_str(NULL, 0)
                                      : jat_str(words[i], strlen(words[i])));
}

/* What is to be edited, or, one by one, what is to be prepared. */
static void put_edits(struct answer *out, const struct jat_buf *buf,
                      const struct jat_edits *edits)
{
    if (edits->n == 0) {
        put_atom(out, W_same);
        return;
    }
    put_tuple(out, 2);
    put_atom(out, edits->ask ? W_ask : W_ok);
    put_list(out, edits->n);
    for (uint32_t i = 0; i < edits->n; i++) {
        const struct jat_edit *e = &edits->v[i];

        put_tuple(out, edits->ask ? 1 : 3);
        if (!edits->ask) {
            put_u64(out, e->element);
            if (e->attribute.n > 0)
                put_str(out, e->attribute);
            else
                put_atom(out, W_text);
        }
        put_span(out, buf, e->value);
    }
    put_end(out);
}

static void put_outcome(struct answer *out, const struct jat_buf *buf,
                        const struct jat_outcome *o)
{
    switch (o->fate) {
    case JAT_FATE_FORGET:
        put_tuple(out, 2);
        put_atom(out, W_forget);
        put_u64(out, o->record);
        return;
    case JAT_FATE_UNAVAILABLE:
        put_tuple(out, 3);
        put_atom(out, W_unavailable);
        put_parts(out, buf, &o->from);
        put_parts(out, buf, &o->to);
        return;
    case JAT_FATE_HOLD:
        put_tuple(out, 3);
        put_atom(out, W_hold);
        put_u64(out, o->record);
        put_u64(out, o->next);
        return;
    case JAT_FATE_RETRY:
        put_tuple(out, 6);
        put_atom(out, W_retry);
        put_u64(out, o->record);
        break;
    case JAT_FATE_RELEASE:
        put_tuple(out, 7);
        put_atom(out, W_release);
        put_u64(out, o->record);
        break;
    case JAT_FATE_FAIL:
        put_tuple(out, 8);
        put_atom(out, W_fail);
        put_u64(out, o->record);
        put_atom(out, W_CONDITION + jat_why_condition(o->why));
        put_atom(out, W_WHY + o->why);
        break;
    }
    put_parts(out, buf, &o->from);
    put_parts(out, buf, &o->to);
    put_span(out, buf, o->id);
    if (o->fate != JAT_FATE_FAIL)
        put_u64(out, o->next);
    if (o->fate != JAT_FATE_RETRY)
        put_bool(out, o->kept);
}

/* Frees them. */
static void put_outcomes(struct answer *out, struct jat_outcomes *o)
{
    put_list(out, o->n);
    for (size_t i = 0; i < o->n; i++)
        put_outcome(out, &o->text, &o->v[i]);
    put_end(out);
    jat_outcomes_fini(o);
}

static void put_endpoint(struct answer *out, const struct jat_buf *buf,
                         const struct jat_endpoint_row *e)
{
    put_tuple(out, 15);
    put_span(out, buf, e->is.jid);
    put_span(out, buf, e->is.shown);
    put_atom(out, W_SHOW + e->state.show);
    put_i64(out, e->state.priority);
    put_bool(out, e->state.pending);
    put_u64(out, e->draining);
    put_u64(out, e->requests);
    put_u64(out, e->outbound);
    put_u64(out, e->answered);
    put_u64(out, e->failed);
    put_u64(out, e->latency);
    put_u64(out, e->ejected);
    put_u64(out, e->weight);
    put_u64(out, e->age);
    put_u64(out, e->ejections);
}

static void put_times(struct answer *out, const struct jat_buf *buf,
                      const struct jat_times_row *r)
{
    put_tuple(out, 3);
    put_span(out, buf, r->jid);
    put_u64(out, r->ms);
    put_span(out, buf, r->counts);
}

static void put_ping(struct answer *out, const struct jat_buf *buf,
                     const struct jat_ping *p)
{
    put_tuple(out, 3);
    put_u64(out, p->eid);
    put_span(out, buf, p->jid);
    put_u64(out, p->ejected);
}

static void put_pending(struct answer *out, const struct jat_buf *buf,
                        const struct jat_pending *p)
{
    put_tuple(out, 8);
    put_atom(out, p->direction == JAT_OUT ? W_outbound : W_request);
    put_span(out, buf, p->user);
    put_span(out, buf, p->endpoint);
    put_span(out, buf, p->id);
    put_atom(out, p->set ? W_set : W_get);
    put_u64(out, p->age);
    put_u64(out, p->left);
    put_u64(out, p->tries);
}

/* Begins {Next, Rows}: Next is the cursor of the next call, or `done'; n rows
 * follow. err: what the last look for a row has returned. False: an error,
 * which was put instead; no rows follow, for a part would look like all. */
static bool put_page(struct answer *out, enum jat_err err, uint64_t cursor,
                     unsigned n)
{
    if (err != JAT_OK && err != JAT_ENOTFOUND) {
        put_error(out, err);
        return false;
    }
    put_tuple(out, 2);
    if (err == JAT_OK)
        put_u64(out, cursor);
    else
        put_atom(out, W_done);
    put_list(out, n);
    return true;
}

/* Terms to C */

static bool get_uint(struct args *in, unsigned *n)
{
    uint64_t x;

    if (!get_u64(in, &x) || x > UINT_MAX)
        return false;
    *n = (unsigned)x;
    return true;
}

static bool get_int(struct args *in, int *n)
{
    int64_t x;

    if (!get_i64(in, &x) || x < INT_MIN || x > INT_MAX)
        return false;
    *n = (int)x;
    return true;
}

static bool get_bool(struct args *in, bool *b)
{
    unsigned at;

    *b = get_atom(in, W_true, 1, &at);
    return *b || get_atom(in, W_false, 1, &at);
}

/* One {Name, Value} of a configuration. */
static enum jat_err get_option(struct args *in, struct jat_config *config)
{
    struct jat_str name, value;
    int64_t number;

    if (!get_tuple(in, 2) || !get_str(in, &name))
        return JAT_EBADARG;
    if (get_i64(in, &number))
        return jat_config_int(config, name, number);
    if (get_str(in, &value))
        return jat_config_str(config, name, value);
    return JAT_EBADARG;
}

/* A list of options, the last argument. */
static enum jat_err get_config(struct args *in, struct jat_config **out)
{
    struct jat_config *config = jat_config_new();
    enum jat_err err = config == NULL ? JAT_ENOMEM : JAT_OK;

    if (err == JAT_OK && !get_list(in))
        err = JAT_EBADARG;
    while (err == JAT_OK && get_more(in))
        err = get_option(in, config);
    if (err == JAT_OK && !get_end(in))
        err = JAT_EBADARG;
    if (err == JAT_OK)
        *out = config;
    else
        jat_config_free(config);
    return err;
}

#endif
