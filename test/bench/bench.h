/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the benchmarks of the core share: a proxy host, heads of stanzas as the
 * Erlang side writes them, a clock, rows of the table (see run). */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "jat.h"

/* Says why on stderr and ends the program. */
_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format,
                                                         ...);

/* ns of the monotonic clock, and of this thread's CPU. */
uint64_t now_ns(void);
uint64_t cpu_ns(void);

/* Octets that are allocated. */
size_t memory(void);

/* From the smallest on. */
void sort(uint64_t *numbers, size_t n);

/* Prints a row: what, goal, and what was measured by printf. */
__attribute__((format(printf, 3, 4))) void
row(const char *what, const char *goal, const char *format, ...);

/* A proxy host proxy.example.org of the target svc@example.org with so many
 * endpoints, resources "0", "1" and so on. options: "name=value ...", values
 * numbers or words. Limits that no load here is meant to reach are wide. */
struct jat *host_new(const char *options, unsigned endpoints);

#define ID_LEN 12
#define USER_JID "romeo%u@example.net/garden"

/* The head of a stanza (mod_client_proxy_router:head/1), its id to be set. */
struct head {
    char text[512];
    size_t n;
    char *id; /* in text */
    size_t id_n;
};

static inline struct jat_str head_str(const struct head *h)
{
    return jat_str(h->text, h->n);
}

/* The id: number n in hex. */
static inline void head_set_id(struct head *h, uint64_t n)
{
    static const char hex[] = "0123456789abcdef";

    for (unsigned i = ID_LEN; i-- > 0; n >>= 4)
        h->id[i] = hex[n & 15];
}

/* The id: this one. */
void head_put_id(struct head *h, struct jat_str id);

/* A request, or a message, of requester number `user` to the proxy host. */
void head_request(struct head *h, unsigned user);
void head_message(struct head *h, unsigned user);
/* The answer, or a message, of the target's `resource` to the requester that is
 * shown to it so. */
void head_answer(struct head *h, struct jat_str resource, struct jat_str shown);
void head_message_back(struct head *h, struct jat_str resource,
                       struct jat_str shown);

/* A call of jat_handle, which must forward this; the decision's strings replace
 * what is in buf. */
enum what { REQUEST, ANSWER, MESSAGE };
void handle(struct jat *j, const struct head *h, uint64_t now, enum what what,
            struct jat_buf *buf, struct jat_decision *d);

#endif
