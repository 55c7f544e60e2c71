/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The port program, from outside: frames good and bad, in pieces and in crowds,
 * and how it ends. The program beside this one is the one that is run, with the
 * same sanitizers, or under the same valgrind. */
#include <ei.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "jat.h"

#define TEXT(x) TEXT1(x)
#define TEXT1(x) #x

static char program_path[4096];

/* A running program: its three streams, and what it is called by. */
struct program {
    pid_t pid;
    int in, out, err;
};

static struct program start(void)
{
    struct program p;
    int in[2], out[2], err[2];

    assert_int_equal(pipe(in) | pipe(out) | pipe(err), 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        for (int fd = 3; fd < 32; fd++)
            close(fd);
        execl(program_path, program_path, TEXT(JAT_ABI), (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    p.in = in[1];
    p.out = out[0];
    p.err = err[0];
    return p;
}

/* How it ended; `said' holds what it wrote to standard error. */
static char said[4096];

static int ended(struct program *p)
{
    size_t n = 0;
    ssize_t got;
    int status;

    if (p->in >= 0)
        close(p->in);
    while ((got = read(p->err, said + n, sizeof(said) - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    close(p->out);
    close(p->err);
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d: %s", WTERMSIG(status), said);
    return WEXITSTATUS(status);
}

/* The end of the input is how it ends well. */
static void stop(struct program *p)
{
    int status = ended(p);

    assert_string_equal(said, "");
    assert_int_equal(status, 0);
}

/* Frames */

struct frame {
    char p[4096];
    int n; /* octets, those of the length included */
};

static void whole(struct frame *f)
{
    unsigned length = (unsigned)f->n - 4;

    for (unsigned i = 0; i < 4; i++)
        f->p[i] = (char)(length >> (24 - 8 * i) & 255);
}

static struct frame call(uint64_t tag, uint64_t instance, const char *name,
                         int arity)
{
    struct frame f = {.n = 4};

    ei_encode_version(f.p, &f.n);
    ei_encode_tuple_header(f.p, &f.n, 4);
    ei_encode_ulonglong(f.p, &f.n, tag);
    ei_encode_ulonglong(f.p, &f.n, instance);
    ei_encode_atom(f.p, &f.n, name);
    ei_encode_tuple_header(f.p, &f.n, arity);
    whole(&f);
    return f;
}

static void binary(struct frame *f, const char *text)
{
    ei_encode_binary(f->p, &f->n, text, (long)strlen(text));
    whole(f);
}

static void number(struct frame *f, uint64_t n)
{
    ei_encode_ulonglong(f->p, &f->n, n);
    whole(f);
}

static void atom(struct frame *f, const char *name)
{
    ei_encode_atom(f->p, &f->n, name);
    whole(f);
}

static void option(struct frame *f, const char *name, const char *value)
{
    ei_encode_tuple_header(f->p, &f->n, 2);
    binary(f, name);
    binary(f, value);
}

static struct frame new_call(uint64_t tag)
{
    struct frame f = call(tag, 0, "new", 2);

    binary(&f, "123456789012345678901234");
    ei_encode_list_header(f.p, &f.n, 3);
    option(&f, "host", "proxy.example.org");
    option(&f, "targets", "svc@example.org");
    option(&f, "keys", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    ei_encode_empty_list(f.p, &f.n);
    whole(&f);
    return f;
}

static struct frame handle_call(uint64_t tag, const char *xml)
{
    struct frame f = call(tag, 1, "handle", 5);

    binary(&f, xml);
    number(&f, 0);
    binary(&f, "");
    number(&f, 0);
    number(&f, 0);
    return f;
}

static void write_octets(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);
        assert_true(wrote > 0);
        p += wrote;
        n -= (size_t)wrote;
    }
}

static void send_frame(struct program *p, const struct frame *f)
{
    write_octets(p->in, f->p, (size_t)f->n);
}

/* False: there is no more. */
static bool read_octets(int fd, char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

/* The answer of this tag; f->n is where its result begins. */
static struct frame answer(struct program *p, uint64_t tag)
{
    struct frame f = {.n = 4};
    EI_ULONGLONG got;
    uint32_t length = 0;
    int version, arity;

    assert_true(read_octets(p->out, f.p, 4));
    for (unsigned i = 0; i < 4; i++)
        length = length << 8 | (unsigned char)f.p[i];
    assert_in_range(length, 1, sizeof(f.p) - 4);
    assert_true(read_octets(p->out, f.p + 4, length));
    assert_int_equal(ei_decode_version(f.p, &f.n, &version), 0);
    assert_int_equal(ei_decode_tuple_header(f.p, &f.n, &arity), 0);
    assert_int_equal(arity, 2);
    assert_int_equal(ei_decode_ulonglong(f.p, &f.n, &got), 0);
    assert_int_equal(got, tag);
    return f;
}

/* The next term of an answer is this atom, perhaps as the first of a tuple. */
static void assert_word(struct frame *f, const char *word)
{
    char name[MAXATOMLEN];
    int arity;

    (void)ei_decode_tuple_header(f->p, &f->n, &arity);
    assert_int_equal(ei_decode_atom(f->p, &f->n, name), 0);
    assert_string_equal(name, word);
}

static void answered(struct program *p, uint64_t tag, const char *word)
{
    struct frame f = answer(p, tag);

    assert_word(&f, word);
}

static void ask(struct program *p, const struct frame *f, uint64_t tag,
                const char *word)
{
    send_frame(p, f);
    answered(p, tag, word);
}

/* A program with one instance, number 1, and one endpoint. */
static struct program started(void)
{
    struct program p = start();
    struct frame f = new_call(1);

    ask(&p, &f, 1, "ok");
    f = call(2, 1, "put_endpoint", 6);
    binary(&f, "svc@example.org/a");
    atom(&f, "none");
    number(&f, 0);
    atom(&f, "false");
    atom(&f, "false");
    number(&f, 0);
    ask(&p, &f, 2, "added");
    return p;
}

#define REQUEST                                                                \
    "<iq xmlns='jabber:client' type='get' id='1' from='u@example.net/r' "      \
    "to='proxy.example.org'><q xmlns='urn:x'/></iq>"
#define RESULT                                                                 \
    "<iq xmlns='jabber:client' type='result' id='1' from='svc@example.org/a' " \
    "to='proxy.example.org/u@example.net/r'/>"

static void an_exchange_passes(void **state)
{
    (void)state;
    struct program p = started();
    struct frame f = handle_call(3, REQUEST);
    ask(&p, &f, 3, "request");
    f = handle_call(4, RESULT);
    ask(&p, &f, 4, "answer");
    f = handle_call(5, RESULT);
    ask(&p, &f, 5, "drop");
    f = handle_call(6, "<not xml");
    ask(&p, &f, 6, "error");
    stop(&p);
}

static void instances_are_told_apart_and_no_number_is_used_twice(void **state)
{
    (void)state;
    struct program p = start();
    struct frame f;
    for (uint64_t i = 1; i <= 3; i++) {
        EI_ULONGLONG got;
        f = new_call(i);
        send_frame(&p, &f);
        f = answer(&p, i);
        assert_word(&f, "ok");
        assert_int_equal(ei_decode_ulonglong(f.p, &f.n, &got), 0);
        assert_int_equal(got, i);
        f = call(i, i, "free", 0);
        if (i != 2)
            ask(&p, &f, i, "ok");
    }
    for (uint64_t i = 0; i <= 4; i++) {
        f = call(i, i, "close_all", 1);
        number(&f, 0);
        ask(&p, &f, i, i == 2 ? "done" : "badarg");
    }
    stop(&p);
}

/* All written before any answer is read: more than the pipes hold, too. */
static void *write_many(void *arg)
{
    struct program *p = arg;
    static char crowd[400 * 4096];
    size_t n = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        struct frame f = call(i, 0, "ping", 0);
        memcpy(crowd + n, f.p, (size_t)f.n);
        n += (size_t)f.n;
    }
    write_octets(p->in, crowd, n);
    return NULL;
}

static void frames_that_come_together_are_answered_in_their_order(void **state)
{
    (void)state;
    struct program p = start();
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &p), 0);
    usleep(100000);
    for (uint64_t i = 0; i < 10000; i++)
        answered(&p, i, "ok");
    pthread_join(writer, NULL);
    stop(&p);
}

static void a_frame_may_come_in_any_pieces(void **state)
{
    (void)state;
    struct program p = started();
    struct frame f = handle_call(3, REQUEST);
    for (int i = 0; i < f.n; i++) {
        write_octets(p.in, f.p + i, 1);
        if (i % 16 == 0) {
            kill(p.pid, SIGSTOP);
            kill(p.pid, SIGCONT);
            usleep(1000);
        }
    }
    answered(&p, 3, "request");
    stop(&p);
}

static void a_large_frame_passes(void **state)
{
    (void)state;
    enum { LARGE = 1 << 20 };
    struct program p = started();
    struct frame f = call(3, 1, "handle", 5);
    char *text = calloc(1, LARGE);
    unsigned length = (unsigned)f.n - 4 + 5 + LARGE + 2 + 5 + 2 + 2;
    assert_non_null(text);
    for (unsigned i = 0; i < 4; i++)
        f.p[i] = (char)(length >> (24 - 8 * i) & 255);
    f.p[f.n++] = ERL_BINARY_EXT;
    for (unsigned i = 0; i < 4; i++)
        f.p[f.n++] = (char)(LARGE >> (24 - 8 * i) & 255);
    send_frame(&p, &f);
    write_octets(p.in, text, LARGE);
    free(text);
    f.n = 4;
    number(&f, 0);
    binary(&f, "");
    number(&f, 0);
    number(&f, 0);
    write_octets(p.in, f.p + 4, (size_t)f.n - 4);
    answered(&p, 3, "error");
    stop(&p);
}

/* The cap is 16 MB; nothing of it need come. */
static void a_frame_that_is_too_large_ends_it(void **state)
{
    (void)state;
    struct program p = start();
    write_octets(p.in, "\1\0\0\1", 4);
    assert_false(read_octets(p.out, said, 1));
    assert_int_equal(ended(&p), 1);
    assert_non_null(strstr(said, "16777217 octets"));
}

static void what_is_no_call_gets_badarg_under_its_tag(void **state)
{
    (void)state;
    struct program p = started();
    struct frame bad[12];
    size_t n = 0;
    bad[n++] = call(1, 1, "nothing", 0);
    bad[n++] = call(1, 1, "added", 0);
    bad[n++] = call(1, 7, "counters", 0);
    bad[n++] = call(1, 1, "expire", 0);
    bad[n] = call(1, 1, "expire", 2);
    number(&bad[n], 0);
    number(&bad[n++], 0);
    bad[n] = call(1, 1, "expire", 1);
    binary(&bad[n++], "now");
    bad[n] = call(1, 1, "expire", 1);
    number(&bad[n], 0);
    number(&bad[n++], 0);
    bad[n] = call(1, 1, "expire", 1);
    ei_encode_double(bad[n].p, &bad[n].n, 1.0);
    whole(&bad[n++]);
    bad[n] = call(1, 1, "expire", 1);
    ei_encode_longlong(bad[n].p, &bad[n].n, -1);
    whole(&bad[n++]);
    bad[n] = call(1, 1, "remove_endpoint", 1);
    ei_encode_bitstring(bad[n].p, &bad[n].n, "x", 0, 7);
    whole(&bad[n++]);
    bad[n] = call(1, 1, "abort", 3);
    number(&bad[n], 1);
    atom(&bad[n], "forbidden"); /* a condition, and no why */
    number(&bad[n++], 0);
    bad[n] = call(1, 1, "ping", 1);
    number(&bad[n++], 0);
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++)
        ask(&p, &bad[i], 1, "badarg");
    /* a configuration has a word for it */
    struct frame f = call(2, 1, "configure", 1);
    atom(&f, "none");
    ask(&p, &f, 2, "error");
    f = call(3, 1, "configure", 1);
    ei_encode_list_header(f.p, &f.n, 1);
    option(&f, "timeout", "soon");
    whole(&f);
    ask(&p, &f, 3, "error");
    f = call(4, 1, "counters", 0);
    send_frame(&p, &f);
    (void)answer(&p, 4);
    stop(&p);
}

/* What has a tag may be cut anywhere and have any octet in any place: it is
 * answered, and nothing that is not there is read (the sanitizers say so). */
static void any_octet_behind_the_tag_may_be_wrong(void **state)
{
    (void)state;
    struct program p = started();
    struct frame frames[] = {new_call(9), handle_call(9, REQUEST)};
    static const unsigned char octets[] = {0,   1,   127, 128, 255, 'a',
                                           'b', 'd', 'h', 'i', 'j', 'l',
                                           'm', 'n', 'o', 's', 'v', 'w'};
    /* length, version, tuple of four, tag */
    const int tagged = 4 + 1 + 2 + 2;
    for (size_t k = 0; k < 2; k++) {
        for (int at = tagged; at < frames[k].n; at++) {
            struct frame f = frames[k];
            f.n = at;
            whole(&f);
            send_frame(&p, &f);
            (void)answer(&p, 9);
            if (at % 3 != 0 && at > 40)
                continue;
            for (size_t i = 0; i < sizeof(octets); i++) {
                f = frames[k];
                f.p[at] = (char)octets[i];
                send_frame(&p, &f);
                (void)answer(&p, 9);
            }
        }
    }
    stop(&p);
}

static void a_frame_without_a_tag_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {{"\0\0\0\0", 4},
               {"\0\0\0\1x", 5},
               {"\0\0\0\1\203", 5},
               {"\0\0\0\3\203h\4", 7},
               {"\0\0\0\4\203h\4a", 8},
               {"\0\0\0\5\203h\3a\1", 9},
               {"\0\0\0\10\203h\4m\0\0\0\4", 12},
               {"\0\0\0\2\203j", 6}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct program p = start();
        write_octets(p.in, bad[i].p, bad[i].n);
        assert_false(read_octets(p.out, said, 1));
        assert_int_equal(ended(&p), 1);
        assert_non_null(strstr(said, "no call"));
    }
}

static void an_input_that_ends_within_a_frame_is_said(void **state)
{
    (void)state;
    struct program p = start();
    struct frame f = call(1, 0, "ping", 0);
    write_octets(p.in, f.p, (size_t)f.n - 1);
    assert_int_equal(ended(&p), 1);
    assert_non_null(strstr(said, "ends within"));
}

static void a_reader_that_is_gone_ends_it(void **state)
{
    (void)state;
    struct program p = start();
    struct frame f = call(1, 0, "ping", 0);
    close(p.out);
    send_frame(&p, &f);
    p.out = open("/dev/null", O_RDONLY);
    assert_int_equal(ended(&p), 1);
    assert_non_null(strstr(said, "cannot write"));
}

static void another_abi_is_refused(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        execl(program_path, program_path, "999", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_passes),
        cmocka_unit_test(instances_are_told_apart_and_no_number_is_used_twice),
        cmocka_unit_test(frames_that_come_together_are_answered_in_their_order),
        cmocka_unit_test(a_frame_may_come_in_any_pieces),
        cmocka_unit_test(a_large_frame_passes),
        cmocka_unit_test(a_frame_that_is_too_large_ends_it),
        cmocka_unit_test(what_is_no_call_gets_badarg_under_its_tag),
        cmocka_unit_test(any_octet_behind_the_tag_may_be_wrong),
        cmocka_unit_test(a_frame_without_a_tag_ends_it),
        cmocka_unit_test(an_input_that_ends_within_a_frame_is_said),
        cmocka_unit_test(a_reader_that_is_gone_ends_it),
        cmocka_unit_test(another_abi_is_refused),
    };
    const char *slash = strrchr(argv[0], '/');

    (void)argc;
    signal(SIGPIPE, SIG_IGN);
    snprintf(program_path, sizeof(program_path), "%.*s/port",
             slash == NULL ? 1 : (int)(slash - argv[0]),
             slash == NULL ? "." : argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
