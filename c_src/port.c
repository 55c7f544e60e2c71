/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The carrier as a program of its own: single terms by ei, instances of the
 * core by number, frames on standard input and output. What is called, and with
 * what, is in calls.h. All ei_* of the project live in this file.
 *
 *     mod_client_proxy_port ABI [check]
 *
 * A frame is four octets that say how many follow, and a term:
 *
 *     in     {Tag, Instance, Name, Arguments}        out     {Tag, Result}
 *
 * Tag is any number; answers come in the order of the calls. Instance is what
 * `new' returned, and no matter to new, derive_key and ping. The result of what
 * is no call is `badarg'. A frame without a tag, no memory for an answer, and a
 * reader that is gone end the program; so does the end of the input, which is
 * how it ends well. */
#include <ei.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"
#include "core/mem.h"
#include "core/xml.h"

#define FRAME_MAX (16U << 20) /* octets; mod_client_proxy_port_program, too */
#define HEAD 4U
#define CHUNK 65536U /* read, or written, at once where there is so much */
#define KEEP ((size_t)4 * CHUNK) /* of a buffer for what comes next */

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("mod_client_proxy_port: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint32_t big_endian(const char *p, unsigned octets)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < octets; i++)
        n = n << 8 | (unsigned char)p[i];
    return n;
}

/* Arguments */

struct args {
    const char *p;
    int at, n; /* octets: read, in all */
    int left;  /* terms of the tuple that we are in */
    int list;  /* elements of the last argument that are to come, ... */
    bool tail; /* ... and its end, which is a term of its own */
};

/* What ei reads in one go of a term of each kind: so many octets, the last
 * `count' of which (but for the sign of a big number) say how many follow. */
static const struct {
    char kind;
    unsigned char head, count_at, count;
} kinds[] = {
    {ERL_SMALL_INTEGER_EXT, 2, 0, 0},
    {ERL_INTEGER_EXT, 5, 0, 0},
    {ERL_SMALL_BIG_EXT, 3, 1, 1},
    {ERL_SMALL_ATOM_EXT, 2, 1, 1},
    {ERL_SMALL_ATOM_UTF8_EXT, 2, 1, 1},
    {ERL_ATOM_EXT, 3, 1, 2},
    {ERL_ATOM_UTF8_EXT, 3, 1, 2},
    {ERL_BINARY_EXT, 5, 1, 4},
    {ERL_SMALL_TUPLE_EXT, 2, 0, 0},
    {ERL_LARGE_TUPLE_EXT, 5, 0, 0},
    {ERL_LIST_EXT, 5, 0, 0},
    {ERL_NIL_EXT, 1, 0, 0},
};

/* Whether there is a next term that is of a kind that we know and whole: ei
 * does not look where the frame ends. */
static bool next(const struct args *in)
{
    const char *p = in->p + in->at;
    size_t left = (size_t)(in->n - in->at);

    if (in->left == 0 || left == 0)
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == *p)
            return left >= kinds[i].head &&
                   left - kinds[i].head >=
                       big_endian(p + kinds[i].count_at, kinds[i].count);
    return false;
}

static bool took(struct args *in)
{
    in->left--;
    return true;
}

static bool get_str(struct args *in, struct jat_str *s)
{
    unsigned offset;
    const char *p;
    size_t bits;

    /* ei reads the length before it looks at the kind */
    if (!next(in) || in->p[in->at] != ERL_BINARY_EXT ||
        ei_decode_bitstring(in->p, &in->at, &p, &offset, &bits) != 0)
        return false;
    *s = jat_str(p, bits / 8);
    return took(in);
}

static bool get_text(struct args *in, struct jat_str *s)
{
    return get_str(in, s);
}

static bool get_u64(struct args *in, uint64_t *n)
{
    EI_ULONGLONG x;

    if (!next(in) || ei_decode_ulonglong(in->p, &in->at, &x) != 0)
        return false;
    *n = x;
    return took(in);
}

static bool get_i64(struct args *in, int64_t *n)
{
    EI_LONGLONG x;

    if (!next(in) || ei_decode_longlong(in->p, &in->at, &x) != 0)
        return false;
    *n = x;
    return took(in);
}

static bool get_atom(struct args *in, unsigned first, unsigned n, unsigned *at)
{
    char name[MAXATOMLEN];
    int end = in->at;

    if (!next(in) || ei_decode_atom(in->p, &end, name) != 0)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(name, atom_name(first + i)) == 0) {
            *at = i;
            in->at = end;
            return took(in);
        }
    }
    return false;
}

static bool get_tuple(struct args *in, unsigned n)
{
    int end = in->at, arity;

    if (!next(in) || ei_decode_tuple_header(in->p, &end, &arity) != 0 ||
        arity != (int)n)
        return false;
    in->at = end;
    in->left = arity;
    return true;
}

static bool get_list(struct args *in)
{
    if (in->left != 1 || !next(in) ||
        ei_decode_list_header(in->p, &in->at, &in->list) != 0)
        return false;
    in->tail = in->list > 0;
    return took(in);
}

static bool get_more(struct args *in)
{
    int more = 0;

    in->left = 1;
    if (in->list > 0) {
        in->list--;
        return true;
    }
    if (in->tail && next(in) &&
        ei_decode_list_header(in->p, &in->at, &more) == 0 && more == 0)
        in->tail = false;
    in->left = 0;
    return false;
}

static bool get_end(struct args *in)
{
    return in->left == 0 && !in->tail && in->at == in->n;
}

/* Results */

struct answer {
    struct jat_buf *buf;
    int at; /* octets in buf */
};

/* The buffer, with room for n octets more. */
static char *room(struct answer *out, size_t n)
{
    out->buf->n = (size_t)out->at;
    if (n > FRAME_MAX || jat_buf_room(out->buf, n) == NULL)
        die("no memory for an answer");
    return out->buf->p;
}

static void put_str(struct answer *out, struct jat_str s)
{
    ei_encode_binary(room(out, s.n + 5), &out->at, s.n > 0 ? s.p : "",
                     (long)s.n);
}

static void put_u64(struct answer *out, uint64_t n)
{
    ei_encode_ulonglong(room(out, 11), &out->at, n);
}

static void put_i64(struct answer *out, int64_t n)
{
    ei_encode_longlong(room(out, 11), &out->at, n);
}

static void put_name(struct answer *out, const char *name)
{
    ei_encode_atom(room(out, MAXATOMLEN_UTF8 + 3), &out->at, name);
}

static void put_atom(struct answer *out, unsigned atom)
{
    put_name(out, atom_name(atom));
}

static void put_tuple(struct answer *out, unsigned n)
{
    ei_encode_tuple_header(room(out, 5), &out->at, (int)n);
}

static void put_list(struct answer *out, size_t n)
{
    if (n > 0)
        ei_encode_list_header(room(out, 5), &out->at, (int)n);
}

static void put_end(struct answer *out)
{
    ei_encode_empty_list(room(out, 1), &out->at);
}

/* Instances. No number is used twice: a caller may have one of the past. */

static struct instance {
    uint64_t number;
    struct jat *jat;
} * instances;
static size_t n_instances;

static struct instance *find(uint64_t number)
{
    for (size_t i = 0; i < n_instances; i++)
        if (instances[i].number == number)
            return &instances[i];
    return NULL;
}

static void add_instance(struct args *in, struct answer *out)
{
    static uint64_t last;
    struct instance *v =
        jat_realloc(instances, (n_instances + 1) * sizeof(*instances));
    enum jat_err err = v == NULL ? JAT_ENOMEM : JAT_OK;

    if (err == JAT_OK) {
        instances = v;
        err = call_new(in, &v[n_instances].jat);
    }
    if (err != JAT_OK) {
        put_error(out, err);
        return;
    }
    v[n_instances++].number = ++last;
    put_tuple(out, 2);
    put_atom(out, W_ok);
    put_u64(out, last);
}

static void remove_instance(struct instance *i)
{
    jat_instance_free(i->jat);
    *i = instances[--n_instances];
}

/* Frames */

static bool get_arguments(struct args *in)
{
    return next(in) && ei_decode_tuple_header(in->p, &in->at, &in->left) == 0;
}

/* Instance, Name, Arguments. False: no call. */
static bool call(struct args *in, struct answer *out)
{
    struct instance *i;
    uint64_t number;
    unsigned name;

    if (!get_u64(in, &number) || !get_atom(in, 0, W_CONDITION, &name) ||
        !get_arguments(in))
        return false;
    if (name == W_new) {
        add_instance(in, out);
        return true;
    }
    if (name == W_derive_key)
        return call_derive_key(in, out);
    if (name < CALL_COUNT)
        return (i = find(number)) != NULL && calls[name].run(i->jat, in, out);
    if (!get_end(in))
        return false;
    if (name == W_free && (i = find(number)) != NULL)
        remove_instance(i);
    else if (name != W_ping)
        return false;
    put_atom(out, W_ok);
    return true;
}

/* Appends the answer to the frame of n octets at p. */
static void answer(const char *p, size_t n, struct jat_buf *buf)
{
    struct args in = {.p = p, .n = (int)n, .left = 1};
    struct answer out = {buf, (int)(buf->n + HEAD)};
    size_t start = buf->n;
    uint64_t tag;
    int version;

    if (n == 0 || ei_decode_version(in.p, &in.at, &version) != 0 ||
        !get_tuple(&in, 4) || !get_u64(&in, &tag))
        die("a frame that is no call");
    ei_encode_version(room(&out, HEAD + 1), &out.at);
    put_tuple(&out, 2);
    put_u64(&out, tag);
    if (!call(&in, &out))
        put_atom(&out, W_badarg);
    buf->n = (size_t)out.at;
    n = buf->n - start - HEAD;
    for (unsigned i = 0; i < HEAD; i++)
        buf->p[start + i] = (char)(n >> (24 - 8 * i));
}

/* The length of the frame at p, its head included. Only n octets are there: if
 * they are not even the head, HEAD. */
static size_t frame_size(const char *p, size_t n)
{
    size_t length = n < HEAD ? 0 : big_endian(p, HEAD);

    if (length > FRAME_MAX)
        die("a frame of %zu octets", length);
    return HEAD + length;
}

/* False: the input has ended. */
static bool read_some(struct jat_buf *in, size_t max)
{
    ssize_t n;

    if (jat_buf_room(in, max) == NULL)
        die("no memory for a frame");
    do
        n = read(STDIN_FILENO, in->p + in->n, max);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        die("cannot read: %s", strerror(errno));
    in->n += (size_t)n;
    return n > 0;
}

static void write_all(int fd, struct jat_buf *out)
{
    for (size_t at = 0; at < out->n;) {
        ssize_t n = write(fd, out->p + at, out->n - at);
        if (n < 0 && errno != EINTR)
            die("cannot write: %s", strerror(errno));
        at += n < 0 ? 0 : (size_t)n;
    }
    jat_buf_reset(out, KEEP);
}

/* Answers to all that has come are written together. */
static void serve(int to)
{
    static struct jat_buf in, out;
    size_t size = HEAD;

    while (read_some(&in, size > in.n + CHUNK ? size - in.n : CHUNK)) {
        size_t at = 0;
        while (in.n - at >= (size = frame_size(in.p + at, in.n - at))) {
            answer(in.p + at + HEAD, size - HEAD, &out);
            at += size;
            if (out.n >= CHUNK)
                write_all(to, &out);
        }
        write_all(to, &out);
        memmove(in.p, in.p + at, in.n - at);
        in.n -= at;
        if (in.n == 0)
            jat_buf_reset(&in, KEEP);
    }
    if (in.n > 0)
        die("the input ends within a frame");
    jat_buf_fini(&in);
    jat_buf_fini(&out);
}

int main(int argc, char **argv)
{
    int to;

    if (argc < 2 || strtol(argv[1], NULL, 10) != JAT_ABI)
        die("this is ABI %d: the module and it are of different builds",
            JAT_ABI);
    if (argc > 2)
        return 0; /* it can be run, which is all that was asked */
    /* whatever else prints must not print into frames */
    to = dup(STDOUT_FILENO);
    if (to < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        die("no standard output: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN);
    jat_xml_init();
    serve(to);
    while (n_instances > 0)
        remove_instance(instances);
    jat_free(instances);
    return 0;
}
