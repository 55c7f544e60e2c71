/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "instance.h"

#include "address.h"
#include "mem.h"

static uint64_t octets(const unsigned char *p)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++)
        x = x << 8 | p[i];
    return x;
}

static void free_tables(struct jat *j)
{
    jat_kept_free(j->kept);
    jat_recent_free(j->seen);
    jat_recent_free(j->handles);
    jat_recent_free(j->conversations);
    jat_recent_free(j->contacts);
    jat_quota_free(j->waiters);
    jat_pace_free(j->pace);
    jat_shares_free(j->shares);
    jat_inflight_free(j->inflight);
    jat_endpoints_free(j->endpoints);
    jat_free_aligned(j);
}

/* What the table of endpoints has to know of the options. */
static void take_policy(struct jat *j, const struct jat_config *config)
{
    jat_endpoints_configure(
        j->endpoints,
        &(struct jat_policy){.drain_show = config->drain,
                             .priority = (enum jat_priority)config->priority,
                             .slow_start = (uint64_t)config->slow_start,
                             .ping_interval = (uint64_t)config->ping_interval,
                             .eject = config->outlier_ejection != 0,
                             .estimate = config->balance == JAT_PEAK_EWMA});
}

enum jat_err jat_instance_new(struct jat_config *config,
                              const unsigned char seed[24], struct jat **out)
{
    struct jat_str host;
    struct jat *j;
    enum jat_err err;

    if (config->host.n != 1 || config->host.v[0].n == 0)
        return JAT_EBADARG;
    host = config->host.v[0];
    j = jat_calloc_aligned(64, sizeof(*j));
    if (j == NULL)
        return JAT_ENOMEM;
    j->host = host;
    j->seed = (struct jat_seed){{octets(seed), octets(seed + 8)}};
    if ((err = jat_endpoints_new(&j->seed, &j->endpoints)) != JAT_OK ||
        (err = jat_inflight_new(&j->seed, jat_str((const char *)seed + 16, 8),
                                &j->inflight)) != JAT_OK ||
        (err = jat_shares_new(&j->seed, j->endpoints, &j->shares)) != JAT_OK ||
        (err = jat_pace_new(&j->pace)) != JAT_OK ||
        (err = jat_quota_new(&j->seed, &j->waiters)) != JAT_OK ||
        (err = jat_recent_new(&j->seed, &j->contacts)) != JAT_OK ||
        (err = jat_recent_new(&j->seed, &j->conversations)) != JAT_OK ||
        (err = jat_recent_new(&j->seed, &j->handles)) != JAT_OK ||
        (err = jat_recent_new(&j->seed, &j->seen)) != JAT_OK ||
        (err = jat_kept_new(&j->kept)) != JAT_OK ||
        (err = jat_config_finish(config, host)) != JAT_OK) {
        free_tables(j);
        return err;
    }
    pthread_mutex_init(&j->configuring, NULL);
    pthread_mutex_init(&j->walk.mutex, NULL);
    pthread_mutex_init(&j->releasing, NULL);
    jat_queue_init(&j->queue);
    atomic_store(&j->config, config);
    take_policy(j, config);
    *out = j;
    return JAT_OK;
}

void jat_instance_free(struct jat *j)
{
    struct jat_config *c, *older;

    if (j == NULL)
        return;
    for (c = atomic_load(&j->config); c != NULL; c = older) {
        older = c->older;
        if (older != NULL && older->keyring == c->keyring)
            c->keyring = NULL;
        jat_config_free(c);
    }
    pthread_mutex_destroy(&j->configuring);
    pthread_mutex_destroy(&j->walk.mutex);
    pthread_mutex_destroy(&j->releasing);
    jat_queue_fini(&j->queue);
    free_tables(j);
}

/* enc(E) under the keys of config, appended to buf. */
static enum jat_err show_endpoint(const struct jat_config *config,
                                  struct jat_str jid, struct jat_buf *buf,
                                  struct jat_span *shown)
{
    size_t start = buf->n;
    enum jat_form form;
    enum jat_err err =
        jat_address_seal(config->keyring, JAT_ROLE_ENDPOINT, jid, buf, &form);

    *shown = jat_buf_since(buf, start);
    return err;
}

/* An endpoint and its new address, owned. */
struct shown {
    jat_eid eid;
    char *p;
    size_t n;
};

static enum jat_err note_shown(struct jat_buf *list, jat_eid eid,
                               struct jat_str text)
{
    struct shown s = {eid, jat_mem_copy(text), text.n};

    if (s.p == NULL)
        return JAT_ENOMEM;
    jat_buf_add(list, jat_str((const char *)&s, sizeof(s)));
    if (!list->failed)
        return JAT_OK;
    jat_free(s.p);
    return JAT_ENOMEM;
}

/* The new address of every endpoint. */
static enum jat_err seal_all(struct jat *j, const struct jat_config *config,
                             struct jat_buf *list)
{
    struct jat_buf jid = JAT_BUF_INIT, shown = JAT_BUF_INIT;
    struct jat_endpoint_row e;
    struct jat_span span;
    uint32_t cursor = 0;
    enum jat_err err;

    while ((err = jat_endpoints_next(j->endpoints, &cursor, 0, &jid, &e)) ==
           JAT_OK) {
        err = show_endpoint(config, jat_buf_str(&jid, e.is.jid), &shown, &span);
        if (err == JAT_OK)
            err = note_shown(list, e.is.eid, jat_buf_str(&shown, span));
        if (err != JAT_OK)
            break;
        jat_buf_reset(&jid, SIZE_MAX);
        jat_buf_reset(&shown, SIZE_MAX);
    }
    jat_buf_fini(&jid);
    jat_buf_fini(&shown);
    return err == JAT_ENOTFOUND ? JAT_OK : err;
}

/* Shows every endpoint under the keys of config: all of them or none. */
static enum jat_err show_again(struct jat *j, const struct jat_config *config)
{
    struct jat_buf list = JAT_BUF_INIT;
    enum jat_err err = seal_all(j, config, &list);
    struct shown s;

    for (size_t at = 0; at < list.n; at += sizeof(s)) {
        memcpy(&s, list.p + at, sizeof(s));
        if (err == JAT_OK)
            (void)jat_endpoints_set_shown(j->endpoints, s.eid, &s.p, s.n);
        jat_free(s.p);
    }
    jat_buf_fini(&list);
    return err;
}

enum jat_err jat_configure(struct jat *j, struct jat_config *config)
{
    struct jat_config *old;
    enum jat_err err = jat_config_finish(config, j->host);

    if (err != JAT_OK)
        return err;
    pthread_mutex_lock(&j->configuring);
    old = atomic_load(&j->config);
    if (jat_config_same_keys(old, config)) {
        /* one for both: it is far larger than the rest, and kept as long */
        jat_keyring_free(config->keyring);
        config->keyring = old->keyring;
    } else {
        err = show_again(j, config);
    }
    if (err == JAT_OK) {
        config->older = old;
        atomic_store(&j->config, config);
        if (old->keyring != config->keyring)
            jat_keyring_retire(old->keyring);
        take_policy(j, config);
    } else {
        jat_keyring_free(config->keyring);
        config->keyring = NULL;
    }
    pthread_mutex_unlock(&j->configuring);
    return err;
}

enum jat_err jat_put_endpoint(struct jat *j, struct jat_str jid,
                              const struct jat_endpoint_state *state,
                              uint64_t now, bool *added)
{
    const struct jat_config *config = atomic_load(&j->config);
    struct jat_buf buf = JAT_BUF_INIT;
    struct jat_span shown;
    struct jat_jid parts;
    enum jat_err err;

    if (!jat_jid_split(jid, &parts) || parts.resource.n == 0 ||
        !jat_list_has(&config->targets, jat_jid_bare(jid)))
        return JAT_EBADARG;
    if (!jat_config_wants(config, parts.resource))
        return JAT_ENOTFOUND;
    err = show_endpoint(config, jid, &buf, &shown);
    if (err == JAT_OK)
        err = jat_endpoints_put(j->endpoints, jid, jat_buf_str(&buf, shown),
                                state, now, (size_t)config->max_endpoints, NULL,
                                added);
    jat_buf_fini(&buf);
    return err;
}

enum jat_err jat_remove_endpoint(struct jat *j, struct jat_str jid,
                                 jat_eid *eid)
{
    return jat_endpoints_remove(j->endpoints, jid, eid);
}

void jat_tick(struct jat *j, uint64_t now)
{
    for (unsigned n = jat_watch_tick(j->endpoints, now); n > 0; n--)
        jat_stats_add(&j->stats, JAT_STAT_ejections);
}

enum jat_err jat_next_ping(struct jat *j, uint32_t *cursor, uint64_t now,
                           struct jat_buf *buf, struct jat_ping *out)
{
    return jat_watch_next(j->endpoints, cursor, now, buf, out);
}

void jat_ponged(struct jat *j, jat_eid eid, bool answered, uint64_t now)
{
    jat_watch_ponged(j->endpoints, eid, answered, now);
}

bool jat_eject(struct jat *j, struct jat_str jid, uint64_t ms, uint64_t now)
{
    struct jat_endpoint e;

    return jat_endpoints_find(j->endpoints, jid, JAT_NO_STRINGS, NULL, &e) ==
               JAT_OK &&
           jat_watch_eject(j->endpoints, e.eid, ms, now);
}

/* A handle, or an endpoint whose address is one. */
static enum jat_err open_handle(struct jat *j, struct jat_str resource,
                                uint64_t now, enum jat_role *role,
                                struct jat_buf *buf)
{
    struct jat_endpoint e;
    enum jat_err err;

    *role = JAT_ROLE_REQUESTER;
    err = jat_recent_search(j->handles, jat_recent_text(j->handles, resource),
                            now, buf);
    if (err != JAT_ENOTFOUND)
        return err;
    *role = JAT_ROLE_ENDPOINT;
    err =
        jat_endpoints_find_shown(j->endpoints, resource, JAT_WITH_JID, buf, &e);
    return err == JAT_ENOTFOUND ? JAT_EUNOPENABLE : err;
}

enum jat_err jat_open(struct jat *j, struct jat_str resource, uint64_t now,
                      enum jat_role *role, struct jat_buf *buf)
{
    const struct jat_config *config = atomic_load(&j->config);
    enum jat_err err = JAT_EUNOPENABLE;

    switch (jat_address_form(resource)) {
    case JAT_FORM_JID:
        break;
    case JAT_FORM_HANDLE:
        return open_handle(j, resource, now, role, buf);
    case JAT_FORM_SEALED:
        for (unsigned r = 0; r < JAT_ROLE_COUNT && err == JAT_EUNOPENABLE;
             r++) {
            *role = (enum jat_role)r;
            err = jat_address_open(config->keyring, *role, resource, buf);
        }
        break;
    }
    return err;
}

bool jat_stay_with(struct jat *j, struct jat_str jid, bool leave, uint64_t now,
                   uint32_t *cursor, struct jat_staying *out)
{
    uint64_t hash = jat_endpoints_hash(j->endpoints, jid);
    uint64_t over = now + (uint64_t)atomic_load(&j->config)->timeout;

    return leave ? jat_kept_leave(j->kept, hash, now, over, cursor, out)
                 : jat_kept_stay(j->kept, hash, now, cursor, out);
}

enum jat_err jat_next_endpoint(struct jat *j, uint32_t *cursor, uint64_t now,
                               struct jat_buf *buf,
                               struct jat_endpoint_row *out)
{
    return jat_endpoints_next(j->endpoints, cursor, now, buf, out);
}

void jat_latency(struct jat *j, struct jat_latency_sum *out)
{
    jat_times_all(j->endpoints, out);
}

enum jat_err jat_next_latency(struct jat *j, uint32_t *cursor,
                              struct jat_buf *buf, struct jat_times_row *out)
{
    return jat_times_next(j->endpoints, cursor, buf, out);
}

enum jat_err jat_next_pending(struct jat *j, uint64_t *cursor, uint64_t now,
                              struct jat_buf *buf, struct jat_pending *out)
{
    struct jat_pending p;
    struct jat_request r;
    struct jat_endpoint e;
    uint64_t next = *cursor, ref;
    enum jat_err err = jat_inflight_next(j->inflight, &next, buf, &r, &ref);

    if (err != JAT_OK)
        return err;
    p = (struct jat_pending){
        .direction = r.direction,
        .set = r.set,
        .user = jat_buf_span(buf, r.user),
        .id = jat_buf_span(buf, r.id),
        .age = now > r.born ? now - r.born : 0,
        .left = r.deadline > now ? r.deadline - now : 0,
        .tries = r.n_tried + 1U,
    };
    err = jat_endpoints_get(j->endpoints, r.eid, JAT_WITH_JID, buf, &e);
    if (err == JAT_ENOMEM)
        return err;
    if (err == JAT_OK) /* otherwise it has gone */
        p.endpoint = e.jid;
    *cursor = next;
    *out = p;
    return JAT_OK;
}

/* What is in the tables now. */
static bool table_counter(struct jat *j, unsigned i, const char **name,
                          uint64_t *value)
{
    static const char *const names[] = {
        "endpoints", "pending",         "contacts", "conversations",
        "handles",   "shown_presences", "sessions", "retry_memory",
        "ejected",   "silent"};
    const uint64_t values[] = {
        jat_endpoints_count(j->endpoints), jat_inflight_count(j->inflight),
        jat_recent_count(j->contacts),     jat_recent_count(j->conversations),
        jat_recent_count(j->handles),      jat_recent_count(j->seen),
        jat_kept_count(j->kept),           jat_shares_octets(j->shares),
        jat_watch_ejected(j->endpoints),   jat_watch_silent(j->endpoints)};

    if (i >= sizeof(names) / sizeof(names[0]))
        return false;
    *name = names[i];
    *value = values[i];
    return true;
}

bool jat_counter(struct jat *j, unsigned i, const char **name, uint64_t *value)
{
    if (i >= JAT_STAT_COUNT)
        return table_counter(j, i - JAT_STAT_COUNT, name, value);
    *name = jat_stats_name((enum jat_stat)i);
    *value = jat_stats_get(&j->stats, (enum jat_stat)i);
    return true;
}
