/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tables.h"

#include <openssl/evp.h>

#include "address.h"
#include "jid.h"

#define HOST JAT_STR("proxy.example.org")
#define KEY_A JAT_STR("0123456789abcdefFEDCBA9876543210")
#define KEY_B JAT_STR("0123456789abcdefFEDCBA987654321x")

static const char ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static struct jat_keyring *ring(const struct jat_str *keys, size_t n,
                                struct jat_str host)
{
    struct jat_keyring *k;
    assert_int_equal(jat_keyring_new(keys, n, host, &k), JAT_OK);
    return k;
}

static struct jat_keyring *ring_a(void)
{
    return ring(&KEY_A, 1, HOST);
}

static struct jat_str whole(const struct jat_buf *b)
{
    return jat_str(b->p, b->n);
}

/* The sealed form of jid in a new buffer. */
static struct jat_buf seal(const struct jat_keyring *k, enum jat_role role,
                           struct jat_str jid)
{
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_form form;
    assert_int_equal(jat_address_seal(k, role, jid, &b, &form), JAT_OK);
    assert_int_equal(form, jat_address_form(whole(&b)));
    return b;
}

static bool opens(const struct jat_keyring *k, enum jat_role role,
                  struct jat_str resource)
{
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_err err = jat_address_open(k, role, resource, &b);
    if (err != JAT_OK) {
        assert_int_equal(err, JAT_EUNOPENABLE);
        assert_int_equal(b.n, 0);
    }
    jat_buf_fini(&b);
    return err == JAT_OK;
}

static void
every_jid_that_a_resource_can_carry_makes_the_round_trip(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    char jid[1023];
    size_t max = jat_address_max_sealed(), longest = 0;
    for (size_t i = 0; i < sizeof jid; i++)
        jid[i] = (char)(random_below(255) + 1); /* a JID has no NUL */
    for (size_t n = 1; n <= max + 1; n++) {
        size_t padded = (n + 31) / 32 * 32;
        struct jat_buf opened = JAT_BUF_INIT;
        struct jat_buf b = seal(k, JAT_ROLE_REQUESTER, jat_str(jid, n));
        if (n <= max) {
            assert_int_equal(b.n, (4 * (padded + JAT_SEAL_TAG) + 2) / 3 + 1);
            assert_int_equal(jat_address_form(whole(&b)), JAT_FORM_SEALED);
            assert_int_equal(b.p[b.n - 1], '@');
            assert_int_equal(strspn(b.p, ALPHABET), b.n - 1);
            assert_int_equal(
                jat_address_open(k, JAT_ROLE_REQUESTER, whole(&b), &opened),
                JAT_OK);
            assert_str(whole(&opened), jat_str(jid, n));
            longest = b.n;
        } else {
            assert_int_equal(jat_address_form(whole(&b)), JAT_FORM_HANDLE);
        }
        jat_buf_fini(&b);
        jat_buf_fini(&opened);
    }
    assert_int_equal(max, 736);
    assert_in_range(longest, JAT_JID_PART_MAX - 32, JAT_JID_PART_MAX);
    jat_keyring_free(k);
}

/* All that an address shows of the length is how many times 32 octets. */
static void jids_of_similar_length_have_addresses_of_the_same(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    char jid[1023];
    memset(jid, 'j', sizeof jid);
    for (int role = 0; role < JAT_ROLE_COUNT; role++) {
        size_t last = 0;
        for (size_t n = 1; n <= jat_address_max_sealed(); n++) {
            struct jat_buf b = seal(k, (enum jat_role)role, jat_str(jid, n));
            if (n % 32 == 1)
                assert_true(b.n > last);
            else
                assert_int_equal(b.n, last);
            last = b.n;
            jat_buf_fini(&b);
        }
    }
    jat_keyring_free(k);
}

/* Made before JIDs were padded. */
static void an_address_of_the_form_before_is_opened(void **state)
{
    (void)state;
    static const char *const before[JAT_ROLE_COUNT] = {
        [JAT_ROLE_REQUESTER] = "2q7ksRdJgkzYKZ5fPjsYGfkeMkXlJ8np2ceY_trAFQk9"
                               "cQIcfID91Esb@",
        [JAT_ROLE_ENDPOINT] = "McwG-Hjqxc0ADSsOOaKLfvrsqABWOFdqhbcCungYVALV"
                              "I1MLCtCpTOQW@",
    };
    struct jat_keyring *k = ring_a();
    struct jat_str jid = JAT_STR("romeo@montague.net/orchard");
    for (int role = 0; role < JAT_ROLE_COUNT; role++) {
        struct jat_str address = jat_str(before[role], strlen(before[role]));
        struct jat_buf opened = JAT_BUF_INIT;
        struct jat_buf now = seal(k, (enum jat_role)role, jid);
        assert_int_equal(
            jat_address_open(k, (enum jat_role)role, address, &opened), JAT_OK);
        assert_str(whole(&opened), jid);
        assert_false(jat_str_eq(whole(&now), address));
        assert_false(opens(k, (enum jat_role)(1 - role), address));
        jat_buf_fini(&opened);
        jat_buf_fini(&now);
    }
    jat_keyring_free(k);
}

static void the_same_jid_always_gets_the_same_pseudonym(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a(), *restarted = ring_a();
    struct jat_str jid = JAT_STR("romeo@montague.net/orchard");
    struct jat_buf a = seal(k, JAT_ROLE_REQUESTER, jid);
    struct jat_buf b = seal(restarted, JAT_ROLE_REQUESTER, jid);
    struct jat_buf c =
        seal(k, JAT_ROLE_REQUESTER, JAT_STR("romeo@montague.net/orcharc"));
    assert_str(whole(&a), whole(&b));
    assert_false(jat_str_eq(whole(&a), whole(&c)));
    jat_buf_fini(&a);
    jat_buf_fini(&b);
    jat_buf_fini(&c);
    jat_keyring_free(k);
    jat_keyring_free(restarted);
}

static void check_address(const struct jat_keyring *k, struct jat_str jid)
{
    struct jat_buf address = seal(k, JAT_ROLE_REQUESTER, jid);
    struct jat_buf opened = JAT_BUF_INIT;
    assert_int_equal(
        jat_address_open(k, JAT_ROLE_REQUESTER, whole(&address), &opened),
        JAT_OK);
    assert_str(whole(&opened), jid);
    jat_buf_fini(&address);
    jat_buf_fini(&opened);
}

enum { REMEMBERED = 4096 }; /* address.h */

/* Twice as many as are remembered: there are always those that are, and those
 * that are not any more. */
static void an_address_is_right_remembered_or_not(void **state)
{
    (void)state;
    spare_this_test(); /* of so many */
    struct jat_keyring *k = ring_a(), *other = ring(&KEY_B, 1, HOST);
    for (unsigned i = 0; i < 4 * REMEMBERED; i++) {
        unsigned user = i < 2 * REMEMBERED ? i : 4 * REMEMBERED - 1 - i;
        check_address(k, text("user%u@example.net/r", user));
        check_address(k, text("user%u@example.net/r", user));
        check_address(other, text("user%u@example.net/r", user));
        check_address(k, text("user%u@example.net/%0300d", user, 1));
    }
    jat_keyring_free(k);
    jat_keyring_free(other);
}

static unsigned seals_of(const struct jat_keyring *k, enum jat_role role,
                         struct jat_str jid)
{
    unsigned before = atomic_load(&seals);
    struct jat_buf b = seal(k, role, jid);
    jat_buf_fini(&b);
    return atomic_load(&seals) - before;
}

static void a_requester_that_comes_again_is_not_sealed_again(void **state)
{
    (void)state;
    spare_this_test(); /* each attempt would seal */
    struct jat_keyring *k = ring_a();
    struct jat_str jid = text("romeo@montague.net/%0237d", 1);
    struct jat_str longer = text("romeo@montague.net/%0238d", 1);
    assert_int_equal(jid.n, 256);
    assert_int_equal(seals_of(k, JAT_ROLE_REQUESTER, jid), 1);
    assert_int_equal(seals_of(k, JAT_ROLE_REQUESTER, jid), 0);
    assert_int_equal(seals_of(k, JAT_ROLE_ENDPOINT, jid), 1);
    assert_int_equal(seals_of(k, JAT_ROLE_ENDPOINT, jid), 1);
    assert_int_equal(seals_of(k, JAT_ROLE_REQUESTER, longer), 1);
    assert_int_equal(seals_of(k, JAT_ROLE_REQUESTER, longer), 1);
    jat_keyring_retire(k);
    assert_int_equal(seals_of(k, JAT_ROLE_REQUESTER, jid), 1);
    jat_keyring_free(k);
}

static unsigned opens_of(const struct jat_keyring *k, enum jat_role role,
                         struct jat_str address, struct jat_str jid)
{
    unsigned before = atomic_load(&openings);
    struct jat_buf b = JAT_BUF_INIT;
    assert_int_equal(jat_address_open(k, role, address, &b), JAT_OK);
    assert_str(whole(&b), jid);
    jat_buf_fini(&b);
    return atomic_load(&openings) - before;
}

/* A forged address is never remembered. */
static void an_address_that_comes_again_is_not_opened_again(void **state)
{
    (void)state;
    spare_this_test(); /* each attempt would open */
    struct jat_keyring *k = ring_a();
    struct jat_str jid = text("romeo@montague.net/%0237d", 1);
    struct jat_str longer = text("romeo@montague.net/%0238d", 1);
    struct jat_buf of_requester = seal(k, JAT_ROLE_REQUESTER, jid),
                   of_endpoint = seal(k, JAT_ROLE_ENDPOINT, jid),
                   of_longer = seal(k, JAT_ROLE_REQUESTER, longer);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            opens_of(k, JAT_ROLE_REQUESTER, whole(&of_requester), jid), i == 0);
        assert_int_equal(
            opens_of(k, JAT_ROLE_ENDPOINT, whole(&of_endpoint), jid), 1);
        assert_int_equal(
            opens_of(k, JAT_ROLE_REQUESTER, whole(&of_longer), longer), 1);
        assert_int_equal(jat_address_open(k, JAT_ROLE_REQUESTER,
                                          whole(&of_endpoint), &of_longer),
                         JAT_EUNOPENABLE);
    }
    jat_keyring_retire(k);
    assert_int_equal(opens_of(k, JAT_ROLE_REQUESTER, whole(&of_requester), jid),
                     1);
    jat_buf_fini(&of_requester);
    jat_buf_fini(&of_endpoint);
    jat_buf_fini(&of_longer);
    jat_keyring_free(k);
}

static void of_many_requesters_some_are_remembered(void **state)
{
    (void)state;
    spare_this_test();
    struct jat_keyring *k = ring_a();
    long blocks = blocks_alive;
    for (unsigned i = 0; i < 2 * REMEMBERED; i++)
        seals_of(k, JAT_ROLE_REQUESTER, text("user%u@example.net/r", i));
    /* a block for each, and those of the tables */
    assert_in_range(blocks_alive - blocks, REMEMBERED, REMEMBERED + 500);
    jat_keyring_retire(k);
    assert_in_range(blocks_alive - blocks, 0, 500);
    jat_keyring_free(k);
}

static void without_memory_nothing_is_appended(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_form form;
    jat_buf_add(&b, JAT_STR("before"));
    FAIL_EACH_ALLOCATION(jat_address_seal(k, JAT_ROLE_REQUESTER,
                                          JAT_STR("romeo@montague.net"), &b,
                                          &form),
                         (b.failed = false, b.n == strlen("before")));
    assert_true(b.n > strlen("before"));
    jat_buf_fini(&b);
    jat_keyring_free(k);
}

/* The octets before it are RFC 5297's; the text is RFC 4648's. */
static void the_text_is_base64url_of_tag_and_ciphertext(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    struct jat_str ad = JAT_STR("eproxy.example.org");
    for (size_t n = 1; n < 40; n++) {
        char expected[120], jid[64] = {0};
        struct jat_buf raw = JAT_BUF_INIT;
        size_t len = 0;
        memset(jid, 'j', n); /* and NULs up to a multiple of 32 octets */
        assert_int_equal(jat_seal_vector(KEY_A, &ad, 1,
                                         jat_str(jid, n <= 32 ? 32 : 64), &raw),
                         JAT_OK);
        /* libcrypto's base64, with the other two characters and no padding */
        EVP_EncodeBlock((unsigned char *)expected, (unsigned char *)raw.p,
                        (int)raw.n);
        for (; expected[len] != '\0' && expected[len] != '='; len++)
            if (expected[len] == '+' || expected[len] == '/')
                expected[len] = expected[len] == '+' ? '-' : '_';
        expected[len++] = '@';
        struct jat_buf b = seal(k, JAT_ROLE_ENDPOINT, jat_str(jid, n));
        assert_str(whole(&b), jat_str(expected, len));
        jat_buf_fini(&b);
        jat_buf_fini(&raw);
    }
    jat_keyring_free(k);
}

static void an_address_opened_in_the_wrong_role_is_unopenable(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    struct jat_str jid = JAT_STR("svc@example.org/a");
    for (int role = 0; role < JAT_ROLE_COUNT; role++) {
        struct jat_buf b = seal(k, (enum jat_role)role, jid);
        for (int other = 0; other < JAT_ROLE_COUNT; other++)
            assert_int_equal(opens(k, (enum jat_role)other, whole(&b)),
                             role == other);
        jat_buf_fini(&b);
    }
    jat_keyring_free(k);
}

static void an_address_of_another_host_or_key_is_unopenable(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    struct jat_keyring *host = ring(&KEY_A, 1, JAT_STR("proxy.example.com"));
    struct jat_keyring *key = ring(&KEY_B, 1, HOST);
    struct jat_buf b = seal(k, JAT_ROLE_REQUESTER, JAT_STR("a@b/c"));
    assert_true(opens(k, JAT_ROLE_REQUESTER, whole(&b)));
    assert_false(opens(host, JAT_ROLE_REQUESTER, whole(&b)));
    assert_false(opens(key, JAT_ROLE_REQUESTER, whole(&b)));
    jat_buf_fini(&b);
    jat_keyring_free(k);
    jat_keyring_free(host);
    jat_keyring_free(key);
}

static void old_secrets_are_opened_never_used_to_seal(void **state)
{
    (void)state;
    const struct jat_str keys[] = {KEY_B, KEY_A};
    struct jat_keyring *old = ring_a(), *now = ring(keys, 2, HOST);
    struct jat_keyring *only_b = ring(&KEY_B, 1, HOST);
    struct jat_buf a = seal(old, JAT_ROLE_REQUESTER, JAT_STR("a@b/c"));
    struct jat_buf b = seal(now, JAT_ROLE_REQUESTER, JAT_STR("a@b/c"));
    assert_true(opens(now, JAT_ROLE_REQUESTER, whole(&a)));
    assert_true(opens(now, JAT_ROLE_REQUESTER, whole(&b)));
    assert_true(opens(only_b, JAT_ROLE_REQUESTER, whole(&b)));
    assert_false(opens(old, JAT_ROLE_REQUESTER, whole(&b)));
    jat_buf_fini(&a);
    jat_buf_fini(&b);
    jat_keyring_free(old);
    jat_keyring_free(now);
    jat_keyring_free(only_b);
}

/* One text for one address: no other one opens to it, not even one that a lax
 * decoder would read as the same octets. */
static void each_changed_character_is_noticed(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    for (int n = 1; n <= 65; n += 32) { /* each length modulo 4 */
        struct jat_buf b = seal(k, JAT_ROLE_REQUESTER, text("%0*d", n, 7));
        for (size_t i = 0; i < b.n; i++) {
            char right = b.p[i];
            for (int c = 0; c < 256; c++) {
                b.p[i] = (char)c;
                assert_int_equal(opens(k, JAT_ROLE_REQUESTER, whole(&b)),
                                 b.p[i] == right);
            }
            b.p[i] = right;
        }
        jat_buf_fini(&b);
    }
    jat_keyring_free(k);
}

static void what_is_not_of_our_form_is_unopenable(void **state)
{
    (void)state;
    static const char *const tails[] = {"A@", "AA@",  "=@", "==@", ".@",
                                        "@@", "AAA@", " @", "\n@", "/@"};
    struct jat_keyring *k = ring_a();
    struct jat_buf t = JAT_BUF_INIT;
    for (int len = 1; len <= 65; len += 32) { /* each length modulo 4 */
        struct jat_buf b = seal(k, JAT_ROLE_REQUESTER, text("%0*d", len, 7));
        for (size_t n = 0; n < b.n; n++) {
            assert_false(opens(k, JAT_ROLE_REQUESTER, jat_str(b.p, n)));
            jat_buf_reset(&t, SIZE_MAX);
            jat_buf_add(&t, jat_str(b.p, n));
            jat_buf_addc(&t, '@');
            assert_int_equal(opens(k, JAT_ROLE_REQUESTER, whole(&t)),
                             n == b.n - 1);
        }
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
            jat_buf_reset(&t, SIZE_MAX);
            jat_buf_add(&t, jat_str(b.p, b.n - 1));
            jat_buf_add(&t, jat_str(tails[i], strlen(tails[i])));
            assert_false(opens(k, JAT_ROLE_REQUESTER, whole(&t)));
        }
        jat_buf_fini(&b);
    }
    jat_buf_fini(&t);
    char longest[1025];
    memset(longest, 'A', sizeof longest);
    for (size_t n = 1000; n <= sizeof longest; n++) {
        longest[n - 1] = '@';
        assert_false(opens(k, JAT_ROLE_REQUESTER, jat_str(longest, n)));
        longest[n - 1] = 'A';
    }
    assert_false(opens(k, JAT_ROLE_REQUESTER, jat_str(NULL, 0)));
    jat_keyring_free(k);
}

static void the_form_is_known_by_its_looks(void **state)
{
    (void)state;
    static const struct {
        const char *resource;
        enum jat_form form;
    } cases[] = {
        {"", JAT_FORM_JID},         {"a", JAT_FORM_JID},
        {"a@b/c", JAT_FORM_JID},    {"a@b/c@", JAT_FORM_JID},
        {"a@b/c.@", JAT_FORM_JID},  {"@", JAT_FORM_SEALED},
        {"abc@", JAT_FORM_SEALED},  {"a.b@", JAT_FORM_SEALED},
        {"abc.@", JAT_FORM_HANDLE}, {".@", JAT_FORM_HANDLE},
        {"abc@.", JAT_FORM_JID},
    };
    struct jat_jid jid;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jat_str r =
            jat_str(cases[i].resource, strlen(cases[i].resource));
        assert_int_equal(jat_address_form(r), cases[i].form);
        if (cases[i].form != JAT_FORM_JID)
            assert_false(jat_jid_split(r, &jid));
    }
    assert_int_equal(jat_address_form(jat_str(NULL, 0)), JAT_FORM_JID);
}

static void a_longer_jid_travels_as_a_handle(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    char jid[JAT_JID_MAX + 1];
    enum jat_form form = JAT_FORM_JID;
    memset(jid, 'x', sizeof jid);
    for (size_t n = jat_address_max_sealed() + 1; n <= JAT_JID_MAX; n += 39) {
        struct jat_buf b = seal(k, JAT_ROLE_ENDPOINT, jat_str(jid, n));
        struct jat_buf r = seal(k, JAT_ROLE_REQUESTER, jat_str(jid, n));
        struct jat_buf same = seal(k, JAT_ROLE_ENDPOINT, jat_str(jid, n));
        assert_int_equal(b.n, 22 + 2);
        assert_int_equal(jat_address_form(whole(&b)), JAT_FORM_HANDLE);
        assert_str(whole(&b), whole(&same));
        assert_false(jat_str_eq(whole(&b), whole(&r)));
        assert_false(opens(k, JAT_ROLE_ENDPOINT, whole(&b)));
        jid[n / 2] ^= 1;
        struct jat_buf other = seal(k, JAT_ROLE_ENDPOINT, jat_str(jid, n));
        assert_false(jat_str_eq(whole(&b), whole(&other)));
        jat_buf_fini(&b);
        jat_buf_fini(&r);
        jat_buf_fini(&same);
        jat_buf_fini(&other);
    }
    struct jat_buf b = JAT_BUF_INIT;
    assert_int_equal(jat_address_seal(k, JAT_ROLE_ENDPOINT,
                                      jat_str(jid, JAT_JID_MAX + 1), &b, &form),
                     JAT_EBADARG);
    assert_int_equal(
        jat_address_seal(k, JAT_ROLE_ENDPOINT, jat_str("", 0), &b, &form),
        JAT_EBADARG);
    assert_int_equal(form, JAT_FORM_JID);
    assert_null(b.p);
    jat_keyring_free(k);
}

static void an_address_is_appended_to_what_is_there(void **state)
{
    (void)state;
    struct jat_keyring *k = ring_a();
    struct jat_buf b = JAT_BUF_INIT;
    enum jat_form form;
    jat_buf_add(&b, JAT_STR("proxy.example.org/"));
    assert_int_equal(
        jat_address_seal(k, JAT_ROLE_REQUESTER, JAT_STR("a@b/c"), &b, &form),
        JAT_OK);
    struct jat_str sealed = jat_str(b.p + 18, b.n - 18);
    struct jat_buf opened = JAT_BUF_INIT;
    jat_buf_add(&opened, JAT_STR("is "));
    assert_int_equal(jat_address_open(k, JAT_ROLE_REQUESTER, sealed, &opened),
                     JAT_OK);
    assert_str(jat_str(b.p, 18), JAT_STR("proxy.example.org/"));
    assert_str(whole(&opened), JAT_STR("is a@b/c"));
    jat_buf_fini(&b);
    jat_buf_fini(&opened);
    jat_keyring_free(k);
}

static void a_key_of_another_length_is_refused(void **state)
{
    (void)state;
    const struct jat_str keys[] = {KEY_A, JAT_STR("short")};
    struct jat_keyring *k = NULL;
    assert_int_equal(jat_keyring_new(keys, 2, HOST, &k), JAT_EBADARG);
    assert_int_equal(jat_keyring_new(keys, 0, HOST, &k), JAT_EBADARG);
    assert_null(k);
    jat_keyring_free(NULL);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    const struct jat_str keys[] = {KEY_A, KEY_B};
    struct jat_keyring *k = NULL;
    struct jat_buf b = JAT_BUF_INIT, opened = JAT_BUF_INIT;
    enum jat_form form;
    struct jat_str jid = JAT_STR("romeo@montague.net/orchard");
    FAIL_EACH_ALLOCATION(jat_keyring_new(keys, 2, HOST, &k), k == NULL);
    FAIL_EACH_ALLOCATION(
        (jat_buf_reset(&b, 0),
         jat_address_seal(k, JAT_ROLE_ENDPOINT, jid, &b, &form)),
        b.n == 0);
    FAIL_EACH_ALLOCATION(
        (jat_buf_reset(&opened, 0),
         jat_address_open(k, JAT_ROLE_ENDPOINT, whole(&b), &opened)),
        opened.n == 0);
    assert_str(whole(&opened), jid);
    jat_buf_fini(&b);
    jat_buf_fini(&opened);
    jat_keyring_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_jid_that_a_resource_can_carry_makes_the_round_trip),
        TEST(jids_of_similar_length_have_addresses_of_the_same),
        TEST(an_address_of_the_form_before_is_opened),
        TEST(the_same_jid_always_gets_the_same_pseudonym),
        TEST(an_address_is_right_remembered_or_not),
        TEST(a_requester_that_comes_again_is_not_sealed_again),
        TEST(an_address_that_comes_again_is_not_opened_again),
        TEST(of_many_requesters_some_are_remembered),
        TEST(without_memory_nothing_is_appended),
        TEST(the_text_is_base64url_of_tag_and_ciphertext),
        TEST(an_address_opened_in_the_wrong_role_is_unopenable),
        TEST(an_address_of_another_host_or_key_is_unopenable),
        TEST(old_secrets_are_opened_never_used_to_seal),
        TEST(each_changed_character_is_noticed),
        TEST(what_is_not_of_our_form_is_unopenable),
        TEST(the_form_is_known_by_its_looks),
        TEST(a_longer_jid_travels_as_a_handle),
        TEST(an_address_is_appended_to_what_is_there),
        TEST(a_key_of_another_length_is_refused),
        TEST(without_memory_nothing_changes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    jat_seal_thread_fini();
    return failed;
}
