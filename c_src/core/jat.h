/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* mod_client_proxy's core: Jabber Address Translation, NAT for XMPP addresses.
 * Read this first, then jat.c: the two explain the whole core.
 *
 * A proxy host P stands in front of one or more accounts (targets). Requesters
 * U write to P; the core chooses one of the target's online resources (an
 * endpoint E) and says which addresses the stanza travels on with:
 *
 *     U -> P            iq get id=1234
 *     P -> E            the same, from P/enc(U)        (jat_handle: REQUEST)
 *     E -> P            iq result id=1234 to P/enc(U)
 *     P -> U            the same, from P               (jat_handle: ANSWER)
 *
 * The other way round, E writes to P/enc(U) and U sees P/enc(E) (OUTBOUND).
 * Between request and answer there is a record. Taking a record has exactly
 * one winner: the answer, the deadline, a bounce, the end of the endpoint or
 * of the module; hence one request gets exactly one answer.
 *
 *     bindings (nif.c, port.c)         terms <-> these structs, nothing else
 *        |
 *     jat.c        who talks to whom, as two tables -> what is done
 *     exchange.c   the life of a record: begin, end, send again, fail
 *        |
 *     stanza  jid  address -> seal  config   endpoints -> balance
 *     inflight -> closed   recent   credit, kept -> quota   stats
 *        |
 *     buf  hash  lock  mem  err  why  str
 *
 * The core reads no clock and no random device and keeps nothing between calls
 * but its tables: the time is an argument (ms of one monotonic clock), seeds
 * come with jat_instance_new. Any number of threads may call at once.
 *
 * Ownership: inputs are borrowed for the call. Outputs are spans of a buffer
 * that the caller owns. Nothing that is returned points into a table. */
#ifndef JAT_H
#define JAT_H

#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "endpoints.h"
#include "err.h"
#include "why.h"

/* What callers of the bindings must agree on; part of the library's name. */
#define JAT_ABI 4

/* The words of the enumerations here; static storage. */
const char *jat_local_name(unsigned local);
const char *jat_ask_name(unsigned ask);
const char *jat_reason_name(unsigned reason);
const char *jat_how_name(unsigned how);

enum jat_verb {
    JAT_DO_REQUEST,  /* forward: from, to, id, record; keep */
    JAT_DO_OUTBOUND, /* forward: from, to, id, record */
    JAT_DO_ANSWER,   /* forward: from, to, id; record is closed; keep: its
                        packet had been kept */
    JAT_DO_REPLY,    /* answer with the error `condition` */
    JAT_DO_LOCAL,    /* the host takes it: detail is a jat_local */
    JAT_DO_DROP,     /* nothing; detail is a jat_reason */
    JAT_DO_ASK       /* call again with a hint: detail is a jat_ask, about
                        `text` */
};

enum jat_local {
    JAT_LOCAL_TARGET_PRESENCE, /* presence of a target to P */
    JAT_LOCAL_SUBSCRIBE,       /* a requester wants to subscribe to P */
    JAT_LOCAL_DISCO_INFO,      /* XEP-0030 to P itself */
    JAT_LOCAL_PING,            /* XEP-0199 to P itself */
    JAT_LOCAL_COUNT
};

enum jat_reason {
    JAT_REASON_UNSOLICITED, /* an answer without a record */
    JAT_REASON_UNROUTABLE,  /* nothing that goes on, and nothing to answer */
    JAT_REASON_COUNT
};

enum jat_ask {
    JAT_ASK_RESOURCEPREP, /* is `text` its own resourceprep? */
    JAT_ASK_JID,          /* what is the prepared form of the JID `text`? */
    JAT_ASK_OUTBOUND, /* may the target speak to `text` (outbound_access)? */
    JAT_ASK_ENDPOINT, /* read the session `text` again: is it online? */
    JAT_ASK_COUNT
};

/* What the caller knows and the core cannot find out. */
enum jat_hint {
    JAT_HINT_RESOURCEPREP_OK = 1,
    JAT_HINT_RESOURCEPREP_REFUSED = 2,
    JAT_HINT_ACCESS_DENIED = 4, /* `access` does not allow the requester */
    JAT_HINT_OUTBOUND_ALLOWED = 8,
    JAT_HINT_OUTBOUND_DENIED = 16,
    JAT_HINT_JID_MALFORMED = 32, /* answer to JAT_ASK_JID: it is none */
    JAT_HINT_ENDPOINT_READ = 64  /* answer to JAT_ASK_ENDPOINT: it was read */
};

/* The parts of an address; empty where absent. */
struct jat_parts {
    struct jat_span user, server, resource;
};

struct jat_decision {
    enum jat_verb verb;
    enum jat_why why;
    enum jat_condition condition; /* of why */
    unsigned detail;
    struct jat_parts from, to;
    struct jat_span id;
    bool new_id; /* id differs from the one that the stanza came with */
    bool keep;
    uint64_t record;
    struct jat_span text;
};

/* How a forwarded request came back from ejabberd. */
enum jat_how {
    JAT_HOW_UNDELIVERED, /* provably: there was no session */
    JAT_HOW_LOST,        /* the session has ended, or s2s has failed */
    JAT_HOW_REFUSED,     /* the session lives, but the server lets nothing of
                            this sender, or of this kind, through to it */
    JAT_HOW_COUNT
};

/* A record closed without an answer, and what the caller does about it. */
enum jat_fate {
    JAT_FATE_RETRY, /* send the packet kept by `record` again, with from, to,
                       id; its record is `next` now */
    JAT_FATE_FAIL,  /* the error `condition` from `from` to `to` under id */
    JAT_FATE_FORGET /* the asker is gone, and with it who it was */
};

struct jat_outcome {
    enum jat_fate fate;
    uint64_t record, next;
    enum jat_why why;
    enum jat_condition condition; /* of why */
    bool kept;                    /* a packet is kept by `record` */
    struct jat_parts from, to;
    struct jat_span id;
};

/* A growable list of outcomes, their strings in `text`; owned by the caller.
 * Room is made before a record is taken, so none is lost for want of memory. */
struct jat_outcomes {
    struct jat_outcome *v;
    size_t n, cap;
    struct jat_buf text;
};

#define JAT_OUTCOMES_INIT                                                      \
    {                                                                          \
        NULL, 0, 0, JAT_BUF_INIT                                               \
    }

void jat_outcomes_fini(struct jat_outcomes *o);

/* One proxy host. */
struct jat;

/* seed: 24 random octets. config: with `host`, becomes the instance's on
 * success, stays the caller's on failure. Errors: JAT_EBADARG (an option is
 * missing or contradicts another), JAT_ENOMEM, JAT_ECRYPTO. */
enum jat_err jat_instance_new(struct jat_config *config,
                              const unsigned char seed[24], struct jat **out);
/* Nobody else is in a call any more. */
void jat_instance_free(struct jat *j);

/* Replaces the configuration; endpoints and records stay (addresses sealed
 * under a key that is in the new list can still be opened). Retired
 * configurations live until jat_instance_free: readers hold no lock, and a
 * reload is rare. Ownership and errors as in jat_instance_new. */
enum jat_err jat_configure(struct jat *j, struct jat_config *config);

/* Decides about one stanza. xml: its head, or the whole of it. prepared: empty,
 * or the answer to JAT_ASK_JID. hints: of enum jat_hint. weight: octets that
 * the packet takes if it is kept for another try; 0: it cannot be kept. The
 * decision's spans are in buf (appended). Errors are those of jat_stanza_parse,
 * and JAT_EBADARG where from or to is no JID. */
enum jat_err jat_handle(struct jat *j, struct jat_str xml,
                        struct jat_str prepared, unsigned hints,
                        uint32_t weight, uint64_t now, struct jat_buf *buf,
                        struct jat_decision *out);

/* The next five close records and append what becomes of them to out. With
 * JAT_ENOMEM everything that is in out holds, and nothing else was closed. */

/* The forwarded request came back from ejabberd. JAT_ENOTFOUND: closed before.
 */
enum jat_err jat_bounce(struct jat *j, uint64_t record, enum jat_how how,
                        uint64_t now, struct jat_outcomes *out);
/* The request could not be sent at all. JAT_ENOTFOUND: closed before. */
enum jat_err jat_abort(struct jat *j, uint64_t record, enum jat_why why,
                       uint64_t now, struct jat_outcomes *out);
/* Closes up to max records whose deadline has come and forgets old contacts.
 * JAT_EFULL: there is more. */
enum jat_err jat_expire(struct jat *j, uint64_t now, size_t max,
                        struct jat_outcomes *out);
/* Goes through the records of an endpoint that has gone (*cursor is 0 at
 * first), looking at up to max (one that is settled counts for several).
 * JAT_EFULL: there is more. */
enum jat_err jat_sweep(struct jat *j, jat_eid eid, uint64_t *cursor,
                       uint64_t now, size_t max, struct jat_outcomes *out);
/* Closes up to max records, whichever (the module stops). JAT_EFULL: there is
 * more. */
enum jat_err jat_drain(struct jat *j, uint64_t now, size_t max,
                       struct jat_outcomes *out);

/* Adds or updates an endpoint by its full JID. *added is set on success.
 * Errors: JAT_EBADARG (not the full JID of a target), JAT_ENOTFOUND (option
 * `resources` does not name it), JAT_EFULL (max_endpoints), JAT_ENOMEM,
 * JAT_ECRYPTO. */
enum jat_err jat_put_endpoint(struct jat *j, struct jat_str jid,
                              const struct jat_endpoint_state *state,
                              bool *added);
/* Removes it; sweep its records by *eid. JAT_ENOTFOUND. */
enum jat_err jat_remove_endpoint(struct jat *j, struct jat_str jid,
                                 jat_eid *eid);

/* The JID that a resource at P stands for, appended to buf, and its role.
 * JAT_EUNOPENABLE. */
enum jat_err jat_open(struct jat *j, struct jat_str resource, uint64_t now,
                      enum jat_role *role, struct jat_buf *buf);

/* For people: the endpoints and the records, one by one (cursor 0 at first,
 * JAT_ENOTFOUND at the end). */
enum jat_err jat_next_endpoint(struct jat *j, uint32_t *cursor,
                               struct jat_buf *buf, struct jat_endpoint *out);

struct jat_pending {
    struct jat_span user, endpoint, id;
    uint64_t age, left; /* ms */
    unsigned tries;
    bool outbound; /* client-initiated */
    bool set;
};

enum jat_err jat_next_pending(struct jat *j, uint64_t *cursor, uint64_t now,
                              struct jat_buf *buf, struct jat_pending *out);

/* Counter i of the instance: name and value; false at the end. The first ones
 * are jat_stats, then how much is in the tables now. */
bool jat_counter(struct jat *j, unsigned i, const char **name, uint64_t *value);

#endif
