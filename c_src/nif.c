/* The carrier in the VM: terms to C, one call of the core, C to terms. Nothing
 * is decided here. All enif_* of the project live in this file; the calls are
 * those of mod_client_proxy_core.erl, which documents the terms.
 *
 * Memory: an instance of the core belongs to an Erlang resource and goes when
 * the last reference to it is collected. Whatever a call returns is copied
 * into terms before it returns. */
#include <erl_nif.h>

#include "core/jat.h"
#include "core/stanza.h"

/* Records closed, or rows shown, in one call: far below a millisecond. */
#define BATCH 256U
#define ROWS 64U
#define SWEEP 4096U

#define ATOMS(X)                                                               \
    X(added)                                                                   \
    X(answer) X(ask) X(badarg) X(done) X(drop) X(endpoint) X(error) X(fail)    \
        X(false) X(forget) X(full) X(get) X(ignored) X(local) X(more) X(ok)    \
            X(outbound) X(reply) X(request) X(requester) X(retry) X(same)      \
                X(set) X(true) X(unknown) X(updated)

#define X(name) static ERL_NIF_TERM atom_##name;
ATOMS(X)
#undef X

static ERL_NIF_TERM condition_atoms[JAT_CONDITION_COUNT];
static ERL_NIF_TERM local_atoms[JAT_LOCAL_COUNT];
static ERL_NIF_TERM ask_atoms[JAT_ASK_COUNT];
static ERL_NIF_TERM reason_atoms[JAT_REASON_COUNT];
static ERL_NIF_TERM error_atoms[JAT_ERR_COUNT];
static ERL_NIF_TERM show_atoms[JAT_SHOW_COUNT];

static ErlNifResourceType *instance_type;

struct instance {
    struct jat *jat;
};

static void instance_destroy(ErlNifEnv *env, void *obj)
{
    struct instance *i = obj;

    (void)env;
    jat_instance_free(i->jat);
}

/* C to terms */

static ERL_NIF_TERM make_binary(ErlNifEnv *env, struct jat_str s)
{
    ERL_NIF_TERM term;
    unsigned char *p = enif_make_new_binary(env, s.n, &term);

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return term;
}

static ERL_NIF_TERM make_span(ErlNifEnv *env, const struct jat_buf *buf,
                              struct jat_span s)
{
    return make_binary(env, jat_buf_str(buf, s));
}

static ERL_NIF_TERM make_parts(ErlNifEnv *env, const struct jat_buf *buf,
                               const struct jat_parts *p)
{
    return enif_make_tuple3(env, make_span(env, buf, p->user),
                            make_span(env, buf, p->server),
                            make_span(env, buf, p->resource));
}

static ERL_NIF_TERM make_bool(bool b)
{
    return b ? atom_true : atom_false;
}

static ERL_NIF_TERM make_error(ErlNifEnv *env, enum jat_err err)
{
    return enif_make_tuple2(env, atom_error, error_atoms[err]);
}

static ERL_NIF_TERM make_decision(ErlNifEnv *env, const struct jat_buf *buf,
                                  const struct jat_decision *d)
{
    ERL_NIF_TERM from, to, id, record;

    switch (d->verb) {
    case JAT_DO_REPLY:
        return enif_make_tuple2(env, atom_reply, condition_atoms[d->condition]);
    case JAT_DO_LOCAL:
        return enif_make_tuple2(env, atom_local, local_atoms[d->detail]);
    case JAT_DO_DROP:
        return enif_make_tuple2(env, atom_drop, reason_atoms[d->detail]);
    case JAT_DO_ASK:
        return enif_make_tuple2(env, atom_ask,
                                enif_make_tuple2(env, ask_atoms[d->detail],
                                                 make_span(env, buf, d->text)));
    case JAT_DO_REQUEST:
    case JAT_DO_OUTBOUND:
    case JAT_DO_ANSWER:
        break;
    }
    from = make_parts(env, buf, &d->from);
    to = make_parts(env, buf, &d->to);
    id = d->new_id ? make_span(env, buf, d->id) : atom_same;
    record = enif_make_uint64(env, d->record);
    if (d->verb == JAT_DO_OUTBOUND)
        return enif_make_tuple5(env, atom_outbound, from, to, id, record);
    return enif_make_tuple6(
        env, d->verb == JAT_DO_REQUEST ? atom_request : atom_answer, from, to,
        id, record, make_bool(d->keep));
}

static ERL_NIF_TERM make_outcome(ErlNifEnv *env, const struct jat_buf *buf,
                                 const struct jat_outcome *o)
{
    ERL_NIF_TERM record = enif_make_uint64(env, o->record), from, to, id;

    if (o->fate == JAT_FATE_FORGET)
        return enif_make_tuple2(env, atom_forget, record);
    from = make_parts(env, buf, &o->from);
    to = make_parts(env, buf, &o->to);
    id = make_span(env, buf, o->id);
    if (o->fate == JAT_FATE_RETRY)
        return enif_make_tuple6(env, atom_retry, record, from, to, id,
                                enif_make_uint64(env, o->next));
    return enif_make_tuple7(env, atom_fail, record,
                            condition_atoms[o->condition], from, to, id,
                            make_bool(o->kept));
}

/* The list of outcomes; frees them. */
static ERL_NIF_TERM make_outcomes(ErlNifEnv *env, struct jat_outcomes *o)
{
    ERL_NIF_TERM list = enif_make_list(env, 0);

    for (size_t i = o->n; i > 0; i--)
        list = enif_make_list_cell(
            env, make_outcome(env, &o->text, &o->v[i - 1]), list);
    jat_outcomes_fini(o);
    return list;
}

/* Terms to C */

static bool get_instance(ErlNifEnv *env, ERL_NIF_TERM term, struct jat **j)
{
    void *obj;

    if (!enif_get_resource(env, term, instance_type, &obj))
        return false;
    *j = ((struct instance *)obj)->jat;
    return true;
}

static bool get_str(ErlNifEnv *env, ERL_NIF_TERM term, struct jat_str *s)
{
    ErlNifBinary b;

    if (!enif_inspect_binary(env, term, &b))
        return false;
    *s = jat_str((const char *)b.data, b.size);
    return true;
}

static bool get_u64(ErlNifEnv *env, ERL_NIF_TERM term, uint64_t *n)
{
    ErlNifUInt64 x;

    if (!enif_get_uint64(env, term, &x))
        return false;
    *n = x;
    return true;
}

/* The place of an atom in a table of them. */
static bool get_atom(ERL_NIF_TERM term, const ERL_NIF_TERM *table, unsigned n,
                     unsigned *at)
{
    for (unsigned i = 0; i < n; i++) {
        if (enif_is_identical(term, table[i])) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* One {Name, Value} of a configuration. */
static enum jat_err get_option(ErlNifEnv *env, ERL_NIF_TERM term,
                               struct jat_config *config)
{
    const ERL_NIF_TERM *pair;
    struct jat_str name, value;
    ErlNifSInt64 number;
    int arity;

    if (!enif_get_tuple(env, term, &arity, &pair) || arity != 2 ||
        !get_str(env, pair[0], &name))
        return JAT_EBADARG;
    if (enif_get_int64(env, pair[1], &number))
        return jat_config_int(config, name, number);
    if (get_str(env, pair[1], &value))
        return jat_config_str(config, name, value);
    return JAT_EBADARG;
}

static enum jat_err get_config(ErlNifEnv *env, ERL_NIF_TERM list,
                               struct jat_config **out)
{
    struct jat_config *config = jat_config_new();
    ERL_NIF_TERM head;
    enum jat_err err = config == NULL ? JAT_ENOMEM : JAT_OK;

    while (err == JAT_OK && enif_get_list_cell(env, list, &head, &list))
        err = get_option(env, head, config);
    if (err == JAT_OK && !enif_is_empty_list(env, list))
        err = JAT_EBADARG;
    if (err == JAT_OK)
        *out = config;
    else
        jat_config_free(config);
    return err;
}

/* The calls */

static ERL_NIF_TERM new_nif(ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv)
{
    struct jat_config *config;
    struct instance *i;
    struct jat_str seed;
    ERL_NIF_TERM term;
    struct jat *jat;
    enum jat_err err;

    (void)argc;
    if (!get_str(env, argv[1], &seed) || seed.n != 24)
        return enif_make_badarg(env);
    if ((err = get_config(env, argv[0], &config)) != JAT_OK)
        return make_error(env, err);
    err = jat_instance_new(config, (const unsigned char *)seed.p, &jat);
    if (err != JAT_OK) {
        jat_config_free(config);
        return make_error(env, err);
    }
    i = enif_alloc_resource(instance_type, sizeof(*i));
    i->jat = jat;
    term = enif_make_resource(env, i);
    enif_release_resource(i);
    return enif_make_tuple2(env, atom_ok, term);
}

static ERL_NIF_TERM configure_nif(ErlNifEnv *env, int argc,
                                  const ERL_NIF_TERM *argv)
{
    struct jat_config *config;
    struct jat *j;
    enum jat_err err;

    (void)argc;
    if (!get_instance(env, argv[0], &j))
        return enif_make_badarg(env);
    if ((err = get_config(env, argv[1], &config)) != JAT_OK)
        return make_error(env, err);
    err = jat_configure(j, config);
    if (err == JAT_OK)
        return atom_ok;
    jat_config_free(config);
    return make_error(env, err);
}

static ERL_NIF_TERM derive_key_nif(ErlNifEnv *env, int argc,
                                   const ERL_NIF_TERM *argv)
{
    unsigned char key[JAT_SEAL_KEY];
    struct jat_str secret, host;
    enum jat_err err;

    (void)argc;
    if (!get_str(env, argv[0], &secret) || !get_str(env, argv[1], &host))
        return enif_make_badarg(env);
    err = jat_seal_derive(secret, JAT_STR("mod_client_proxy"), host, key);
    if (err != JAT_OK)
        return make_error(env, err);
    return enif_make_tuple2(
        env, atom_ok,
        make_binary(env, jat_str((const char *)key, sizeof(key))));
}

/* On a normal scheduler for usual stanzas, on a dirty one for large ones: the
 * caller chooses by size. */
static ERL_NIF_TERM handle_nif(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM *argv)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str xml, prepared;
    struct jat_decision d;
    ERL_NIF_TERM term;
    struct jat *j;
    unsigned hints;
    uint64_t now;
    enum jat_err err;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_str(env, argv[1], &xml) ||
        !enif_get_uint(env, argv[2], &hints) ||
        !get_str(env, argv[3], &prepared) || !get_u64(env, argv[4], &now))
        return enif_make_badarg(env);
    err = jat_handle(j, xml, prepared, hints, now, &buf, &d);
    term = err == JAT_OK ? make_decision(env, &buf, &d) : make_error(env, err);
    jat_buf_fini(&buf);
    enif_consume_timeslice(env, 1);
    return term;
}

static ERL_NIF_TERM bounce_nif(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM *argv)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    uint64_t record, now;
    struct jat *j;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_u64(env, argv[1], &record) ||
        !get_u64(env, argv[3], &now))
        return enif_make_badarg(env);
    (void)jat_bounce(j, record, enif_is_identical(argv[2], atom_true), now,
                     &out);
    return make_outcomes(env, &out);
}

static ERL_NIF_TERM abort_nif(ErlNifEnv *env, int argc,
                              const ERL_NIF_TERM *argv)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    uint64_t record, now;
    unsigned condition;
    struct jat *j;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_u64(env, argv[1], &record) ||
        !get_atom(argv[2], condition_atoms, JAT_CONDITION_COUNT, &condition) ||
        !get_u64(env, argv[3], &now))
        return enif_make_badarg(env);
    (void)jat_abort(j, record, (enum jat_condition)condition, now, &out);
    return make_outcomes(env, &out);
}

typedef enum jat_err close_fn(struct jat *, uint64_t now, size_t max,
                              struct jat_outcomes *);

static ERL_NIF_TERM close_some(ErlNifEnv *env, const ERL_NIF_TERM *argv,
                               close_fn *fn)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    struct jat *j;
    uint64_t now;
    enum jat_err err;

    if (!get_instance(env, argv[0], &j) || !get_u64(env, argv[1], &now))
        return enif_make_badarg(env);
    err = fn(j, now, BATCH, &out);
    enif_consume_timeslice(env, 1 + (int)(out.n / 8));
    return enif_make_tuple2(env, err == JAT_OK ? atom_done : atom_more,
                            make_outcomes(env, &out));
}

static ERL_NIF_TERM expire_nif(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM *argv)
{
    (void)argc;
    return close_some(env, argv, jat_expire);
}

static ERL_NIF_TERM drain_nif(ErlNifEnv *env, int argc,
                              const ERL_NIF_TERM *argv)
{
    (void)argc;
    return close_some(env, argv, jat_drain);
}

static ERL_NIF_TERM sweep_nif(ErlNifEnv *env, int argc,
                              const ERL_NIF_TERM *argv)
{
    struct jat_outcomes out = JAT_OUTCOMES_INIT;
    uint64_t eid, cursor, now;
    ERL_NIF_TERM next;
    struct jat *j;
    enum jat_err err;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_u64(env, argv[1], &eid) ||
        !get_u64(env, argv[2], &cursor) || !get_u64(env, argv[3], &now))
        return enif_make_badarg(env);
    err = jat_sweep(j, eid, &cursor, now, SWEEP, &out);
    next = err == JAT_OK ? atom_done : enif_make_uint64(env, cursor);
    enif_consume_timeslice(env, 5);
    return enif_make_tuple2(env, next, make_outcomes(env, &out));
}

static ERL_NIF_TERM put_endpoint_nif(ErlNifEnv *env, int argc,
                                     const ERL_NIF_TERM *argv)
{
    struct jat_endpoint_state state;
    struct jat_str jid;
    struct jat *j;
    unsigned show;
    bool added;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_str(env, argv[1], &jid) ||
        !get_atom(argv[2], show_atoms, JAT_SHOW_COUNT, &show) ||
        !enif_get_int(env, argv[3], &state.priority))
        return enif_make_badarg(env);
    state.show = (enum jat_show)show;
    state.pending = enif_is_identical(argv[4], atom_true);
    switch ((int)jat_put_endpoint(j, jid, &state, &added)) {
    case JAT_OK:
        return added ? atom_added : atom_updated;
    case JAT_ENOTFOUND:
        return atom_ignored;
    case JAT_EFULL:
        return atom_full;
    case JAT_ENOMEM:
        return make_error(env, JAT_ENOMEM);
    default:
        return make_error(env, JAT_EBADARG);
    }
}

static ERL_NIF_TERM remove_endpoint_nif(ErlNifEnv *env, int argc,
                                        const ERL_NIF_TERM *argv)
{
    struct jat_str jid;
    struct jat *j;
    jat_eid eid;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_str(env, argv[1], &jid))
        return enif_make_badarg(env);
    if (jat_remove_endpoint(j, jid, &eid) != JAT_OK)
        return atom_unknown;
    return enif_make_tuple2(env, atom_ok, enif_make_uint64(env, eid));
}

static ERL_NIF_TERM make_endpoint(ErlNifEnv *env, const struct jat_buf *buf,
                                  const struct jat_endpoint *e)
{
    return enif_make_tuple(
        env, 10, make_span(env, buf, e->jid), make_span(env, buf, e->shown),
        show_atoms[e->state.show], enif_make_int(env, e->state.priority),
        make_bool(e->state.pending), make_bool(e->draining),
        enif_make_uint(env, e->requests), enif_make_uint(env, e->outbound),
        enif_make_uint64(env, e->answered), enif_make_uint64(env, e->failed));
}

static ERL_NIF_TERM endpoints_nif(ErlNifEnv *env, int argc,
                                  const ERL_NIF_TERM *argv)
{
    struct jat_buf buf = JAT_BUF_INIT;
    ERL_NIF_TERM rows = enif_make_list(env, 0), next = atom_done;
    struct jat_endpoint e;
    uint32_t cursor;
    struct jat *j;

    (void)argc;
    if (!get_instance(env, argv[0], &j) ||
        !enif_get_uint(env, argv[1], &cursor))
        return enif_make_badarg(env);
    for (unsigned i = 0; jat_next_endpoint(j, &cursor, &buf, &e) == JAT_OK;) {
        rows = enif_make_list_cell(env, make_endpoint(env, &buf, &e), rows);
        if (++i == ROWS) {
            next = enif_make_uint(env, cursor);
            break;
        }
    }
    jat_buf_fini(&buf);
    return enif_make_tuple2(env, next, rows);
}

static ERL_NIF_TERM make_pending(ErlNifEnv *env, const struct jat_buf *buf,
                                 const struct jat_pending *p)
{
    return enif_make_tuple(
        env, 8, p->outbound ? atom_outbound : atom_request,
        make_span(env, buf, p->user), make_span(env, buf, p->endpoint),
        make_span(env, buf, p->id), p->set ? atom_set : atom_get,
        enif_make_uint64(env, p->age), enif_make_uint64(env, p->left),
        enif_make_uint(env, p->tries));
}

static ERL_NIF_TERM pending_nif(ErlNifEnv *env, int argc,
                                const ERL_NIF_TERM *argv)
{
    struct jat_buf buf = JAT_BUF_INIT;
    ERL_NIF_TERM rows = enif_make_list(env, 0), next = atom_done;
    struct jat_pending p;
    uint64_t cursor, now;
    struct jat *j;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_u64(env, argv[1], &now) ||
        !get_u64(env, argv[2], &cursor))
        return enif_make_badarg(env);
    for (unsigned i = 0;
         jat_next_pending(j, &cursor, now, &buf, &p) == JAT_OK;) {
        rows = enif_make_list_cell(env, make_pending(env, &buf, &p), rows);
        if (++i == ROWS) {
            next = enif_make_uint64(env, cursor);
            break;
        }
    }
    jat_buf_fini(&buf);
    return enif_make_tuple2(env, next, rows);
}

static ERL_NIF_TERM counters_nif(ErlNifEnv *env, int argc,
                                 const ERL_NIF_TERM *argv)
{
    ERL_NIF_TERM list = enif_make_list(env, 0);
    const char *name;
    uint64_t value;
    struct jat *j;

    (void)argc;
    if (!get_instance(env, argv[0], &j))
        return enif_make_badarg(env);
    for (unsigned i = 0; jat_counter(j, i, &name, &value); i++)
        list =
            enif_make_list_cell(env,
                                enif_make_tuple2(env, enif_make_atom(env, name),
                                                 enif_make_uint64(env, value)),
                                list);
    return list;
}

static ERL_NIF_TERM open_nif(ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_str resource;
    ERL_NIF_TERM term;
    enum jat_role role;
    struct jat *j;
    uint64_t now;
    enum jat_err err;

    (void)argc;
    if (!get_instance(env, argv[0], &j) || !get_str(env, argv[1], &resource) ||
        !get_u64(env, argv[2], &now))
        return enif_make_badarg(env);
    err = jat_open(j, resource, now, &role, &buf);
    if (err == JAT_OK)
        term = enif_make_tuple3(env, atom_ok,
                                role == JAT_ROLE_REQUESTER ? atom_requester
                                                           : atom_endpoint,
                                make_binary(env, jat_str(buf.p, buf.n)));
    else
        term = make_error(env, err);
    jat_buf_fini(&buf);
    return term;
}

static ERL_NIF_TERM loaded_nif(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM *argv)
{
    (void)env;
    (void)argc;
    (void)argv;
    return atom_true;
}

/* Loading */

static void make_atoms(ErlNifEnv *env)
{
#define X(name) atom_##name = enif_make_atom(env, #name);
    ATOMS(X)
#undef X
    for (unsigned i = 0; i < JAT_CONDITION_COUNT; i++)
        condition_atoms[i] =
            enif_make_atom(env, jat_condition_name((enum jat_condition)i));
    for (unsigned i = 0; i < JAT_LOCAL_COUNT; i++)
        local_atoms[i] = enif_make_atom(env, jat_local_name(i));
    for (unsigned i = 0; i < JAT_ASK_COUNT; i++)
        ask_atoms[i] = enif_make_atom(env, jat_ask_name(i));
    for (unsigned i = 0; i < JAT_REASON_COUNT; i++)
        reason_atoms[i] = enif_make_atom(env, jat_reason_name(i));
    for (unsigned i = 0; i < JAT_ERR_COUNT; i++)
        error_atoms[i] = enif_make_atom(env, jat_err_name((enum jat_err)i));
    for (unsigned i = 0; i < JAT_SHOW_COUNT; i++)
        show_atoms[i] = enif_make_atom(env, jat_show_name((enum jat_show)i));
}

/* info: the ABI that the Erlang side was written for. */
static int load(ErlNifEnv *env, void **priv, ERL_NIF_TERM info)
{
    int flags = ERL_NIF_RT_CREATE | ERL_NIF_RT_TAKEOVER, abi;

    (void)priv;
    if (!enif_get_int(env, info, &abi) || abi != JAT_ABI)
        return 1;
    instance_type =
        enif_open_resource_type(env, NULL, "mod_client_proxy", instance_destroy,
                                (ErlNifResourceFlags)flags, NULL);
    if (instance_type == NULL)
        return 2;
    jat_stanza_init();
    make_atoms(env);
    return 0;
}

static int upgrade(ErlNifEnv *env, void **priv, void **old_priv,
                   ERL_NIF_TERM info)
{
    (void)old_priv;
    return load(env, priv, info);
}

static ErlNifFunc functions[] = {
    {"loaded", 0, loaded_nif, 0},
    {"new_nif", 2, new_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
    {"configure_nif", 2, configure_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
    {"derive_key_nif", 2, derive_key_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
    {"handle_nif", 5, handle_nif, 0},
    {"handle_dirty_nif", 5, handle_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
    {"bounce_nif", 4, bounce_nif, 0},
    {"abort_nif", 4, abort_nif, 0},
    {"expire_nif", 2, expire_nif, 0},
    {"drain_nif", 2, drain_nif, 0},
    {"sweep_nif", 4, sweep_nif, 0},
    {"put_endpoint_nif", 5, put_endpoint_nif, 0},
    {"remove_endpoint_nif", 2, remove_endpoint_nif, 0},
    {"endpoints_nif", 2, endpoints_nif, 0},
    {"pending_nif", 3, pending_nif, 0},
    {"counters_nif", 1, counters_nif, 0},
    {"open_nif", 3, open_nif, 0},
};

ERL_NIF_INIT(mod_client_proxy_nif, functions, load, NULL, upgrade, NULL)
