/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One proxy host from inside: shared by jat.c and exchange.c, nobody else. */
#ifndef JAT_HOUSE_H
#define JAT_HOUSE_H

#include <pthread.h>
#include <stdatomic.h>

#include "credit.h"
#include "inflight.h"
#include "jat.h"
#include "jid.h"
#include "kept.h"
#include "quota.h"
#include "recent.h"
#include "stanza.h"
#include "stats.h"

/* Octets of the longest id of a request: it is kept as long as its record is,
 * so a long one would be memory for the taking. */
#define JAT_ID_MAX 1024U

struct jat {
    struct jat_stats stats;
    struct jat_str host; /* P; owned by the first configuration */
    _Atomic(struct jat_config *) config;
    pthread_mutex_t configuring; /* one jat_configure at a time */
    struct jat_seed seed;
    struct jat_endpoints *endpoints;
    struct jat_inflight *inflight;
    struct jat_recent *contacts; /* see contact.c */
    struct jat_recent *handles;  /* handle -> JID of a requester */
    struct jat_quota *users;
    struct jat_credit *domains, *pending; /* pending: of all, see exchange.c */
    struct jat_kept *kept;                /* octets of kept packets */
};

/* One call of jat_handle. The strings live as long as the call. */
struct jat_call {
    struct jat *j;
    const struct jat_config *config;
    const struct jat_stanza *stanza;
    struct jat_jid from, to;
    struct jat_str user; /* `from` as text */
    struct jat_str prepared;
    unsigned hints;
    uint32_t weight; /* of the packet, if it is kept */
    uint64_t now;
    struct jat_buf *buf; /* the caller's: the decision's, and our notes */
    struct jat_decision *out;
};

/* The decision `reply` with this error; counts it. */
enum jat_err jat_refuse(struct jat_call *c, enum jat_why why);

/* The decision `ask` about this text. */
enum jat_err jat_ask(struct jat_call *c, enum jat_ask what,
                     struct jat_str text);

/* exchange.c: forwards the request of call c to the endpoint `only`, or, where
 * that is 0, to one of the strategy's choice. */
enum jat_err jat_request_begin(struct jat_call *c, jat_eid only);
/* Forwards the client-initiated request of endpoint e to `user`; the strings of
 * both are in c->buf. */
enum jat_err jat_outbound_begin(struct jat_call *c,
                                const struct jat_endpoint *e,
                                struct jat_span user);
/* Forwards the answer in call c to the one who asked, if there is a record. e:
 * the endpoint that answers, without its strings, or that had asked, its
 * strings in c->buf. */
enum jat_err jat_request_end(struct jat_call *c, const struct jat_endpoint *e);
enum jat_err jat_outbound_end(struct jat_call *c, const struct jat_endpoint *e);

/* The key of U in the limits and in contacts: any JID of it has the same. */
uint64_t jat_user_key(const struct jat *j, struct jat_str user);
/* The key of U's domain, where that is a remote one; otherwise JAT_NOBODY. */
uint64_t jat_domain_key(const struct jat *j, const struct jat_config *config,
                        struct jat_str domain);
/* For settle.c. Gives back what the record was counted for. */
void jat_release(struct jat *j, const struct jat_request *r,
                 enum jat_ended ended);
/* Chooses an endpoint for r that has not had it. The table of endpoints is held
 * (jat_endpoints_hold) from here to the end of jat_put_request. */
enum jat_err jat_choose(struct jat *j, const struct jat_config *config,
                        const struct jat_request *r, struct jat_buf *buf,
                        struct jat_endpoint *e);

/* A record as it stands after jat_put_request. */
struct jat_put {
    struct jat_span id; /* on the far side, in the buffer */
    bool new_id;
    uint64_t record;
};

/* Makes the record of r for endpoint e (r->eid, r->eid_hash and r->shown are
 * set here). Strings of r may be in buf, as `shown` is, if there is room for
 * its id and 64 octets more. */
enum jat_err jat_put_request(struct jat *j, struct jat_request *r,
                             const struct jat_endpoint *e,
                             struct jat_span shown, uint64_t now,
                             struct jat_buf *buf, struct jat_put *out);

/* contact.c: U (r->user_key, r->domain_key) and this target
 * (jat_endpoint.target) have just spoken; a contact lives at least until
 * `until`. made: U did, which makes a contact; otherwise one that exists lives
 * on. */
void jat_contact_touch(struct jat *j, const struct jat_config *config,
                       const struct jat_request *r, uint64_t target, bool made,
                       uint64_t now, uint64_t until);
bool jat_contact_known(struct jat *j, const struct jat_config *config,
                       struct jat_str user, uint64_t target, uint64_t now);

/* The parts of the JID whose text is `jid` in buf. */
struct jat_parts jat_parts_of(const struct jat_buf *buf, struct jat_span jid);
/* P/resource, both in the same buffer. */
struct jat_parts jat_parts_host(struct jat_span host, struct jat_span resource);
/* Where s, which points into buf, stands there. */
struct jat_span jat_span_of(const struct jat_buf *buf, struct jat_str s);

#endif
