/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "config.h"

#include <stdlib.h>

#include "mem.h"

/* A word and the number that it stands for. */
struct word {
    const char *word;
    int64_t value;
};

static const struct word encodings[] = {
    {"jid", JAT_ENCODE_JID}, {"sealed", JAT_ENCODE_SEALED}, {NULL, 0}};
static const struct word balances[] = {{"random", JAT_RANDOM},
                                       {"round_robin", JAT_ROUND_ROBIN},
                                       {"least_pending", JAT_LEAST_PENDING},
                                       {"peak_ewma", JAT_PEAK_EWMA},
                                       {"sticky", JAT_STICKY},
                                       {NULL, 0}};
static const struct word priorities[] = {
    {"ignore", JAT_PRIORITY_IGNORE},
    {"prefer_highest", JAT_PRIORITY_PREFER_HIGHEST},
    {"weight", JAT_PRIORITY_WEIGHT},
    {NULL, 0}};
static const struct word outbounds[] = {{"reply", JAT_OUTBOUND_REPLY},
                                        {"any", JAT_OUTBOUND_ANY},
                                        {"none", JAT_OUTBOUND_NONE},
                                        {NULL, 0}};
static const struct word discos[] = {
    {"forward", JAT_DISCO_FORWARD}, {"self", JAT_DISCO_SELF}, {NULL, 0}};
static const struct word stickies[] = {{"bare", JAT_STICKY_BARE},
                                       {"full", JAT_STICKY_FULL},
                                       {"domain", JAT_STICKY_DOMAIN},
                                       {NULL, 0}};
static const struct word kinds[] = {{"own", JAT_SESSION_OWN},
                                    {"result", JAT_SESSION_RESULT},
                                    {"any_requester", JAT_SESSION_ANY},
                                    {NULL, 0}};
static const struct word shows[] = {
    {"none", JAT_SHOW_NONE}, {"chat", JAT_SHOW_CHAT}, {"away", JAT_SHOW_AWAY},
    {"xa", JAT_SHOW_XA},     {"dnd", JAT_SHOW_DND},   {NULL, 0}};

enum type { INT, WORD, LIST };

/* The options: where a value goes, its default and what it may be. */
static const struct option {
    const char *name;
    enum type type;
    size_t at;
    int64_t preset, min, max;
    const struct word *words;
} options[] = {
#define AT(field) offsetof(struct jat_config, field)
    {"host", LIST, AT(host), 0, 0, 0, NULL},
    {"targets", LIST, AT(targets), 0, 0, 0, NULL},
    {"keys", LIST, AT(keys), 0, 0, 0, NULL},
    {"resources", LIST, AT(resources), 0, 0, 0, NULL},
    {"drain_show", LIST, AT(drain_show), 0, 0, 0, NULL},
    {"localparts", LIST, AT(localparts), 0, 0, 0, NULL},
    {"local_domains", LIST, AT(local_domains), 0, 0, 0, NULL},
    {"retry_sets", LIST, AT(retry_sets), 0, 0, 0, NULL},
    {"caps", LIST, AT(caps), 0, 0, 0, NULL},
    {"sticky_by", LIST, AT(sticky_by), 0, 0, 0, NULL},
    {"sticky_by_attribute", LIST, AT(sticky_by_attribute), 0, 0, 0, NULL},
    {"sessions", LIST, AT(sessions), 0, 0, 0, NULL},
    {"tag", LIST, AT(tag), 0, 0, 0, NULL},
    {"tag_key", LIST, AT(tag_key), 0, 0, 0, NULL},
    {"encoding", WORD, AT(encoding), JAT_ENCODE_JID, 0, 0, encodings},
    {"balance", WORD, AT(balance), JAT_RANDOM, 0, 0, balances},
    {"outbound", WORD, AT(outbound), JAT_OUTBOUND_REPLY, 0, 0, outbounds},
    {"disco", WORD, AT(disco), JAT_DISCO_FORWARD, 0, 0, discos},
    {"priority", WORD, AT(priority), JAT_PRIORITY_IGNORE, 0, 0, priorities},
    {"outlier_ejection", INT, AT(outlier_ejection), 1, 0, 1, NULL},
    {"slow_start", INT, AT(slow_start), 0, 0, INT32_MAX, NULL},
    {"ping_interval", INT, AT(ping_interval), 0, 0, INT32_MAX, NULL},
    {"outbound_acl", INT, AT(outbound_acl), 0, 0, 1, NULL},
    {"timeout", INT, AT(timeout), 60000, 1, INT32_MAX, NULL},
    {"contact_timeout", INT, AT(contact_timeout), 600000, 1, INT32_MAX, NULL},
    {"wait_for_endpoint", INT, AT(wait_for_endpoint), 0, 0, INT32_MAX, NULL},
    {"hold_timeout", INT, AT(hold_timeout), 20000, 1, INT32_MAX, NULL},
    {"resume_wait", INT, AT(resume_wait), 5000, 1, INT32_MAX, NULL},
    {"session_timeout", INT, AT(session_timeout), 600000, 1, INT32_MAX, NULL},
    {"sticky_ttl", INT, AT(sticky_ttl), 0, 0, INT32_MAX, NULL},
    {"retries", INT, AT(retries), 1, 0, JAT_MAX_TRIED - 1, NULL},
    {"max_contacts", INT, AT(max_contacts), 100000, 1, INT32_MAX, NULL},
    {"max_sessions", INT, AT(max_sessions), 100000, 1, 1000000, NULL},
    {"max_pending", INT, AT(max_pending), 100000, 1, INT32_MAX, NULL},
    {"max_pending_per_user", INT, AT(max_pending_per_user), 1000, 1, INT32_MAX,
     NULL},
    {"max_pending_per_domain", INT, AT(max_pending_per_domain), 10000, 1,
     INT32_MAX, NULL},
    {"max_outbound_per_endpoint", INT, AT(max_outbound_per_endpoint), 1000, 1,
     INT32_MAX, NULL},
    {"max_pending_per_endpoint", INT, AT(max_pending_per_endpoint), 2147483647,
     1, INT32_MAX, NULL},
    {"max_endpoints", INT, AT(max_endpoints), 10000, 1, INT32_MAX, NULL},
    {"message_rate", INT, AT(message_rate), 50, 1, INT32_MAX, NULL},
    {"message_rate_per_domain", INT, AT(message_rate_per_domain), 1000, 1,
     INT32_MAX, NULL},
    {"max_stanza_size", INT, AT(max_stanza_size), 262144, 1, INT32_MAX, NULL},
    {"max_retry_memory", INT, AT(max_retry_memory), 67108864, 0, INT32_MAX,
     NULL},
#undef AT
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* Longer lists only come from a mistake; they are searched per stanza. */
#define MAX_LIST 100000U

static void *field(struct jat_config *c, const struct option *o)
{
    return (char *)c + o->at;
}

static bool is_word(const char *word, struct jat_str s)
{
    return jat_str_eq(jat_str(word, strlen(word)), s);
}

static bool find_word(const struct word *w, struct jat_str s, int64_t *value)
{
    for (; w->word != NULL; w++) {
        if (is_word(w->word, s)) {
            *value = w->value;
            return true;
        }
    }
    return false;
}

static const struct option *find_option(struct jat_str name)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (is_word(options[i].name, name))
            return &options[i];
    }
    return NULL;
}

struct jat_config *jat_config_new(void)
{
    struct jat_config *c = jat_calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].type != LIST)
            *(int64_t *)field(c, &options[i]) = options[i].preset;
    }
    return c;
}

static void list_free(struct jat_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): ours, so not const */
        jat_free((void *)(uintptr_t)l->v[i].p);
    jat_free(l->v);
}

void jat_config_free(struct jat_config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].type == LIST)
            list_free(field(c, &options[i]));
    }
    jat_free(c->session_rows);
    jat_keyring_free(c->keyring);
    jat_free(c);
}

static enum jat_err list_add(struct jat_list *l, struct jat_str s)
{
    struct jat_str *v;
    char *copy;

    if (l->n >= MAX_LIST)
        return JAT_EBADARG;
    /* powers of two: the list has no room left when its length is one */
    if ((l->n & (l->n - 1)) == 0) {
        size_t cap = l->n == 0 ? 1 : 2 * l->n;
        v = jat_realloc(l->v, cap * sizeof(*v));
        if (v == NULL)
            return JAT_ENOMEM;
        l->v = v;
    }
    copy = jat_mem_copy(s);
    if (copy == NULL)
        return JAT_ENOMEM;
    l->v[l->n++] = jat_str(copy, s.n);
    return JAT_OK;
}

enum jat_err jat_config_int(struct jat_config *c, struct jat_str name,
                            int64_t value)
{
    const struct option *o = find_option(name);

    if (o == NULL || o->type != INT || value < o->min || value > o->max)
        return JAT_EBADARG;
    *(int64_t *)field(c, o) = value;
    return JAT_OK;
}

enum jat_err jat_config_str(struct jat_config *c, struct jat_str name,
                            struct jat_str value)
{
    const struct option *o = find_option(name);

    if (o == NULL)
        return JAT_EBADARG;
    switch (o->type) {
    case LIST:
        return list_add(field(c, o), value);
    case WORD:
        return find_word(o->words, value, field(c, o)) ? JAT_OK : JAT_EBADARG;
    case INT:
        break;
    }
    return JAT_EBADARG;
}

static int compare(const void *a, const void *b)
{
    const struct jat_str *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n == 0 ? 0 : memcmp(x->p, y->p, n);

    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

static void list_sort(struct jat_list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), compare);
}

bool jat_list_has(const struct jat_list *l, struct jat_str s)
{
    return l->n > 0 && bsearch(&s, l->v, l->n, sizeof(*l->v), compare) != NULL;
}

static enum jat_err finish_sticky(struct jat_config *c)
{
    int64_t value = JAT_STICKY_BARE;

    if (c->sticky_by.n > 1 || c->sticky_by_attribute.n > 1)
        return JAT_EBADARG;
    if (c->sticky_by_attribute.n == 1)
        value = JAT_STICKY_ATTRIBUTE;
    else if (c->sticky_by.n == 1 &&
             !find_word(stickies, c->sticky_by.v[0], &value))
        return JAT_EBADARG;
    if (value == JAT_STICKY_ATTRIBUTE && c->sticky_by.n == 0)
        return JAT_EBADARG;
    c->sticky = (enum jat_sticky)value;
    return JAT_OK;
}

static enum jat_err finish_drain(struct jat_config *c)
{
    enum jat_show show;

    c->drain = 0;
    for (size_t i = 0; i < c->drain_show.n; i++) {
        if (!jat_show_parse(c->drain_show.v[i], &show))
            return JAT_EBADARG;
        c->drain |= 1U << show;
    }
    return JAT_OK;
}

/* One row of three strings. */
static bool read_row(const struct jat_str v[3], struct jat_session_row *row)
{
    int64_t kind;

    if (v[0].n == 0 || v[1].n == 0 || !find_word(kinds, v[2], &kind))
        return false;
    *row = (struct jat_session_row){v[0], v[1], (enum jat_session_kind)kind,
                                    is_word("sessionid", v[1])};
    return true;
}

static enum jat_err finish_sessions(struct jat_config *c)
{
    size_t n = c->sessions.n / 3;

    jat_free(c->session_rows); /* of a try before */
    c->session_rows = NULL;
    c->n_session_rows = 0;
    c->session_marks = 0;
    if (c->sessions.n % 3 != 0)
        return JAT_EBADARG;
    if (n == 0)
        return JAT_OK;
    c->session_rows = jat_calloc(n, sizeof(*c->session_rows));
    if (c->session_rows == NULL)
        return JAT_ENOMEM;
    for (; c->n_session_rows < n; c->n_session_rows++) {
        struct jat_session_row *row = &c->session_rows[c->n_session_rows];

        if (!read_row(c->sessions.v + 3 * c->n_session_rows, row))
            return JAT_EBADARG;
        c->session_marks |= UINT64_C(1) << jat_config_mark(row->ns);
    }
    return JAT_OK;
}

const struct jat_session_row *jat_config_session(const struct jat_config *c,
                                                 struct jat_str ns)
{
    for (size_t i = 0; i < c->n_session_rows; i++)
        if (jat_str_eq(c->session_rows[i].ns, ns))
            return &c->session_rows[i];
    return NULL;
}

/* The key may be there without a tag. */
static enum jat_err finish_tag(struct jat_config *c)
{
    c->tagging = NULL;
    if (c->tag.n > 1 || c->tag_key.n > 1 || c->tag.n > c->tag_key.n ||
        (c->tag_key.n == 1 && c->tag_key.v[0].n != JAT_TAG_KEY))
        return JAT_EBADARG;
    if (c->tag.n == 0)
        return JAT_OK;
    c->tagging = &c->own_tag;
    return jat_tag_key_make(c->tag_key.v[0], c->tag.v[0], &c->own_tag);
}

enum jat_err jat_config_finish(struct jat_config *c, struct jat_str host)
{
    enum jat_err err;

    if (c->keyring != NULL || c->targets.n == 0 || c->keys.n == 0)
        return JAT_EBADARG;
    if ((err = finish_sticky(c)) != JAT_OK ||
        (err = finish_drain(c)) != JAT_OK ||
        (err = finish_sessions(c)) != JAT_OK || (err = finish_tag(c)) != JAT_OK)
        return err;
    list_sort(&c->targets);
    list_sort(&c->local_domains);
    list_sort(&c->retry_sets);
    list_sort(&c->caps);
    return jat_keyring_new(c->keys.v, c->keys.n, host, &c->keyring);
}

bool jat_config_same_keys(const struct jat_config *a,
                          const struct jat_config *b)
{
    if (a->keys.n != b->keys.n)
        return false;
    for (size_t i = 0; i < a->keys.n; i++) {
        if (!jat_str_eq(a->keys.v[i], b->keys.v[i]))
            return false;
    }
    return true;
}

/* Octets of the UTF-8 character at p. */
static size_t character(struct jat_str s, size_t i)
{
    size_t n = 1;

    while (i + n < s.n && ((unsigned char)s.p[i + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Greedy with one point of return: a later * makes an earlier one final. */
static bool glob(struct jat_str g, struct jat_str s)
{
    size_t i = 0, k = 0, star = SIZE_MAX, resume = 0;

    while (k < s.n) {
        if (i < g.n && g.p[i] == '*') {
            star = i++;
            resume = k;
        } else if (i < g.n && g.p[i] == '?') {
            i++;
            k += character(s, k);
        } else if (i < g.n && g.p[i] == s.p[k]) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            resume += character(s, resume);
            i = star + 1;
            k = resume;
        } else {
            return false;
        }
    }
    while (i < g.n && g.p[i] == '*')
        i++;
    return i == g.n;
}

static bool any_glob(const struct jat_list *globs, struct jat_str s)
{
    for (size_t i = 0; i < globs->n; i++) {
        if (glob(globs->v[i], s))
            return true;
    }
    return false;
}

bool jat_config_wants(const struct jat_config *c, struct jat_str resource)
{
    return c->resources.n == 0 || any_glob(&c->resources, resource);
}

bool jat_config_has_node(const struct jat_config *c, struct jat_str node)
{
    return node.n == 0 || any_glob(&c->localparts, node);
}

bool jat_show_parse(struct jat_str word, enum jat_show *out)
{
    int64_t value;

    if (!find_word(shows, word, &value))
        return false;
    *out = (enum jat_show)value;
    return true;
}

const char *jat_show_name(enum jat_show show)
{
    return shows[show].word;
}
