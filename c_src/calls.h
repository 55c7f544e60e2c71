/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The calls: arguments to C, one call of the core, its result to terms. nif.c
 * and port.c each include this file, once. Nothing is decided here or there. */
#ifndef CALLS_H
#define CALLS_H

#include "terms.h"

/* Records closed, or rows shown, in one call: far below a millisecond. */
#define BATCH 64U
#define ROWS 64U
#define SWEEP 1024U
/* Octets for the strings of a decision: enough for most. */
#define STRINGS 512U

/* What belongs to no instance */

/* Seed, Config. The carrier puts the reference to the instance into the result.
 */
static enum jat_err call_new(struct args *in, struct jat **out)
{
    struct jat_config *config;
    struct jat_str seed;
    enum jat_err err;

    if (!get_str(in, &seed) || seed.n != 24)
        return JAT_EBADARG;
    if ((err = get_config(in, &config)) != JAT_OK)
        return err;
    err = jat_instance_new(config, (const unsigned char *)seed.p, out);
    if (err != JAT_OK)
        jat_config_free(config);
    return err;
}

/* Secret, Host. */
static bool call_derive_key(struct args *in, struct answer *out)
{
    unsigned char key[JAT_SEAL_KEY];
    struct jat_str secret, host;
    enum jat_err err;

    if (!get_str(in, &secret) || !get_str(in, &host) || !get_end(in))
        return false;
    err = jat_seal_derive(secret, JAT_STR("mod_client_proxy"), host, key);
    if (err != JAT_OK) {
        put_error(out, err);
        return true;
    }
    put_tuple(out, 2);
    put_atom(out, W_ok);
    put_str(out, jat_str((const char *)key, sizeof(key)));
    return true;
}

/* The calls of an instance. False: the arguments are not what the call takes;
 * nothing was done, and nothing written. */

static bool call_handle(struct jat *j, struct args *in, struct answer *out)
{
    _Alignas(uint64_t) char room[STRINGS];
    struct jat_buf buf = jat_buf_lent(room, sizeof(room));
    struct jat_str xml, prepared;
    struct jat_decision d;
    unsigned hints, weight;
    uint64_t now;
    enum jat_err err;

    if (!get_text(in, &xml) || !get_uint(in, &hints) ||
        !get_str(in, &prepared) || !get_uint(in, &weight) ||
        !get_u64(in, &now) || !get_end(in))
        return false;
    err = jat_handle(j, xml, prepared, hints, weight, now, &buf, &d);
    if (err == JAT_OK)
        put_decision(out, &buf, &d);
    else
        put_error(out, err);
    jat_buf_fini(&buf);
    return true;
}

/* The strings of a list, the last argument. False: more than `max`, or
 * something else is in it. */
static bool get_strings(struct args *in, struct jat_str *v, size_t max,
                        size_t *n)
{
    if (!get_list(in))
        return false;
    for (*n = 0; get_more(in); ++*n)
        if (*n == max || !get_str(in, &v[*n]))
            return false;
    return get_end(in);
}

static bool call_translate(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_str prepared[JAT_MAX_ADDRESSES];
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_addresses a;
    struct jat_str xml;
    struct jat_edits edits;
    uint64_t now;
    size_t n;
    enum jat_err err;

    if (!get_text(in, &xml) || !get_str(in, &a.from) || !get_str(in, &a.to) ||
        !get_str(in, &a.new_from) || !get_str(in, &a.new_to) ||
        !get_u64(in, &now) || !get_strings(in, prepared, JAT_MAX_ADDRESSES, &n))
        return false;
    err = jat_payload_translate(j, &a, xml, prepared, n, now, &buf, &edits);
    if (err == JAT_OK)
        put_edits(out, &buf, &edits);
    else
        put_error(out, err);
    jat_buf_fini(&buf);
    return true;
}

/* What has become of the one record. An empty list: it was closed before. */
static bool closed_one(struct answer *out, enum jat_err err,
                       struct jat_outcomes *outcomes)
{
    if (err == JAT_OK || err == JAT_ENOTFOUND) {
        put_outcomes(out, outcomes);
    } else {
        put_error(out, err);
        jat_outcomes_fini(outcomes);
    }
    return true;
}

static bool call_bounce(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_outcomes outcomes = JAT_OUTCOMES_INIT;
    uint64_t record, now;
    unsigned how, weight;

    if (!get_u64(in, &record) || !get_atom(in, W_HOW, JAT_HOW_COUNT, &how) ||
        !get_uint(in, &weight) || !get_u64(in, &now) || !get_end(in))
        return false;
    return closed_one(
        out,
        jat_bounce_packet(j, record, (enum jat_how)how, weight, now, &outcomes),
        &outcomes);
}

static bool call_abort(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_outcomes outcomes = JAT_OUTCOMES_INIT;
    uint64_t record, now;
    unsigned why;

    if (!get_u64(in, &record) || !get_atom(in, W_WHY, JAT_WHY_COUNT, &why) ||
        !get_u64(in, &now) || !get_end(in))
        return false;
    return closed_one(out,
                      jat_abort(j, record, (enum jat_why)why, now, &outcomes),
                      &outcomes);
}

typedef enum jat_err close_fn(struct jat *, uint64_t now, size_t max,
                              struct jat_outcomes *);

static bool close_some(struct jat *j, struct args *in, struct answer *out,
                       close_fn *fn)
{
    struct jat_outcomes outcomes = JAT_OUTCOMES_INIT;
    uint64_t now;
    enum jat_err err;

    if (!get_u64(in, &now) || !get_end(in))
        return false;
    err = fn(j, now, BATCH, &outcomes);
    put_tuple(out, 2);
    put_atom(out, err != JAT_OK ? W_more : outcomes.soon ? W_soon : W_done);
    put_outcomes(out, &outcomes);
    return true;
}

static bool call_expire(struct jat *j, struct args *in, struct answer *out)
{
    return close_some(j, in, out, jat_expire);
}

static bool call_close_all(struct jat *j, struct args *in, struct answer *out)
{
    return close_some(j, in, out, jat_close_all);
}

static bool call_sweep(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_outcomes outcomes = JAT_OUTCOMES_INIT;
    uint64_t eid, cursor, now;
    enum jat_err err;

    if (!get_u64(in, &eid) || !get_u64(in, &cursor) || !get_u64(in, &now) ||
        !get_end(in))
        return false;
    err = jat_sweep(j, eid, &cursor, now, SWEEP, &outcomes);
    put_tuple(out, 2);
    if (err == JAT_OK)
        put_atom(out, W_done);
    else
        put_u64(out, cursor);
    put_outcomes(out, &outcomes);
    return true;
}

static bool call_put_endpoint(struct jat *j, struct args *in,
                              struct answer *out)
{
    struct jat_endpoint_state state;
    struct jat_str jid;
    unsigned show;
    uint64_t now;
    bool added;
    enum jat_err err;

    if (!get_str(in, &jid) || !get_atom(in, W_SHOW, JAT_SHOW_COUNT, &show) ||
        !get_int(in, &state.priority) || !get_bool(in, &state.pending) ||
        !get_bool(in, &state.drained) || !get_u64(in, &now) || !get_end(in))
        return false;
    state.show = (enum jat_show)show;
    err = jat_put_endpoint(j, jid, &state, now, &added);
    if (err == JAT_OK)
        put_atom(out, added ? W_added : W_updated);
    else if (err == JAT_ENOTFOUND)
        put_atom(out, W_ignored);
    else if (err == JAT_EFULL)
        put_atom(out, W_full);
    else
        put_error(out, err);
    return true;
}

static bool call_remove_endpoint(struct jat *j, struct args *in,
                                 struct answer *out)
{
    struct jat_str jid;
    jat_eid eid;

    if (!get_str(in, &jid) || !get_end(in))
        return false;
    if (jat_remove_endpoint(j, jid, &eid) != JAT_OK) {
        put_atom(out, W_unknown);
        return true;
    }
    put_tuple(out, 2);
    put_atom(out, W_ok);
    put_u64(out, eid);
    return true;
}

static bool call_endpoints(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_endpoint_row rows[ROWS];
    enum jat_err err = JAT_OK;
    uint32_t cursor;
    uint64_t now;
    unsigned n = 0;

    if (!get_u64(in, &now) || !get_uint(in, &cursor) || !get_end(in))
        return false;
    while (n < ROWS &&
           (err = jat_next_endpoint(j, &cursor, now, &buf, &rows[n])) == JAT_OK)
        n++;
    if (put_page(out, err, cursor, n)) {
        for (unsigned i = 0; i < n; i++)
            put_endpoint(out, &buf, &rows[i]);
        put_end(out);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_latency(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_latency_sum sum;
    struct jat_span counts;

    if (!get_end(in))
        return false;
    jat_latency(j, &sum);
    counts = jat_latency_text(&sum, &buf);
    if (buf.failed) {
        put_error(out, JAT_ENOMEM);
    } else {
        put_tuple(out, 2);
        put_u64(out, sum.ms);
        put_span(out, &buf, counts);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_latencies(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_times_row rows[ROWS];
    enum jat_err err = JAT_OK;
    uint32_t cursor;
    unsigned n = 0;

    if (!get_uint(in, &cursor) || !get_end(in))
        return false;
    while (n < ROWS &&
           (err = jat_next_latency(j, &cursor, &buf, &rows[n])) == JAT_OK)
        n++;
    if (put_page(out, err, cursor, n)) {
        for (unsigned i = 0; i < n; i++)
            put_times(out, &buf, &rows[i]);
        put_end(out);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_tick(struct jat *j, struct args *in, struct answer *out)
{
    uint64_t now;

    if (!get_u64(in, &now) || !get_end(in))
        return false;
    jat_tick(j, now);
    put_atom(out, W_ok);
    return true;
}

/* Those that are given are taken for pinged, so, unlike other rows, they are
 * given even where there is no memory for the next one: it comes again. */
static bool call_pings(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_ping rows[ROWS];
    enum jat_err err = JAT_OK;
    uint32_t cursor;
    uint64_t now;
    unsigned n = 0;

    if (!get_u64(in, &now) || !get_uint(in, &cursor) || !get_end(in))
        return false;
    while (n < ROWS &&
           (err = jat_next_ping(j, &cursor, now, &buf, &rows[n])) == JAT_OK)
        n++;
    (void)put_page(out, err == JAT_OK ? JAT_OK : JAT_ENOTFOUND, cursor, n);
    for (unsigned i = 0; i < n; i++)
        put_ping(out, &buf, &rows[i]);
    put_end(out);
    jat_buf_fini(&buf);
    return true;
}

static bool call_ponged(struct jat *j, struct args *in, struct answer *out)
{
    uint64_t eid, now;
    bool answered;

    if (!get_u64(in, &eid) || !get_bool(in, &answered) || !get_u64(in, &now) ||
        !get_end(in))
        return false;
    jat_ponged(j, eid, answered, now);
    put_atom(out, W_ok);
    return true;
}

static bool call_eject(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_str jid;
    uint64_t ms, now;

    if (!get_str(in, &jid) || !get_u64(in, &ms) || !get_u64(in, &now) ||
        !get_end(in))
        return false;
    put_bool(out, jat_eject(j, jid, ms, now));
    return true;
}

static bool call_pending(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_pending rows[ROWS];
    enum jat_err err = JAT_OK;
    uint64_t cursor, now;
    unsigned n = 0;

    if (!get_u64(in, &now) || !get_u64(in, &cursor) || !get_end(in))
        return false;
    while (n < ROWS &&
           (err = jat_next_pending(j, &cursor, now, &buf, &rows[n])) == JAT_OK)
        n++;
    if (put_page(out, err, cursor, n)) {
        for (unsigned i = 0; i < n; i++)
            put_pending(out, &buf, &rows[i]);
        put_end(out);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_counters(struct jat *j, struct args *in, struct answer *out)
{
    const char *name;
    uint64_t value;
    unsigned n = 0;

    if (!get_end(in))
        return false;
    while (jat_counter(j, n, &name, &value))
        n++;
    put_list(out, n);
    for (unsigned i = 0; jat_counter(j, i, &name, &value); i++) {
        put_tuple(out, 2);
        put_name(out, name);
        put_u64(out, value);
    }
    put_end(out);
    return true;
}

/* One row: how many kept keys, how many sessions. */
static bool call_stays(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_staying stay;
    struct jat_str jid;
    uint32_t cursor;
    uint64_t now;
    bool leave, more;

    if (!get_str(in, &jid) || !get_bool(in, &leave) || !get_u64(in, &now) ||
        !get_uint(in, &cursor) || !get_end(in))
        return false;
    more = jat_stay_with(j, jid, leave, now, &cursor, &stay);
    (void)put_page(out, more ? JAT_OK : JAT_ENOTFOUND, cursor, 1);
    put_tuple(out, 2);
    put_u64(out, stay.kept);
    put_u64(out, stay.sessions);
    put_end(out);
    return true;
}

static bool call_recall(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str question;
    struct jat_span known;
    unsigned what;
    uint64_t now;
    enum jat_err err;

    if (!get_atom(in, W_ASK, JAT_ASK_COUNT, &what) || !get_str(in, &question) ||
        !get_u64(in, &now) || !get_end(in))
        return false;
    err = jat_recall(j, (enum jat_ask)what, question, now, &buf, &known);
    if (err == JAT_OK) {
        put_tuple(out, 2);
        put_atom(out, W_ok);
        put_str(out, jat_buf_str(&buf, known));
    } else {
        put_error(out, err);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_learn(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_str question, known;
    unsigned what;
    uint64_t now;

    if (!get_atom(in, W_ASK, JAT_ASK_COUNT, &what) || !get_str(in, &question) ||
        !get_str(in, &known) || !get_u64(in, &now) || !get_end(in))
        return false;
    put_bool(out, jat_learn(j, (enum jat_ask)what, question, known, now));
    return true;
}

static bool call_open(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str resource;
    enum jat_role role;
    uint64_t now;
    enum jat_err err;

    if (!get_str(in, &resource) || !get_u64(in, &now) || !get_end(in))
        return false;
    err = jat_open(j, resource, now, &role, &buf);
    if (err == JAT_OK) {
        put_tuple(out, 3);
        put_atom(out, W_ok);
        put_atom(out, role == JAT_ROLE_REQUESTER ? W_requester : W_endpoint);
        put_str(out, jat_str(buf.p, buf.n));
    } else {
        put_error(out, err);
    }
    jat_buf_fini(&buf);
    return true;
}

static bool call_configure(struct jat *j, struct args *in, struct answer *out)
{
    struct jat_config *config;
    enum jat_err err = get_config(in, &config);

    if (err == JAT_OK) {
        err = jat_configure(j, config);
        if (err != JAT_OK)
            jat_config_free(config);
    }
    if (err == JAT_OK)
        put_atom(out, W_ok);
    else
        put_error(out, err);
    return true;
}

struct call {
    bool (*run)(struct jat *j, struct args *in, struct answer *out);
    int cost;
};

/* By the number of the atom that is the call's name. */
static const struct call calls[CALL_COUNT] = {
#define X(name, cost) {call_##name, cost},
    CALLS(X)
#undef X
};

#endif
