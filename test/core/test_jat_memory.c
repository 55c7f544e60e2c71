/* Whole scenarios with allocation 0, 1, 2 ... failing: a call that returns
 * JAT_ENOMEM has changed nothing and can be repeated, no request loses its
 * outcome, nothing leaks. */
#include "jat_fixture.h"

#define PU P "/" U

/* What the tables hold. Handles are left out: the same requester has always
 * the same one, so one that was noted for a call that failed does no harm. */
struct tables {
    uint64_t endpoints, pending, contacts, requests, closed;
};

static struct tables tables(void)
{
    return (struct tables){
        count("endpoints"), count("pending"), count("contacts"),
        count("requests") + count("outbound_requests") + count("retries"),
        count("answers") + count("outbound_answers") + count("timeouts") +
            count("bounces") + count("gone") + count("aborted")};
}

static bool same(struct tables before)
{
    struct tables after = tables();
    return memcmp(&before, &after, sizeof before) == 0;
}

static unsigned allowed;

/* Calls `op` with the memory that is left; what fails for want of it leaves
 * the tables alone and is repeated with enough. */
#define CALL(op)                                                               \
    do {                                                                       \
        struct tables before_ = tables();                                      \
        allocations_left = allowed;                                            \
        enum jat_err err_ = (op);                                              \
        unsigned left_ = allocations_left;                                     \
        allocations_left = UINT32_MAX;                                         \
        if (err_ == JAT_ENOMEM) {                                              \
            assert_int_equal(left_, 0);                                        \
            assert_true(same(before_));                                        \
            err_ = (op);                                                       \
        }                                                                      \
        if (left_ == 0)                                                        \
            scarce = true;                                                     \
        assert_int_equal(err_, JAT_OK);                                        \
    } while (0)

static bool scarce;

static enum jat_err put(const char *jid)
{
    return put_as(jid, JAT_SHOW_NONE, false);
}

static enum jat_err configure(const char *options)
{
    struct jat_config *c = config_of(options);
    enum jat_err err = c == NULL ? JAT_ENOMEM : jat_configure(j, c);
    if (err != JAT_OK)
        jat_config_free(c);
    return err;
}

/* Closes that stop half-way: what came so far counts, the rest comes later. */
static size_t close_all(enum jat_err (*fn)(struct jat *, uint64_t, size_t,
                                           struct jat_outcomes *))
{
    size_t n = 0;
    enum jat_err err = JAT_ENOMEM;
    for (int i = 0; i < 100 && err != JAT_OK; i++) {
        allocations_left = i == 0 ? allowed : UINT32_MAX;
        fresh();
        err = fn(j, now, 256, &outcomes);
        scarce |= allocations_left == 0;
        allocations_left = UINT32_MAX;
        n += outcomes.n;
    }
    assert_int_equal(err, JAT_OK);
    return n;
}

static void an_exchange(const char *user)
{
    CALL(put(A));
    const char *question = iq("get", "rr-1", user, P);
    CALL(handle(question));
    assert_int_equal(decision.verb, JAT_DO_REQUEST);
    const char *as = from_of();
    words(JAT_OK);
    const char *answer = iq("result", last_id, A, as);
    CALL(handle(answer));
    assert_words(words(JAT_OK), line("answer %s > %s #rr-1 kept", P, user));
    const char *back = iq("set", "2", A, as);
    CALL(handle(back));
    assert_int_equal(decision.verb, JAT_DO_OUTBOUND);
    const char *done = iq("result", "2", user, shown(A));
    CALL(handle(done));
    assert_words(words(JAT_OK), line("answer %s > %s #2", as, A));
}

static void a_retry(void)
{
    CALL(put(A));
    const char *question = iq("get", "1", U, P);
    CALL(handle(question));
    uint64_t record = decision.record;
    CALL(put(B));
    struct tables before = tables();
    allocations_left = allowed;
    fresh();
    enum jat_err err = jat_bounce(j, record, false, now, &outcomes);
    scarce |= allocations_left == 0;
    allocations_left = UINT32_MAX;
    if (err == JAT_ENOMEM) {
        assert_true(same(before));
        assert_int_equal(outcomes.n, 0);
        err = jat_bounce(j, record, false, now, fresh());
    }
    assert_int_equal(err, JAT_OK);
    assert_int_equal(outcomes.n,
                     1); /* sent again, or, without memory, failed */
    bool again = outcomes.v[0].fate == JAT_FATE_RETRY;
    assert_int_equal(count("pending"), again);
    assert_int_equal(close_all(jat_drain), again);
}

static void closings(void)
{
    CALL(put(A));
    for (int i = 0; i < 40; i++) {
        assert_int_equal(handle(iq("get", line("%d", i), U, P)), JAT_OK);
        if (i % 4 == 0)
            assert_int_equal(handle(iq("get", line("%d", i), A, PU)), JAT_OK);
    }
    now += 60000;
    assert_int_equal(close_all(jat_expire), 50);
    assert_int_equal(count("forgotten"), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(handle(iq("get", line("%d", i), A, PU)), JAT_OK);
    assert_int_equal(close_all(jat_drain), 40);
    assert_int_equal(count("forgotten"), 0); /* each asker is told */
}

static void a_sweep(void)
{
    CALL(put(A));
    for (int i = 0; i < 20; i++)
        assert_int_equal(handle(iq("get", line("%d", i), U, P)), JAT_OK);
    CALL(put(B));
    jat_eid eid;
    uint64_t cursor = 0;
    size_t n = 0, again = 0;
    assert_int_equal(jat_remove_endpoint(j, str(A), &eid), JAT_OK);
    enum jat_err err = JAT_ENOMEM;
    for (int i = 0; i < 100 && err != JAT_OK; i++) {
        allocations_left = i == 0 ? allowed : UINT32_MAX;
        err = jat_sweep(j, eid, &cursor, now, 64, fresh());
        scarce |= allocations_left == 0;
        allocations_left = UINT32_MAX;
        n += outcomes.n;
        for (size_t k = 0; k < outcomes.n; k++)
            again += outcomes.v[k].fate == JAT_FATE_RETRY;
    }
    assert_int_equal(n, 20);
    assert_int_equal(count("pending"), again);
    assert_int_equal(close_all(jat_drain), again);
}

static void a_change_of_key(void)
{
    CALL(put(A));
    CALL(put(B));
    const char *to = shown(A);
    CALL(configure("encoding=sealed keys=z keys=k"));
    assert_string_not_equal(shown(A), to);
    assert_int_equal(handle(iq("get", "1", U, to)), JAT_OK);
    assert_words(to_of(), A);
    assert_int_equal(close_all(jat_drain), 1);
}

/* What is looked at: nothing changes, and nothing is wrong afterwards. */
static void a_look(void)
{
    CALL(put(A));
    assert_int_equal(handle(iq("get", "1", U, P)), JAT_OK);
    const char *resource = strchr(shown(A), '/') + 1;
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_endpoint e;
    struct jat_pending p;
    enum jat_role role;
    uint32_t at = 0;
    uint64_t cursor = 0;
    CALL((jat_buf_fini(&b), jat_next_endpoint(j, &at, &b, &e)));
    CALL((jat_buf_fini(&b), jat_next_pending(j, &cursor, now, &b, &p)));
    CALL((jat_buf_fini(&b), jat_open(j, str(resource), now, &role, &b)));
    assert_true(jat_str_eq(jat_str(b.p, b.n), str(A)));
    jat_buf_fini(&b);
    assert_int_equal(close_all(jat_drain), 1);
}

/* Runs the scenario with ever more memory until it has enough. */
#define SCARCE(options, scenario)                                              \
    do {                                                                       \
        for (allowed = 0, scarce = true; scarce; allowed++) {                  \
            assert_true(allowed < 500);                                        \
            scarce = false;                                                    \
            while (n_lines > 0)                                                \
                free(lines[--n_lines]);                                        \
            proxy(options);                                                    \
            scenario;                                                          \
            assert_int_equal(count("pending"), 0);                             \
        }                                                                      \
        assert_true(allowed > 3);                                              \
    } while (0)

static void an_instance_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    for (allowed = 0;; allowed++) {
        allocations_left = allowed;
        enum jat_err err =
            start("keys=a keys=b drain_show=xa local_domains=example.net "
                  "local_domains=example.com resources=a* sticky_by=full");
        allocations_left = UINT32_MAX;
        if (err == JAT_OK)
            break;
        assert_int_equal(err, JAT_ENOMEM);
    }
    assert_true(allowed > 10);
}

static void an_exchange_bears_want_of_memory(void **state)
{
    (void)state;
    /* outbound=any: without memory there is no contact, which is no error */
    SCARCE("outbound=any", an_exchange(U));
}

static void a_sealed_exchange_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("encoding=sealed", an_exchange(U));
}

static void an_exchange_with_a_handle_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("outbound=any",
           an_exchange(line("u@%s/%s", times('d', 1000), times('r', 1000))));
}

static void a_retry_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("", a_retry());
}

static void a_sweep_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("", a_sweep());
}

static void closing_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("outbound=any", closings());
}

static void a_change_of_key_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("encoding=sealed", a_change_of_key());
}

static void looking_bears_want_of_memory(void **state)
{
    (void)state;
    SCARCE("", a_look());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_instance_is_made_whole_or_not_at_all),
        CASE(an_exchange_bears_want_of_memory),
        CASE(a_sealed_exchange_bears_want_of_memory),
        CASE(an_exchange_with_a_handle_bears_want_of_memory),
        CASE(a_retry_bears_want_of_memory),
        CASE(a_sweep_bears_want_of_memory),
        CASE(closing_bears_want_of_memory),
        CASE(a_change_of_key_bears_want_of_memory),
        CASE(looking_bears_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
