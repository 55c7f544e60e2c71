/* What calls.h makes of want of memory. The carrier here is neither of the two:
 * arguments are numbers and words in a row, and the answer is a text. */
/* first, for it knows nothing of the fixture */
#include "../../c_src/calls.h"

#include "jat_fixture.h"

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

/* No call that is tested here has such arguments. */
static bool get_str(struct args *in, struct jat_str *s)
{
    (void)in;
    (void)call_new;
    (void)call_derive_key;
    *s = JAT_STR("");
    return false;
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

static void append(struct answer *out, const char *text)
{
    size_t n = strlen(out->text);
    assert_true(n + strlen(text) + 2 < sizeof out->text);
    (void)snprintf(out->text + n, sizeof out->text - n, "%s%s",
                   n == 0 ? "" : " ", text);
}

static void put_str(struct answer *out, struct jat_str s)
{
    append(out, line("%.*s", (int)s.n, s.n == 0 ? "" : s.p));
}

static void put_u64(struct answer *out, uint64_t n)
{
    append(out, line("%ju", (uintmax_t)n));
}

static void put_i64(struct answer *out, int64_t n)
{
    append(out, line("%jd", (intmax_t)n));
}

static void put_name(struct answer *out, const char *name)
{
    append(out, name);
}

static void put_atom(struct answer *out, unsigned atom)
{
    put_name(out, atom_name(atom));
}

static void put_tuple(struct answer *out, unsigned n)
{
    append(out, line("{%u", n));
}

static void put_list(struct answer *out, size_t n)
{
    append(out, line("[%zu", n));
}

static void put_end(struct answer *out)
{
    append(out, "]");
}

/* The answer of one call, with so many allocations. */
static const char *answer(unsigned name, unsigned allocations,
                          const uint64_t *v, size_t n)
{
    struct args in = {v, n};
    static struct answer out;
    out.text[0] = '\0';
    allow(allocations);
    bool taken = calls[name].run(j, &in, &out);
    allow_all();
    assert_true(taken);
    return out.text;
}

#define ANSWER(name, allocations, ...)                                         \
    answer(CALL_##name, allocations, (const uint64_t[]){__VA_ARGS__},          \
           sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

#define NO_MEMORY "{2 error no_memory"

static void what_cannot_be_closed_for_want_of_memory_is_an_error(void **state)
{
    (void)state;
    proxy("");
    come(A);
    for (unsigned i = 0; i < 4; i++) {
        get(line("%u", i), U, P);
        uint64_t record = decision.record;
        unsigned call = i % 2 == 0 ? CALL_bounce : CALL_abort;
        unsigned what = i % 2 == 0 ? W_HOW + JAT_HOW_LOST + i / 2
                                   : W_WHY + JAT_WHY_INTERNAL;
        const uint64_t v[] = {record, what, now};
        unsigned n = 0;
        while (strcmp(answer(call, n, v, 3), NO_MEMORY) == 0) {
            assert_int_equal(count("pending"), 1); /* nothing was closed */
            n++;
        }
        assert_true(n > 0);
        assert_int_equal(count("pending"), 0);
        /* and with the same call it was in the end */
        assert_words(answer(call, 100, v, 3), "[0 ]");
    }
    assert_int_equal(count("bounces"), 1);
    assert_int_equal(count("refused_by_server"), 1);
    assert_int_equal(count("aborted"), 2);
}

/* A list that ends too early must not look like the whole. */
static void rows_left_out_for_want_of_memory_are_an_error(void **state)
{
    (void)state;
    proxy("");
    for (unsigned i = 0; i < 60; i++) {
        come(line("%s/%0200u", T, i));
        get(line("%u", i), U, P);
    }
    for (unsigned call = 0; call < 2; call++) {
        const uint64_t v[] = {now, 0};
        unsigned n = 0, all = 0;
        for (; all == 0; n++) {
            const char *says = call == 0 ? answer(CALL_endpoints, n, v + 1, 1)
                                         : answer(CALL_pending, n, v, 2);
            all = strncmp(says, "{2 done [60 ", 12) == 0;
            if (!all)
                assert_words(says, NO_MEMORY);
        }
        assert_true(n > 2);
    }
    drain();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_cannot_be_closed_for_want_of_memory_is_an_error),
        CASE(rows_left_out_for_want_of_memory_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
