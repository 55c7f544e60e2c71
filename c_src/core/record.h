/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One request in flight, and how it is kept: as one block of memory with all
 * its strings. Blocks of the usual size are used again by the shard that they
 * belong to, so that a request costs no allocation. No locks here: whoever
 * holds the mutex of the shard calls. */
#ifndef JAT_RECORD_H
#define JAT_RECORD_H

#include "buf.h"
#include "endpoints.h"
#include "err.h"
#include "jid.h"

/* Octets of each string of a request, at most. */
#define JAT_REQUEST_STR_MAX UINT16_MAX
/* Octets of the longest id of a request: it is kept as long as its record is,
 * so a long one would be memory for the taking. */
#define JAT_ID_MAX 1024U

/* Who asks: a requester (in) or an endpoint (out). */
enum jat_direction { JAT_IN, JAT_OUT };

/* What a record is counted for (shares.h); keys of quota.h. */
struct jat_share {
    uint64_t user, domain;
    uint32_t octets; /* of its packet, which is kept, for it may be sent again;
                        0: it is not */
};

/* A request as it is put and as it comes back. Strings are borrowed on the way
 * in; on the way out they point into the caller's buffer, until it changes. */
struct jat_request {
    enum jat_direction direction;
    bool set;          /* type set, not get */
    bool any_endpoint; /* any other endpoint may have it, too */
    bool once;       /* its packet is kept only until it is sent (waiting.h) */
    bool released;   /* it has waited for an endpoint */
    bool held;       /* it is held back (held.h) */
    uint8_t retries; /* how often it may still be sent again */
    uint8_t n_tried;
    struct jat_cut user_cut, asked_cut; /* of `user` and `asked` */
    jat_eid eid;                        /* the endpoint that answers or asks */
    uint64_t eid_hash;   /* hash of its JID (jat_endpoint.hash) */
    uint64_t tail;       /* jat_jid_tail of its JID; on the way in only */
    struct jat_str user; /* U, full JID */
    struct jat_str shown;
    struct jat_str asked;    /* address that the asker wrote to */
    struct jat_str id;       /* the asker's */
    struct jat_str id_out;   /* out only: the id on the far side; the same
                                octets as id where it is that, with no tag */
    uint64_t born, deadline; /* ms */
    const uint64_t *tried; /* hashes of the JIDs of those that had it before */
    /* the caller's; come back unchanged */
    struct jat_share share;
    uint64_t sticky_key; /* hash of what `sticky` chooses by; 0: nothing */
    uint64_t session;    /* the key of its session (session.h); 0: it has none.
                            One that has is never sent again. */
    bool by_sessionid;   /* its session is one of XEP-0050 */
};

/* A record: the fixed part, the endpoints tried, the key of its session (if it
 * has one), then the octets of user, shown, asked, id, of an id of ours where
 * the asker's was not kept, and of the sealed tag, if there is one. The id on
 * the far side is one piece of that. */
struct jat_record {
    union {
        uint64_t ref;
        struct jat_record *next; /* of a spare block */
    };
    uint64_t hash; /* the caller's */
    uint64_t eid_hash;
    uint64_t born;
    uint64_t sticky_key;
    struct jat_share share;
    struct jat_cut user_cut, asked_cut;
    uint16_t user_n, shown_n, asked_n, id_n;
    uint8_t added_n; /* octets of an id of ours, of a tag, of both */
    uint8_t n_tried;
    uint8_t retries;
    bool out : 1;           /* its direction */
    bool shown_is_user : 1; /* shown has no octets of its own */
    bool set : 1;
    bool any_endpoint : 1;
    bool session : 1;
    bool by_sessionid : 1;
    bool once : 1;
    bool released : 1;
    bool held : 1;
    bool replaced : 1; /* the id on the far side is one of ours */
    uint64_t tried[];  /* and the session */
};

/* The spare blocks of a shard, by their size: 8 octets and some steps of 16, as
 * malloc has them. Zeroed memory has none. */
#define JAT_BLOCK_STEP 16U
#define JAT_BLOCK_SIZES 16U

struct jat_blocks {
    struct jat_record *spare[JAT_BLOCK_SIZES];
    uint32_t n; /* in all */
};

void jat_blocks_fini(struct jat_blocks *b);

/* A record of q, but for its endpoint and deadline. added: what the id on the
 * far side has beside the asker's own octets; empty: it is the asker's.
 * replaced: it has nothing else. NULL: no memory. */
struct jat_record *jat_record_new(struct jat_blocks *b,
                                  const struct jat_request *q,
                                  struct jat_str added, bool replaced);
/* Gives its block back. Returns what the caller is to free (jat_free), after
 * the lock. */
struct jat_record *jat_record_give(struct jat_blocks *b, struct jat_record *r);

/* Copies it out, but for endpoint and deadline; the strings are in buf.
 * JAT_ENOMEM. */
enum jat_err jat_record_copy(const struct jat_record *r, struct jat_buf *buf,
                             struct jat_request *out);

/* True if the request may be sent to another endpoint, though this one may have
 * got it: its packet is kept. */
bool jat_record_may_move(const struct jat_record *r);

/* True if the one who answers is shown this address and this id. user: of a
 * request of an endpoint (out), the one who answers. */
bool jat_record_is_shown(const struct jat_record *r, bool out,
                         struct jat_str user, struct jat_str shown,
                         struct jat_str id);

#endif
