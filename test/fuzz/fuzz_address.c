/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Any text as a JID, as a resource, and as what is to be sealed. */
#include "address.h"
#include "fuzz.h"
#include "jid.h"

#define KEY_A "the first of two keys, 32 octets"
#define KEY_B "the second, an older one: 32 ..."
#define MARK "before"

/* Immutable, so made once. A and B open by the ring, A seals; `before` is the
 * ring before A came, `elsewhere` that of another proxy host. */
static struct jat_keyring *ring, *before, *elsewhere;
static struct jat_seal *sealer;

static struct jat_keyring *ring_of(size_t n, const struct jat_str *keys,
                                   const char *host)
{
    struct jat_keyring *k;

    CHECK(jat_keyring_new(keys, n, jat_str(host, strlen(host)), &k) == JAT_OK);
    return k;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct jat_str keys[] = {JAT_STR(KEY_A), JAT_STR(KEY_B)};

    (void)argc, (void)argv;
    ring = ring_of(2, keys, "proxy.example.org");
    before = ring_of(1, keys + 1, "proxy.example.org");
    elsewhere = ring_of(2, keys, "other.example.org");
    CHECK(jat_seal_new(keys[0], JAT_STR("ad"), &sealer) == JAT_OK);
    return 0;
}

/* A buffer that has something in it already, and what is behind that. */

static void mark(struct jat_buf *b)
{
    jat_buf_reset(b, SIZE_MAX);
    jat_buf_add(b, JAT_STR(MARK));
}

static struct jat_str behind(const struct jat_buf *b)
{
    size_t n = sizeof MARK - 1;

    CHECK(b->n >= n && memcmp(b->p, MARK, n) == 0 && !b->failed);
    return jat_str(b->p + n, b->n - n);
}

/* JIDs */

static bool is_plain(struct jat_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 127)
            return false;
    return true;
}

static bool has(struct jat_str s, char c)
{
    return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

/* The parts with what separates them are the text again. */
static bool makes_up(const struct jat_jid *jid, struct jat_str text)
{
    struct jat_buf b = JAT_BUF_INIT;
    bool yes;

    jat_buf_add(&b, jid->user);
    if (jid->user.n > 0)
        jat_buf_addc(&b, '@');
    jat_buf_add(&b, jid->server);
    if (jid->resource.n > 0)
        jat_buf_addc(&b, '/');
    jat_buf_add(&b, jid->resource);
    yes = jat_str_eq(jat_str(b.p, b.n), text);
    jat_buf_fini(&b);
    return yes;
}

static void as_jid(struct jat_str text)
{
    struct jat_jid jid;
    bool split = jat_jid_split(text, &jid);
    struct jat_str bare = jat_jid_bare(text);

    CHECK(jat_jid_is_plain(text) == is_plain(text));
    CHECK(!has(bare, '/') && (bare.n == text.n || text.p[bare.n] == '/'));
    if (split) {
        CHECK(makes_up(&jid, text));
        CHECK(jid.server.n > 0 && !has(jid.server, '/'));
        CHECK(jid.user.n > 0 ? !has(jid.user, '@') : !has(jid.server, '@'));
        CHECK(jid.user.n <= JAT_JID_PART_MAX &&
              jid.server.n <= JAT_JID_PART_MAX &&
              jid.resource.n <= JAT_JID_PART_MAX);
    }
    if (jat_jid_is_prepared(text))
        CHECK(split && is_plain(text) && !has(bare, 'A') && !has(bare, '"'));
    /* nobody takes one for the other */
    CHECK(jat_address_form(text) == JAT_FORM_JID || !split);
}

/* Resources */

static struct jat_str seal(const struct jat_keyring *k, enum jat_role role,
                           struct jat_str jid, enum jat_form *form,
                           struct jat_buf *b)
{
    mark(b);
    CHECK(jat_address_seal(k, role, jid, b, form) == JAT_OK);
    return behind(b);
}

static bool opens(const struct jat_keyring *k, enum jat_role role,
                  struct jat_str resource, struct jat_buf *b)
{
    enum jat_err err;

    mark(b);
    err = jat_address_open(k, role, resource, b);
    CHECK(err == JAT_OK || err == JAT_EUNOPENABLE);
    CHECK(err == JAT_OK || behind(b).n == 0);
    return err == JAT_OK;
}

/* Whatever can be opened is the one text that stands for its JID, or, shorter,
 * the one that stood for it before JIDs were padded. */
static void as_resource(struct jat_str text, struct jat_buf *jid,
                        struct jat_buf *again)
{
    for (int role = 0; role < JAT_ROLE_COUNT; role++) {
        enum jat_role r = (enum jat_role)role;
        enum jat_form form;

        if (!opens(ring, r, text, jid))
            continue;
        CHECK(jat_str_eq(seal(ring, r, behind(jid), &form, again), text) ||
              jat_str_eq(seal(before, r, behind(jid), &form, again), text) ||
              text.n < behind(again).n || form == JAT_FORM_HANDLE);
        CHECK(jat_address_form(text) == JAT_FORM_SEALED);
        CHECK(!opens(ring,
                     r == JAT_ROLE_REQUESTER ? JAT_ROLE_ENDPOINT
                                             : JAT_ROLE_REQUESTER,
                     text, jid));
    }
}

/* A damaged address is none. */
static void damage(struct jat_str address, unsigned at, unsigned by,
                   struct jat_buf *b)
{
    char copy[JAT_JID_PART_MAX];
    struct jat_str damaged = jat_str(copy, address.n);

    memcpy(copy, address.p, address.n);
    copy[at % address.n] ^= (char)(by % 255 + 1);
    for (int role = 0; role < JAT_ROLE_COUNT; role++)
        CHECK(!opens(ring, (enum jat_role)role, damaged, b));
}

/* A JID has no NUL: what is padded with them is the text without. */
static struct jat_str without_nuls(struct jat_str text)
{
    while (text.n > 0 && text.p[text.n - 1] == '\0')
        text.n--;
    return text;
}

static void as_sealed(struct jat_str text, unsigned at, unsigned by,
                      struct jat_buf *b, struct jat_buf *jid)
{
    const enum jat_role role =
        (at & 1) != 0 ? JAT_ROLE_ENDPOINT : JAT_ROLE_REQUESTER;
    const struct jat_keyring *by_ring = (by & 1) != 0 ? before : ring;
    enum jat_form form;
    struct jat_str address;

    if (text.n == 0 || text.n > JAT_JID_MAX) {
        mark(b);
        CHECK(jat_address_seal(ring, role, text, b, &form) == JAT_EBADARG);
        CHECK(behind(b).n == 0);
        return;
    }
    address = seal(by_ring, role, text, &form, b);
    CHECK((form == JAT_FORM_SEALED) == (text.n <= jat_address_max_sealed()));
    CHECK(form != JAT_FORM_JID && form == jat_address_form(address));
    CHECK(address.n <= JAT_JID_PART_MAX && is_plain(address));
    CHECK(opens(ring, role, address, jid) == (form == JAT_FORM_SEALED));
    CHECK(form != JAT_FORM_SEALED ||
          jat_str_eq(behind(jid), without_nuls(text)));
    CHECK(opens(before, role, address, jid) ==
          (form == JAT_FORM_SEALED && by_ring == before));
    CHECK(!opens(elsewhere, role, address, jid));
    damage(address, at, by, jid);
    as_jid(address);
}

/* Octets */

static void as_octets(struct jat_str text, struct jat_buf *b,
                      struct jat_buf *again)
{
    enum jat_err err;

    mark(b);
    err = jat_seal_open(sealer, text, b);
    CHECK(err == JAT_OK || (err == JAT_EUNOPENABLE && behind(b).n == 0));
    if (err == JAT_OK) {
        mark(again);
        CHECK(jat_seal_seal(sealer, behind(b), again) == JAT_OK);
        CHECK(jat_str_eq(behind(again), text));
    }
    mark(b);
    err = jat_seal_seal(sealer, text, b);
    CHECK(err == (text.n == 0 ? JAT_EBADARG : JAT_OK));
    if (err != JAT_OK)
        return;
    mark(again);
    CHECK(jat_seal_open(sealer, behind(b), again) == JAT_OK);
    CHECK(jat_str_eq(behind(again), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n};
    struct jat_buf a = JAT_BUF_INIT, b = JAT_BUF_INIT;
    unsigned at = input_octet(&in), by = input_octet(&in);
    struct jat_str text = input_str(&in, in.n);

    as_jid(text);
    as_resource(text, &a, &b);
    as_sealed(text, at, by, &a, &b);
    as_octets(text, &a, &b);
    jat_buf_fini(&a);
    jat_buf_fini(&b);
    jat_seal_thread_fini();
    return 0;
}
