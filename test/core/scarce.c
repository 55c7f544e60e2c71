/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "scarce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <openssl/crypto.h>

#include "closed.h"
#include "contact.h"
#include "hash.h"
#include "mem.h"
#include "queue.h"
#include "xml.h"

/* the functions themselves */
#undef jat_next_endpoint
#undef jat_next_pending
#undef jat_seal_seal
#undef jat_seal_vector

/* Of so many calls of one test each is tried, of the others one in so many: a
 * random walk of 20000 steps would take hours. */
#define ALL_OF 100U
#define THEN_ONE_IN 64U
/* Tables are compared row by row up to so many rows. */
#define ROWS 64U

enum owner { CORE, LIBRARY };

long blocks_alive;

static bool scarce;

static _Thread_local struct memory {
    unsigned one_in; /* fails, without an end */
    uint64_t random;
    unsigned left; /* UINT_MAX: there is no end */
    bool trying;   /* an attempt, not `allow` */
    bool alone;    /* after the one that failed there is memory again */
    bool done;     /* nothing may fail any more */
    bool failed;
    enum owner first; /* whose failed first */
} memory = {.left = UINT32_MAX};

static _Thread_local unsigned calls; /* of this test */
static bool spared;

/* For people. */
static _Atomic unsigned n_calls, n_failures;

static bool refused(enum owner owner)
{
    if (memory.one_in > 0)
        return owner == CORE && jat_mix64(++memory.random) % memory.one_in == 0;
    if (memory.left == UINT32_MAX || (owner != CORE && !memory.trying))
        return false;
    if (memory.left > 0) {
        memory.left--;
        return false;
    }
    if ((memory.trying && memory.done) ||
        (memory.alone && (memory.failed || owner != CORE)))
        return false;
    if (!memory.failed)
        memory.first = owner;
    memory.failed = true;
    return true;
}

void *counting_realloc(void *p, size_t n)
{
    if (refused(CORE))
        return NULL;
    void *q = realloc(p, n);
    if (p == NULL && q != NULL)
        blocks_alive++;
    return q;
}

void counting_free(void *p)
{
    blocks_alive--;
    free(p);
}

void allow(unsigned n)
{
    memset(&memory, 0, sizeof memory);
    memory.left = n;
}

void allow_all(void)
{
    allow(UINT32_MAX);
}

void allow_most(unsigned n)
{
    allow_all();
    memory.one_in = n;
}

void spare_this_test(void)
{
    spared = true;
}

unsigned allowed_left(void)
{
    return memory.left;
}

static void say_nothing(void *data, const char *format, ...)
{
    (void)data, (void)format;
}

void begin_counting(void)
{
    if (scarce) {
        xmlSetGenericErrorFunc(NULL, say_nothing);
        xmlThrDefSetGenericErrorFunc(NULL, say_nothing); /* new threads */
    }
    calls = 0;
    spared = false;
    blocks_alive = 0;
    allow_all();
    jat_mem_set(counting_realloc, counting_free);
}

/* What the tables hold, as people see it. Handles are left out: the same
 * requester has always the same one, so one that was noted for a call that
 * failed does no harm. */

static uint64_t mixed(uint64_t sum, struct jat_str s)
{
    static const struct jat_seed seed = {{1, 2}};
    return jat_mix64(sum ^ jat_hash(&seed, s));
}

static uint64_t counters_of(struct jat *j)
{
    const char *name;
    uint64_t value, sum = 0;
    for (unsigned i = 0; jat_counter(j, i, &name, &value); i++)
        if (strcmp(name, "handles") != 0)
            sum = mixed(sum, jat_str((const char *)&value, sizeof value));
    return sum;
}

static uint64_t tables_of(struct jat *j)
{
    struct jat_buf b = JAT_BUF_INIT;
    struct jat_endpoint_row e;
    struct jat_pending p;
    uint32_t at = 0;
    uint64_t cursor = 0;
    if (j == NULL)
        return 0;
    uint64_t sum = counters_of(j);
    for (unsigned i = 0;
         i < ROWS && jat_next_endpoint(j, &at, 0, &b, &e) == JAT_OK; i++)
        b.n += (size_t)snprintf(jat_buf_room(&b, 100), 100, " %d %u %u %u %u ",
                                e.state.show, e.draining, e.requests,
                                e.outbound, (unsigned)e.failed);
    for (unsigned i = 0;
         i < ROWS && jat_next_pending(j, &cursor, 0, &b, &p) == JAT_OK; i++)
        b.n += (size_t)snprintf(jat_buf_room(&b, 100), 100, " %d %u ", p.set,
                                p.tries);
    sum = mixed(sum, jat_str(b.p, b.n));
    jat_buf_fini(&b);
    return sum;
}

/* Attempts */

/* A buffer that is empty gets no memory on the way that it has from before. */
static void forget_capacity(struct jat_buf *b)
{
    if (b != NULL && b->n == 0)
        jat_buf_fini(b);
}

static void arm(const struct attempts *a)
{
    forget_capacity(a->buf);
    allow(a->n);
    memory.trying = true;
    memory.alone = a->alone;
}

void attempts_begin(struct attempts *a, struct jat *j, struct jat_buf *buf,
                    struct jat_outcomes *outcomes)
{
    *a = (struct attempts){.j = j,
                           .buf = buf,
                           .buf_n = buf == NULL ? 0 : buf->n,
                           .outcomes = outcomes,
                           .outcomes_n = outcomes == NULL ? 0 : outcomes->n};
    if (!scarce || spared || memory.left != UINT32_MAX || memory.one_in > 0 ||
        (buf != NULL && buf->failed) ||
        (calls++ >= ALL_OF && calls % THEN_ONE_IN != 0))
        return;
    a->tried = true;
    a->tables = tables_of(j);
    n_calls++;
    arm(a);
}

/* True if the call said that it had no memory. What a library has lost memory
 * for it may have done without: then the test judges what the call says. */
static bool was_failure(const struct attempts *a, enum jat_err err,
                        enum owner owner)
{
    bool memory_was_short =
        err == JAT_ENOMEM || (err == JAT_ECRYPTO && owner == LIBRARY);
    if (!memory_was_short && owner == CORE)
        fail_msg("allocation %u failed: %s", a->n, jat_err_name(err));
    if (memory_was_short && attempts_outcomes(a) == 0 &&
        tables_of(a->j) != a->tables)
        fail_msg("allocation %u failed: the tables have changed", a->n);
    return memory_was_short;
}

bool attempts_again(struct attempts *a, enum jat_err err)
{
    bool failed = memory.failed;
    enum owner owner = memory.first;
    if (!a->tried)
        return false;
    allow_all();
    if (!failed || !was_failure(a, err, owner))
        return false;
    if (a->buf != NULL) {
        a->buf->failed = false;
        a->buf->n = a->buf_n;
    }
    if (a->outcomes != NULL)
        a->outcomes->text.failed = false;
    n_failures++;
    a->alone = !a->alone && owner == CORE;
    if (!a->alone)
        a->n++;
    arm(a);
    return true;
}

size_t attempts_outcomes(const struct attempts *a)
{
    return a->outcomes == NULL ? 0 : a->outcomes->n - a->outcomes_n;
}

/* What is called when a record has been taken, when one has been made, when it
 * is decided where a message goes, and when a session is known (Makefile:
 * --wrap). */

void __real_jat_closed_add(struct jat_closed *c, uint64_t fingerprint,
                           uint64_t now);
void __wrap_jat_closed_add(struct jat_closed *c, uint64_t fingerprint,
                           uint64_t now);
void __real_jat_contact_touch(struct jat_recent *contacts,
                              const struct jat_config *config,
                              struct jat_contact who, bool made, uint64_t now,
                              uint64_t until);
void __wrap_jat_contact_touch(struct jat_recent *contacts,
                              const struct jat_config *config,
                              struct jat_contact who, bool made, uint64_t now,
                              uint64_t until);
void __real_jat_conversation_name(struct jat_recent *conversations,
                                  const struct jat_config *config,
                                  struct jat_contact who, uint64_t endpoint,
                                  uint64_t now);
void __wrap_jat_conversation_name(struct jat_recent *conversations,
                                  const struct jat_config *config,
                                  struct jat_contact who, uint64_t endpoint,
                                  uint64_t now);

void __wrap_jat_closed_add(struct jat_closed *c, uint64_t fingerprint,
                           uint64_t now)
{
    memory.done = true;
    __real_jat_closed_add(c, fingerprint, now);
}

void __wrap_jat_contact_touch(struct jat_recent *contacts,
                              const struct jat_config *config,
                              struct jat_contact who, bool made, uint64_t now,
                              uint64_t until)
{
    memory.done = true;
    __real_jat_contact_touch(contacts, config, who, made, now, until);
}

void __wrap_jat_conversation_name(struct jat_recent *conversations,
                                  const struct jat_config *config,
                                  struct jat_contact who, uint64_t endpoint,
                                  uint64_t now)
{
    memory.done = true;
    __real_jat_conversation_name(conversations, config, who, endpoint, now);
}

enum jat_err __real_jat_kept_put(struct jat_kept *t, uint64_t key,
                                 const struct jat_keep *how);
enum jat_err __wrap_jat_kept_put(struct jat_kept *t, uint64_t key,
                                 const struct jat_keep *how);

enum jat_err __wrap_jat_kept_put(struct jat_kept *t, uint64_t key,
                                 const struct jat_keep *how)
{
    memory.done = true;
    return __real_jat_kept_put(t, key, how);
}

void __real_jat_queue_pop(struct jat_queue *q, uint32_t number, uint64_t note);
void __wrap_jat_queue_pop(struct jat_queue *q, uint32_t number, uint64_t note);

void __wrap_jat_queue_pop(struct jat_queue *q, uint32_t number, uint64_t note)
{
    memory.done = true;
    __real_jat_queue_pop(q, number, note);
}

atomic_uint seals, openings;

enum jat_err __real_jat_seal_seal(const struct jat_seal *s,
                                  struct jat_str plain, struct jat_buf *out);
enum jat_err __wrap_jat_seal_seal(const struct jat_seal *s,
                                  struct jat_str plain, struct jat_buf *out);

enum jat_err __wrap_jat_seal_seal(const struct jat_seal *s,
                                  struct jat_str plain, struct jat_buf *out)
{
    atomic_fetch_add(&seals, 1);
    return __real_jat_seal_seal(s, plain, out);
}

enum jat_err __real_jat_seal_open(const struct jat_seal *s,
                                  struct jat_str sealed, struct jat_buf *out);
enum jat_err __wrap_jat_seal_open(const struct jat_seal *s,
                                  struct jat_str sealed, struct jat_buf *out);

enum jat_err __wrap_jat_seal_open(const struct jat_seal *s,
                                  struct jat_str sealed, struct jat_buf *out)
{
    atomic_fetch_add(&openings, 1);
    return __real_jat_seal_open(s, sealed, out);
}

/* The libraries' memory. */

void *library_realloc(void *p, size_t n)
{
    return refused(LIBRARY) ? NULL : realloc(p, n);
}

static void *xml_malloc(size_t n)
{
    return library_realloc(NULL, n);
}

static char *xml_strdup(const char *s)
{
    char *p = xml_malloc(strlen(s) + 1);
    return p == NULL ? NULL : strcpy(p, s);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return refused(LIBRARY) ? NULL : realloc(p, n);
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
    return crypto_realloc(NULL, n, file, line);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

/* What the libraries make once for the whole process is made while there is
 * memory: they do not try it twice. */
static void warm_up(void)
{
    struct jat_str key = JAT_STR("0123456789abcdef0123456789abcdef");
    struct jat_buf out = JAT_BUF_INIT;
    jat_xml_init();
    (void)jat_seal_vector(key, &key, 1, key, &out);
    jat_buf_fini(&out);
}

static void sum_up(void)
{
    printf("%u calls wanted memory %u times\n", n_calls, n_failures);
}

/* Before either has allocated anything. */
__attribute__((constructor)) static void begin_scarcity(void)
{
    if (getenv("SCARCE") == NULL)
        return;
    scarce = true;
    xmlMemSetup(free, xml_malloc, library_realloc, xml_strdup);
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
    warm_up();
    atexit(sum_up);
}

/* libcrypto 3.0 loses the context in a context for AES-SIV when it has no
 * memory to copy what is in it. (Asked by the leak sanitizer, which sees no
 * more than in which library that was.) */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return scarce ? "leak:libcrypto\n" : "";
}
