/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What calls.h makes of want of memory. The carrier here is neither of the two:
 * arguments are numbers and words in a row, and the answer is a text. */
/* first: its calls are what they are, see scarce.h */
#include <inttypes.h>

#include "../../c_src/calls.h"

#include "tables.h"
#include "xml.h"

struct args {
    const uint64_t *v;
    size_t n;
};

struct answer {
    char text[1 << 16];
};

static bool next(struct args *in, uint64_t *n)
{
    if (in->n == 0)
        return false;
    *n = *in->v++;
    in->n--;
    return true;
}

static bool get_u64(struct args *in, uint64_t *n)
{
    return next(in, n);
}

static bool get_i64(struct args *in, int64_t *n)
{
    uint64_t x;
    bool got = next(in, &x);
    *n = got ? (int64_t)x : 0;
    return got;
}

static bool get_atom(struct args *in, unsigned first, unsigned n, unsigned *at)
{
    uint64_t atom;
    if (!next(in, &atom) || atom < first || atom - first >= n)
        return false;
    *at = (unsigned)atom - first;
    return true;
}

/* No text of a call that is tested here says anything. */
static bool get_str(struct args *in, struct jat_str *s)
{
    (void)in;
    (void)call_new;
    (void)call_derive_key;
    *s = JAT_STR("");
    return true;
}

static bool get_text(struct args *in, struct jat_str *s)
{
    return get_str(in, s);
}

static bool get_tuple(struct args *in, unsigned n)
{
    (void)in;
    (void)n;
    return false;
}

static bool get_list(struct args *in)
{
    (void)in;
    return false;
}

static bool get_more(struct args *in)
{
    (void)in;
    return false;
}

static bool get_end(struct args *in)
{
    return in->n == 0;
}

/* What is told apart by a space from what was there before. */
__attribute__((format(printf, 2, 3))) static void
append(struct answer *out, const char *format, ...)
{
    size_t n = strlen(out->text);
    va_list ap;
    if (n > 0)
        out->text[n++] = ' ';
    va_start(ap, format);
    int more = vsnprintf(out->text + n, sizeof out->text - n, format, ap);
    va_end(ap);
    assert_in_range(more, 0, sizeof out->text - n - 1);
}

static void put_str(struct answer *out, struct jat_str s)
{
    append(out, "%.*s", (int)s.n, s.n == 0 ? "" : s.p);
}

static void put_u64(struct answer *out, uint64_t n)
{
    append(out, "%ju", (uintmax_t)n);
}

static void put_i64(struct answer *out, int64_t n)
{
    append(out, "%jd", (intmax_t)n);
}

static void put_name(struct answer *out, const char *name)
{
    append(out, "%s", name);
}

static void put_atom(struct answer *out, unsigned atom)
{
    put_name(out, atom_name(atom));
}

static void put_tuple(struct answer *out, unsigned n)
{
    append(out, "{%u", n);
}

static void put_list(struct answer *out, size_t n)
{
    append(out, "[%zu", n);
}

static void put_end(struct answer *out)
{
    append(out, "]");
}

/* A proxy host with endpoints and requests in flight to them. */

static struct jat *tested;

static void set_option(struct jat_config *c, const char *name,
                       const char *value)
{
    assert_int_equal(jat_config_str(c, jat_str(name, strlen(name)),
                                    jat_str(value, strlen(value))),
                     JAT_OK);
}

static int start(void **state)
{
    static const unsigned char seed[24] = "a seed of 24 octets ...";
    (void)count_blocks(state);
    struct jat_config *c = jat_config_new();
    jat_xml_init();
    assert_non_null(c);
    set_option(c, "host", "proxy.example.org");
    set_option(c, "targets", "svc@example.org");
    set_option(c, "keys", "32 octets make a key for sealing");
    assert_int_equal(jat_instance_new(c, seed, &tested), JAT_OK);
    return 0;
}

static void come(unsigned number)
{
    struct jat_endpoint_state online = {JAT_SHOW_NONE, 0, false, false};
    bool added;
    assert_int_equal(jat_put_endpoint(tested,
                                      text("svc@example.org/%0200u", number),
                                      &online, 0, &added),
                     JAT_OK);
}

/* The record of a request that is forwarded. */
static uint64_t ask(unsigned number)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_decision d;
    assert_int_equal(
        jat_handle(tested,
                   text("<iq type='get' id='%u' from='u@example.net/r' "
                        "to='proxy.example.org'><q xmlns='urn:x'/></iq>",
                        number),
                   JAT_STR(""), 0, 100, 0, &buf, &d),
        JAT_OK);
    assert_int_equal(d.verb, JAT_DO_FORWARD);
    jat_buf_fini(&buf);
    return d.forward.record;
}

static uint64_t counter(const char *name)
{
    const char *n;
    uint64_t value;
    for (unsigned i = 0; jat_counter(tested, i, &n, &value); i++)
        if (strcmp(n, name) == 0)
            return value;
    fail();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    jat_instance_free(tested);
    jat_xml_thread_fini();
    return no_block_left(state);
}

/* The answer of one call, with so many allocations. */
static const char *answer(unsigned name, unsigned allocations,
                          const uint64_t *v, size_t n)
{
    struct args in = {v, n};
    static struct answer out;
    out.text[0] = '\0';
    allow(allocations);
    bool taken = calls[name].run(tested, &in, &out);
    allow_all();
    assert_true(taken);
    return out.text;
}

#define NO_MEMORY "{2 error no_memory"

static void what_cannot_be_closed_for_want_of_memory_is_an_error(void **state)
{
    (void)state;
    come(0);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t record = ask(i);
        unsigned call = i % 2 == 0 ? CALL_bounce : CALL_abort;
        unsigned what = i % 2 == 0 ? W_HOW + JAT_HOW_LOST + i / 2
                                   : W_WHY + JAT_WHY_INTERNAL;
        const uint64_t v[] = {record, what, 0, 0};
        unsigned n = 0, args = call == CALL_bounce ? 4 : 3;
        while (strcmp(answer(call, n, v, args), NO_MEMORY) == 0) {
            assert_int_equal(counter("pending"), 1); /* nothing was closed */
            n++;
        }
        assert_true(n > 0);
        assert_int_equal(counter("pending"), 0);
        /* and with the same call it was in the end */
        assert_string_equal(answer(call, 100, v, args), "[0 ]");
    }
    assert_int_equal(counter("bounces"), 1);
    assert_int_equal(counter("refused_by_server"), 1);
    assert_int_equal(counter("aborted"), 2);
}

/* A list that ends too early must not look like the whole. */
static void rows_left_out_for_want_of_memory_are_an_error(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        come(i);
        (void)ask(i);
    }
    static const uint64_t look[] = {0, 0},
                          seek[] = {0, W_true, W_true, 0, ROWS, 0};
    static const struct {
        unsigned call, n; /* arguments */
        const uint64_t *v;
    } lists[] = {{CALL_endpoints, 2, look},
                 {CALL_pending, 6, seek},
                 {CALL_latencies, 1, look}};
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        unsigned n = 0, all = 0;
        for (; all == 0; n++) {
            const char *says = answer(lists[i].call, n, lists[i].v, lists[i].n);
            all = strncmp(says, "{2 done [60 ", 12) == 0;
            if (!all)
                assert_string_equal(says, NO_MEMORY);
        }
        assert_true(n > 2);
    }
    assert_string_equal(answer(CALL_latency, 0, NULL, 0), NO_MEMORY);
    assert_memory_equal(answer(CALL_latency, 1, NULL, 0), "{2 0 ", 5);
}

enum { MANY = 300 };

/* Endpoint 0 is shown to so many that it takes several calls to hide it. */
static void show_to_many(uint64_t now)
{
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_decision d;
    for (unsigned i = 0; i < 2 * MANY; i++) {
        struct jat_str user = text("u%u@d%u.example/r", i / 2, i / 2 % 3);
        struct jat_str e = text("svc@example.org/%0200u", 0);
        struct jat_str xml =
            i % 2 == 0
                ? text("<message id='1' from='%.*s' to='proxy.example.org'/>",
                       (int)user.n, user.p)
                : text("<presence id='1' from='%.*s' "
                       "to='proxy.example.org/%.*s'/>",
                       (int)e.n, e.p, (int)user.n, user.p);
        assert_int_equal(
            jat_handle(tested, xml, JAT_STR(""), 0, 100, now, &buf, &d),
            JAT_OK);
        assert_int_equal(d.verb, JAT_DO_PASS);
    }
    jat_buf_fini(&buf);
    assert_int_equal(counter("shown_presences"), MANY);
}

static unsigned how_often(const char *word, const char *in)
{
    unsigned n = 0;
    while ((in = strstr(in, word)) != NULL) {
        in += strlen(word);
        n++;
    }
    return n;
}

/* Whom it was shown to is told, in call after call, whatever memory there is.
 */
static void what_was_shown_is_taken_back_call_by_call(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 40; n++) {
        bool stops = n % 2 == 0;
        uint64_t v[3] = {0, 0, 0};
        unsigned told = 0, calls_made = 0;
        const char *says;
        come(0);
        show_to_many(1000U * n); /* nobody is too fast */
        if (!stops)
            assert_int_equal(jat_remove_endpoint(
                                 tested, text("svc@example.org/%0200u", 0), v),
                             JAT_OK);
        do {
            unsigned some = calls_made++ % 2 == 0 ? n / 2 : UINT32_MAX;
            says = stops ? answer(CALL_close_all, some, v, 1)
                         : answer(CALL_sweep, some, v, 3);
            told += how_often(" {3 unavailable ", says);
            assert_int_equal(counter("shown_presences"), MANY - told);
            if (!stops && strncmp(says, "{2 done ", 8) != 0)
                assert_int_equal(sscanf(says, "{2 %" SCNu64 " [", &v[1]), 1);
        } while (strncmp(says, "{2 done ", 8) != 0);
        assert_int_equal(told, MANY);
        assert_in_range(calls_made, 4, 40);
    }
}

#define CALLS_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

#define SUM_OF_WORDS 0x293c9dca2209f4b6U

/* The calls, with what they take and return, are an interface: a core of
 * another one must not be loaded. If this fails, a word has come, gone or
 * moved: give JAT_ABI and ABI of mod_client_proxy_priv.erl the next number,
 * then write the new sum here. */
static void the_words_are_those_of_this_interface(void **state)
{
    (void)state;
    static const struct jat_seed seed = {{0, 0}};
    uint64_t sum = 0;
    for (unsigned i = 0; i < ATOM_COUNT; i++)
        sum = jat_mix64(
            sum + jat_hash(&seed, jat_str(atom_name(i), strlen(atom_name(i)))));
    assert_int_equal(JAT_ABI, 14);
    if (sum != SUM_OF_WORDS)
        fail_msg("the sum is 0x%" PRIx64, sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLS_TEST(what_cannot_be_closed_for_want_of_memory_is_an_error),
        CALLS_TEST(rows_left_out_for_want_of_memory_are_an_error),
        CALLS_TEST(what_was_shown_is_taken_back_call_by_call),
        cmocka_unit_test(the_words_are_those_of_this_interface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
