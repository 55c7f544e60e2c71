/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The carrier in the VM: single terms by enif_*, instances of the core as
 * Erlang resources, loading. What is called, and with what, is in calls.h.
 *
 * Memory: an instance of the core belongs to an Erlang resource and goes when
 * the last reference to it is collected. Whatever a call returns is copied
 * into terms before it returns. */
#include <erl_nif.h>

#include "calls.h"
#include "core/xml.h"

/* A call with a text of more octets goes to a dirty scheduler. (The head of a
 * stanza is there already: mod_client_proxy_nif:handle/3.) */
#define LARGE 8192U

static ERL_NIF_TERM atoms[ATOM_COUNT];

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

/* Arguments */

struct args {
    ErlNifEnv *env;
    const ERL_NIF_TERM *next;
    int left;          /* how many there are at next */
    ERL_NIF_TERM list; /* the rest of the last argument, if that is a list */
    ERL_NIF_TERM head; /* its element that is read now */
    bool in_list;
    bool large; /* get_text: not on this scheduler */
};

static bool take(struct args *in)
{
    in->next++;
    in->left--;
    return true;
}

static bool get_str(struct args *in, struct jat_str *s)
{
    ErlNifBinary b;

    if (in->left == 0 || !enif_inspect_binary(in->env, *in->next, &b))
        return false;
    *s = jat_str((const char *)b.data, b.size);
    return take(in);
}

static bool get_text(struct args *in, struct jat_str *s)
{
    ErlNifBinary b;

    if (in->left == 0 || !enif_inspect_iolist_as_binary(in->env, *in->next, &b))
        return false;
    in->large =
        b.size > LARGE && enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER;
    if (in->large)
        return false;
    *s = jat_str((const char *)b.data, b.size);
    return take(in);
}

static bool get_u64(struct args *in, uint64_t *n)
{
    ErlNifUInt64 x;

    if (in->left == 0 || !enif_get_uint64(in->env, *in->next, &x))
        return false;
    *n = x;
    return take(in);
}

static bool get_i64(struct args *in, int64_t *n)
{
    ErlNifSInt64 x;

    if (in->left == 0 || !enif_get_int64(in->env, *in->next, &x))
        return false;
    *n = x;
    return take(in);
}

static bool get_atom(struct args *in, unsigned first, unsigned n, unsigned *at)
{
    for (unsigned i = 0; in->left > 0 && i < n; i++) {
        if (enif_is_identical(*in->next, atoms[first + i])) {
            *at = i;
            return take(in);
        }
    }
    return false;
}

static bool get_tuple(struct args *in, unsigned n)
{
    const ERL_NIF_TERM *v;
    int arity;

    if (in->left == 0 || !enif_get_tuple(in->env, *in->next, &arity, &v) ||
        arity != (int)n)
        return false;
    in->next = v;
    in->left = arity;
    return true;
}

static bool get_list(struct args *in)
{
    if (in->left != 1 || !enif_is_list(in->env, *in->next))
        return false;
    in->list = *in->next;
    in->in_list = true;
    return take(in);
}

static bool get_more(struct args *in)
{
    if (!enif_get_list_cell(in->env, in->list, &in->head, &in->list))
        return false;
    in->next = &in->head;
    in->left = 1;
    return true;
}

static bool get_end(struct args *in)
{
    return in->left == 0 &&
           (!in->in_list || enif_is_empty_list(in->env, in->list));
}

/* Results: terms can only be made of terms, so those of each tuple and list
 * that is not whole yet wait here. */

#define DEPTH 5  /* {done, [{fail, {U, S, R}}]}, and the result itself */
#define ARITY 13 /* of the largest tuple */

struct compound {
    bool list;
    unsigned n, arity;     /* of a tuple: elements that are there, and in all */
    ERL_NIF_TERM v[ARITY]; /* of a tuple: its elements so far; v[0]: a list so
                              far, in reverse */
};

struct answer {
    ErlNifEnv *env;
    int rows; /* elements of lists so far */
    struct compound *top;
    struct compound open[DEPTH]; /* the first one is for the result itself */
};

static void open_tuple(struct compound *c, unsigned arity)
{
    c->list = false;
    c->n = 0;
    c->arity = arity;
}

static void answer_init(struct answer *out, ErlNifEnv *env)
{
    out->env = env;
    out->rows = 0;
    out->top = out->open;
    open_tuple(out->top, 0);
}

/* The tuple on top is whole: it is an element of what is below. Not inlined, so
 * that put is short. */
__attribute__((noinline)) static void close_tuple(struct answer *out)
{
    struct compound *c = out->top;
    ERL_NIF_TERM term;

    do {
        term = enif_make_tuple_from_array(out->env, c->v, c->n);
        c--;
        if (c->list)
            c->v[0] = enif_make_list_cell(out->env, term, c->v[0]);
        else
            c->v[c->n++] = term;
    } while (!c->list && c->n == c->arity);
    out->top = c;
}

static void put(struct answer *out, ERL_NIF_TERM term)
{
    struct compound *c = out->top;

    c->v[c->n++] = term;
    if (c->n == c->arity)
        close_tuple(out);
}

static void put_str(struct answer *out, struct jat_str s)
{
    ERL_NIF_TERM term;
    unsigned char *p = enif_make_new_binary(out->env, s.n, &term);

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    put(out, term);
}

static void put_u64(struct answer *out, uint64_t n)
{
    put(out, enif_make_uint64(out->env, n));
}

static void put_i64(struct answer *out, int64_t n)
{
    put(out, enif_make_int64(out->env, n));
}

static void put_atom(struct answer *out, unsigned atom)
{
    put(out, atoms[atom]);
}

static void put_name(struct answer *out, const char *name)
{
    put(out, enif_make_atom(out->env, name));
}

static void put_tuple(struct answer *out, unsigned n)
{
    open_tuple(++out->top, n);
}

static void put_list(struct answer *out, size_t n)
{
    out->top++;
    out->top->list = true;
    out->top->v[0] = enif_make_list(out->env, 0);
    out->rows += (int)n;
}

static void put_end(struct answer *out)
{
    ERL_NIF_TERM list;

    (void)enif_make_reverse_list(out->env, out->top->v[0], &list);
    out->top--;
    put(out, list);
}

/* What Erlang calls */

static ERL_NIF_TERM new_nif(ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv)
{
    struct args in = {.env = env, .next = argv, .left = argc};
    struct answer out;
    struct instance *i;
    struct jat *jat;
    enum jat_err err = call_new(&in, &jat);

    answer_init(&out, env);
    if (err != JAT_OK) {
        put_error(&out, err);
    } else {
        i = enif_alloc_resource(instance_type, sizeof(*i));
        i->jat = jat;
        put_tuple(&out, 2);
        put_atom(&out, W_ok);
        put(&out, enif_make_resource(env, i));
        enif_release_resource(i);
    }
    return out.open->v[0];
}

static ERL_NIF_TERM derive_key_nif(ErlNifEnv *env, int argc,
                                   const ERL_NIF_TERM *argv)
{
    struct args in = {.env = env, .next = argv, .left = argc};
    struct answer out;

    answer_init(&out, env);
    return call_derive_key(&in, &out) ? out.open->v[0] : enif_make_badarg(env);
}

/* Instance, Name, Arguments. On a normal scheduler for what is usual. */
static ERL_NIF_TERM call_nif(ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv)
{
    struct args in = {.env = env, .next = argv + 1, .left = argc - 1};
    struct answer out;
    unsigned call;
    void *instance;
    int arity;

    if (!enif_get_resource(env, argv[0], instance_type, &instance) ||
        !get_atom(&in, 0, CALL_COUNT, &call) ||
        !enif_get_tuple(env, argv[2], &arity, &in.next))
        return enif_make_badarg(env);
    in.left = arity;
    answer_init(&out, env);
    if (!calls[call].run(((struct instance *)instance)->jat, &in, &out))
        return in.large ? enif_schedule_nif(env, "call_nif",
                                            ERL_NIF_DIRTY_JOB_CPU_BOUND,
                                            call_nif, argc, argv)
                        : enif_make_badarg(env);
    enif_consume_timeslice(env, calls[call].cost + out.rows / 8);
    return out.open->v[0];
}

#ifndef SOURCES_SUM
#define SOURCES_SUM "?"
#endif

/* The checksum of the C sources. */
static ERL_NIF_TERM loaded_nif(ErlNifEnv *env, int argc,
                               const ERL_NIF_TERM *argv)
{
    (void)argc;
    (void)argv;
    return enif_make_string(env, SOURCES_SUM, ERL_NIF_LATIN1);
}

/* Loading */

/* After an upgrade only instances of the same core (CORE_SUM) are taken over,
 * since another one may have other structures. Older ones stay with the library
 * that made them; calls with them are refused here. */
#ifndef CORE_SUM
#define CORE_SUM "?"
#endif
#define INSTANCE_TYPE "mod_client_proxy_" CORE_SUM

/* info: the ABI that the Erlang side was written for. */
static int load(ErlNifEnv *env, void **priv, ERL_NIF_TERM info)
{
    int flags = ERL_NIF_RT_CREATE | ERL_NIF_RT_TAKEOVER, abi;

    (void)priv;
    if (!enif_get_int(env, info, &abi) || abi != JAT_ABI)
        return 1;
    instance_type =
        enif_open_resource_type(env, NULL, INSTANCE_TYPE, instance_destroy,
                                (ErlNifResourceFlags)flags, NULL);
    if (instance_type == NULL)
        return 2;
    jat_xml_init();
    for (unsigned i = 0; i < ATOM_COUNT; i++)
        atoms[i] = enif_make_atom(env, atom_name(i));
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
    {"derive_key_nif", 2, derive_key_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
    {"call_nif", 3, call_nif, 0},
    {"call_dirty_nif", 3, call_nif, ERL_NIF_DIRTY_JOB_CPU_BOUND},
};

ERL_NIF_INIT(mod_client_proxy_nif, functions, load, NULL, upgrade, NULL)
