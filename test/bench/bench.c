/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "bench.h"

#include <malloc.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "stanza.h"
#include "xml.h"

void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)vfprintf(stderr, format, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static uint64_t ns_of(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void)
{
    return ns_of(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
    return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

size_t memory(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void sort(uint64_t *numbers, size_t n)
{
    qsort(numbers, n, sizeof *numbers, by_size);
}

void row(const char *what, const char *goal, const char *format, ...)
{
    va_list ap;

    printf("%s\t%s\t", what, goal);
    va_start(ap, format);
    (void)vprintf(format, ap);
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void set(struct jat_config *c, const char *name, const char *value)
{
    struct jat_str n = jat_str(name, strlen(name));
    enum jat_err err =
        *value >= '0' && *value <= '9'
            ? jat_config_int(c, n, strtoll(value, NULL, 10))
            : jat_config_str(c, n, jat_str(value, strlen(value)));

    if (err != JAT_OK)
        die("option %s=%s: %s", name, value, jat_err_name(err));
}

static struct jat_config *config_of(const char *options)
{
    struct jat_config *c = jat_config_new();
    char *text = strdup(options), *rest = text, *name;

    if (c == NULL || text == NULL)
        die("no memory");
    set(c, "host", "proxy.example.org");
    set(c, "targets", "svc@example.org");
    set(c, "keys", "a key of no less than 32 octets."); /* JAT_SEAL_KEY */
    set(c, "max_pending", "2000000");
    set(c, "max_pending_per_user", "2000000");
    set(c, "max_pending_per_domain", "2000000");
    /* a tenth of it is what the one domain of all requesters may have */
    set(c, "max_contacts", "2000000");
    set(c, "message_rate", "2000000000");
    set(c, "message_rate_per_domain", "2000000000");
    while ((name = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(name, '=');

        if (value == NULL)
            die("option %s has no value", name);
        *value = '\0';
        set(c, name, value + 1);
    }
    free(text);
    return c;
}

struct jat *host_new(const char *options, unsigned endpoints)
{
    static const unsigned char seed[24] = "a seed of 24 octets ...";
    struct jat_endpoint_state state = {JAT_SHOW_NONE, 0, false, false};
    struct jat *j;
    enum jat_err err;
    bool added;

    jat_xml_init();
    if ((err = jat_instance_new(config_of(options), seed, &j)) != JAT_OK)
        die("no instance: %s", jat_err_name(err));
    for (unsigned i = 0; i < endpoints; i++) {
        char jid[64];
        int n = snprintf(jid, sizeof jid, "svc@example.org/%u", i);

        err = jat_put_endpoint(j, jat_str(jid, (size_t)n), &state, 0, &added);
        if (err != JAT_OK)
            die("no endpoint: %s", jat_err_name(err));
    }
    return j;
}

/* The order of the attributes is that of mod_client_proxy_router:head/1. */
#define ATTRS(name, type) "<" name " type='" type "' id='ID__________' from='"

__attribute__((format(printf, 2, 3))) static void
write_head(struct head *h, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(h->text, sizeof h->text, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof h->text)
        die("a head of %d octets", n);
    h->n = (size_t)n;
    h->id = strstr(h->text, "ID__________");
    h->id_n = ID_LEN;
}

void head_put_id(struct head *h, struct jat_str id)
{
    char *end = h->id + h->id_n;

    if (h->n - h->id_n + id.n >= sizeof h->text)
        die("an id of %zu octets", id.n);
    if (id.n != h->id_n)
        memmove(h->id + id.n, end, (size_t)(h->text + h->n + 1 - end));
    memcpy(h->id, id.p, id.n);
    h->n += id.n - h->id_n;
    h->id_n = id.n;
}

void head_request(struct head *h, unsigned user)
{
    write_head(h,
               ATTRS("iq", "get") USER_JID
               "' to='proxy.example.org'><query xmlns="
               "'http://jabber.org/protocol/disco#items'/></iq>",
               user);
}

void head_message(struct head *h, unsigned user)
{
    write_head(h,
               ATTRS("message", "chat") USER_JID
               "' to='proxy.example.org'><body/></message>",
               user);
}

void head_answer(struct head *h, struct jat_str resource, struct jat_str shown)
{
    write_head(h,
               ATTRS("iq", "result") "svc@example.org/%.*s' to="
                                     "'proxy.example.org/%.*s'></iq>",
               (int)resource.n, resource.p, (int)shown.n, shown.p);
}

void head_message_back(struct head *h, struct jat_str resource,
                       struct jat_str shown)
{
    write_head(h,
               ATTRS("message", "chat") "svc@example.org/%.*s' to="
                                        "'proxy.example.org/%.*s'><body/>"
                                        "</message>",
               (int)resource.n, resource.p, (int)shown.n, shown.p);
}

static bool is_forwarded(const struct jat_decision *d, enum what what)
{
    if (what == MESSAGE)
        return d->verb == JAT_DO_PASS;
    return d->verb == JAT_DO_FORWARD && d->forward.answer == (what == ANSWER);
}

void handle(struct jat *j, const struct head *h, uint64_t now, enum what what,
            struct jat_buf *buf, struct jat_decision *d)
{
    enum jat_err err;

    jat_buf_reset(buf, SIZE_MAX);
    err = jat_handle(j, head_str(h), jat_str(NULL, 0), 0, 100, now, buf, d);
    if (err != JAT_OK)
        die("%s: %s", h->text, jat_err_name(err));
    if (!is_forwarded(d, what))
        die("%s: decision %d", h->text, (int)d->verb);
}
