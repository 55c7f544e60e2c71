/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "address.h"

#include <stdint.h>

#include "base64url.h"
#include "jid.h"
#include "mem.h"
#include "recent.h"

#define RESOURCE_MAX JAT_JID_PART_MAX
/* The longest octet string whose base64url and a '@' fit into a resource. */
#define RAW_MAX ((RESOURCE_MAX - 1) * 3 / 4)

/* What is sealed has a multiple of so many octets: the JID and NULs, of which
 * it has none itself. So an address does not show how long the JID is. */
#define BLOCK ((size_t)32)
#define SEALED_MAX ((RAW_MAX - JAT_SEAL_TAG) / BLOCK * BLOCK)

/* So many sealed addresses of requesters are remembered, and so many that were
 * opened, of JIDs of at most so many octets: to seal or open one takes about
 * twenty times as long. */
#define MAX_REMEMBERED 4096U
#define MAX_REMEMBERED_JID 256U

/* sealers[i][role], i in the order of the keys. sealed: JID of a requester ->
 * its address; opened: the other way, by any of the keys. Entries do not
 * expire; when there are MAX_REMEMBERED, the oldest one goes. */
struct jat_keyring {
    struct jat_recent *sealed, *opened;
    struct jat_seed seed; /* see jat_keyring_seed */
    size_t n;
    struct jat_seal *sealers[][JAT_ROLE_COUNT];
};

/* ---- keys ---- */

static enum jat_err new_sealer(struct jat_str key, enum jat_role role,
                               struct jat_str host, struct jat_seal **out)
{
    static const char mark[JAT_ROLE_COUNT] = {
        [JAT_ROLE_REQUESTER] = 'r',
        [JAT_ROLE_ENDPOINT] = 'e',
    };
    struct jat_buf ad = JAT_BUF_INIT;
    enum jat_err err = JAT_ENOMEM;

    jat_buf_addc(&ad, mark[role]);
    jat_buf_add(&ad, host);
    if (!ad.failed)
        err = jat_seal_new(key, jat_str(ad.p, ad.n), out);
    jat_buf_fini(&ad);
    return err;
}

/* A seed that nobody can know who has not the key, where `name` is no JID. */
static enum jat_err seed_of(const struct jat_keyring *k, struct jat_str name,
                            struct jat_seed *out)
{
    struct jat_buf sealed = JAT_BUF_INIT;
    enum jat_err err =
        jat_seal_seal(k->sealers[0][JAT_ROLE_REQUESTER], name, &sealed);

    if (err == JAT_OK)
        memcpy(out, sealed.p, sizeof *out);
    jat_buf_fini(&sealed);
    return err;
}

static enum jat_err new_memory(struct jat_keyring *k)
{
    struct jat_seed seed;
    enum jat_err err = seed_of(k, JAT_STR("/"), &seed);

    if (err == JAT_OK)
        err = seed_of(k, JAT_STR("/sticky"), &k->seed);
    if (err == JAT_OK)
        err = jat_recent_new(&seed, &k->sealed);
    return err == JAT_OK ? jat_recent_new(&seed, &k->opened) : err;
}

enum jat_err jat_keyring_new(const struct jat_str *keys, size_t n,
                             struct jat_str host, struct jat_keyring **out)
{
    struct jat_keyring *k;
    enum jat_err err = JAT_OK;

    if (n == 0 || n > SIZE_MAX / sizeof k->sealers[0] - 1)
        return JAT_EBADARG;
    k = jat_calloc(1, sizeof *k + n * sizeof k->sealers[0]);
    if (k == NULL)
        return JAT_ENOMEM;
    k->n = n;
    for (size_t i = 0; i < n; i++)
        for (int role = 0; role < JAT_ROLE_COUNT && err == JAT_OK; role++)
            err = new_sealer(keys[i], (enum jat_role)role, host,
                             &k->sealers[i][role]);
    if (err == JAT_OK)
        err = new_memory(k);
    if (err == JAT_OK)
        *out = k;
    else
        jat_keyring_free(k);
    return err;
}

void jat_keyring_free(struct jat_keyring *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->n; i++)
        for (int role = 0; role < JAT_ROLE_COUNT; role++)
            jat_seal_free(k->sealers[i][role]);
    jat_recent_free(k->sealed);
    jat_recent_free(k->opened);
    jat_free(k);
}

const struct jat_seed *jat_keyring_seed(const struct jat_keyring *k)
{
    return &k->seed;
}

void jat_keyring_retire(struct jat_keyring *k)
{
    (void)jat_recent_expire(k->sealed, UINT64_MAX, SIZE_MAX);
    (void)jat_recent_expire(k->opened, UINT64_MAX, SIZE_MAX);
}

/* ---- resources ---- */

size_t jat_address_max_sealed(void)
{
    return SEALED_MAX;
}

static struct jat_str padded(struct jat_str jid, char room[SEALED_MAX])
{
    size_t n = (jid.n + BLOCK - 1) / BLOCK * BLOCK;

    memcpy(room, jid.p, jid.n);
    memset(room + jid.n, 0, n - jid.n);
    return jat_str(room, n);
}

static enum jat_err seal(const struct jat_keyring *k, enum jat_role role,
                         struct jat_str jid, struct jat_buf *out,
                         enum jat_form *form)
{
    bool fits = jid.n <= SEALED_MAX;
    char room[SEALED_MAX];
    struct jat_str text = jid; /* of a handle only the tag is used */
    size_t begin = out->n, n;
    enum jat_err err;

    if (jid.n == 0 || jid.n > JAT_JID_MAX)
        return JAT_EBADARG;
    if (fits)
        text = padded(jid, room);
    /* Room for all that follows, so that nothing fails half-way. */
    if (jat_buf_room(out, jat_base64url_len(JAT_SEAL_TAG + text.n + 2) + 2) ==
        NULL)
        return JAT_ENOMEM;
    err = jat_seal_seal(k->sealers[0][role], text, out);
    if (err != JAT_OK)
        return err;
    n = JAT_SEAL_TAG + (fits ? text.n : 0);
    jat_base64url_encode(out->p + begin, n);
    out->n = begin + jat_base64url_len(n);
    if (!fits)
        jat_buf_addc(out, '.');
    jat_buf_addc(out, '@');
    *form = fits ? JAT_FORM_SEALED : JAT_FORM_HANDLE;
    return JAT_OK;
}

/* What was appended to out after `begin`. */
static struct jat_str appended(const struct jat_buf *out, size_t begin)
{
    return jat_buf_str(out, jat_buf_since(out, begin));
}

/* Remembers what was appended to out after `begin`; where there is no memory
 * for that, nothing was appended. */
static enum jat_err remember(struct jat_recent *in, struct jat_recent_key key,
                             struct jat_buf *out, size_t begin)
{
    enum jat_err err =
        jat_recent_put(in, key, appended(out, begin),
                       &(struct jat_stay){.until = 1}, MAX_REMEMBERED);

    if (err == JAT_EFULL) /* of what other threads remember at this moment */
        err = JAT_OK;
    if (err != JAT_OK)
        out->n = begin;
    return err;
}

enum jat_err jat_address_seal(const struct jat_keyring *k, enum jat_role role,
                              struct jat_str jid, struct jat_buf *out,
                              enum jat_form *form)
{
    size_t begin = out->n;
    struct jat_recent_key key;
    enum jat_err err;

    if (role != JAT_ROLE_REQUESTER || jid.n > MAX_REMEMBERED_JID)
        return seal(k, role, jid, out, form);
    *form = JAT_FORM_SEALED;
    key = jat_recent_text(k->sealed, jid);
    err = jat_recent_get(k->sealed, key, JAT_NO_GROUP, 0, out);
    if (err != JAT_ENOTFOUND)
        return err;
    err = seal(k, role, jid, out, form);
    return err == JAT_OK ? remember(k->sealed, key, out, begin) : err;
}

enum jat_form jat_address_form(struct jat_str resource)
{
    size_t n = resource.n;

    if (n == 0 || resource.p[n - 1] != '@' ||
        memchr(resource.p, '/', n) != NULL)
        return JAT_FORM_JID;
    return n > 1 && resource.p[n - 2] == '.' ? JAT_FORM_HANDLE
                                             : JAT_FORM_SEALED;
}

static enum jat_err open_sealed(const struct jat_keyring *k, enum jat_role role,
                                struct jat_str resource, struct jat_buf *out)
{
    enum jat_err err = JAT_EUNOPENABLE;
    char raw[RAW_MAX];
    size_t n, begin = out->n;

    if (!jat_base64url_decode(jat_str(resource.p, resource.n - 1), raw, &n))
        return JAT_EUNOPENABLE;
    for (size_t i = 0; i < k->n && err == JAT_EUNOPENABLE; i++)
        err = jat_seal_open(k->sealers[i][role], jat_str(raw, n), out);
    while (err == JAT_OK && out->n > begin && out->p[out->n - 1] == '\0')
        out->n--; /* the padding; older versions had none */
    return err;
}

/* Only what was sealed here is ever remembered: nobody else can fill the
 * memory. */
enum jat_err jat_address_open(const struct jat_keyring *k, enum jat_role role,
                              struct jat_str resource, struct jat_buf *out)
{
    size_t begin = out->n;
    struct jat_recent_key key;
    enum jat_err err;

    if (resource.n > RESOURCE_MAX ||
        jat_address_form(resource) != JAT_FORM_SEALED)
        return JAT_EUNOPENABLE;
    if (role != JAT_ROLE_REQUESTER)
        return open_sealed(k, role, resource, out);
    key = jat_recent_text(k->opened, resource);
    err = jat_recent_get(k->opened, key, JAT_NO_GROUP, 0, out);
    if (err != JAT_ENOTFOUND)
        return err;
    err = open_sealed(k, role, resource, out);
    return err == JAT_OK && out->n - begin <= MAX_REMEMBERED_JID
               ? remember(k->opened, key, out, begin)
               : err;
}
