/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the core says about one stanza: a verb, and what belongs to that verb.
 * The actions fill it by the functions below; an action never calls another
 * action.
 *
 * The strings of a decision are spans of the caller's buffer. */
#ifndef JAT_DECISION_H
#define JAT_DECISION_H

#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "inflight.h"
#include "jid.h"
#include "tag.h"
#include "why.h"

/* The parts of an address; empty where absent. */
struct jat_parts {
    struct jat_span user, server, resource;
};

/* The parts of a JID that is cut there. */
struct jat_parts jat_parts_cut(struct jat_span jid, struct jat_cut cut);
/* The parts as one JID, appended to the buffer they are in, and where it is
 * cut. */
struct jat_span jat_parts_join(struct jat_buf *buf,
                               const struct jat_parts *parts,
                               struct jat_cut *cut);

enum jat_verb {
    JAT_DO_REFUSE,  /* answer with the error `why` */
    JAT_DO_DROP,    /* nothing; `reason` */
    JAT_DO_LOCAL,   /* the host itself takes it: `local` */
    JAT_DO_ASK,     /* find out `ask`, then call again with what was found */
    JAT_DO_FORWARD, /* send it on, there is a record: `forward` */
    JAT_DO_HOLD,    /* keep its packet by `record`, there is no endpoint yet */
    JAT_DO_PASS,    /* send it on, there is none: `pass` */
    JAT_DO_ELSEWHERE, /* an answer whose record the node with `tag` may have */
    JAT_VERB_COUNT
};

enum jat_reason {
    JAT_REASON_UNSOLICITED, /* an answer without a record */
    JAT_REASON_UNROUTABLE,  /* neither to be forwarded nor to be answered */
    JAT_REASON_LIMITED,     /* beyond message_rate */
    JAT_REASON_NO_ENDPOINT, /* what is of no use later */
    JAT_REASON_DENIED,      /* presence that `outbound` does not allow */
    JAT_REASON_FULL,        /* there is no room to remember it */
    JAT_REASON_COUNT
};

enum jat_local {
    JAT_LOCAL_TARGET_PRESENCE, /* presence of a target to P */
    /* presence of a requester to P */
    JAT_LOCAL_SUBSCRIBE,
    JAT_LOCAL_UNSUBSCRIBE,
    JAT_LOCAL_PROBE,
    JAT_LOCAL_AVAILABLE,
    JAT_LOCAL_PRESENCE_ERROR,
    JAT_LOCAL_DECLINE, /* subscribe or probe: say `unsubscribed` */
    /* queries to P itself */
    JAT_LOCAL_DISCO_INFO,  /* XEP-0030 */
    JAT_LOCAL_DISCO_ITEMS, /* XEP-0030 */
    JAT_LOCAL_PING,        /* XEP-0199 */
    JAT_LOCAL_COUNT
};

enum jat_ask {
    JAT_ASK_RESOURCEPREP, /* is `about` its own resourceprep? */
    JAT_ASK_JID,          /* what is the prepared form of the JID `about`? */
    JAT_ASK_OUTBOUND, /* may the target speak to `about` (outbound_access)? */
    JAT_ASK_ENDPOINT, /* read the session `about` again: is it online? */
    /* of the other nodes of a cluster, see recall.h: */
    JAT_ASK_CONTACT,
    JAT_ASK_CONVERSATION,
    JAT_ASK_HANDLE,
    JAT_ASK_SESSION,
    JAT_ASK_KEPT,
    JAT_ASK_TAKEN,
    /* of other modules of the caller: may this request go on? */
    JAT_ASK_ADMISSION,
    JAT_ASK_COUNT
};

struct jat_question {
    enum jat_ask what;
    struct jat_span about;
};

struct jat_forward {
    enum jat_direction direction; /* of the request */
    bool answer;                  /* to such a request; its record is closed */
    bool keep;   /* a request: keep its packet by `record`. An answer: the
                    packet of its request had been kept */
    bool new_id; /* the id differs from the one that the stanza came with ... */
    struct jat_span id; /* ... and is this one */
    uint64_t record;
    struct jat_parts from, to;
};

/* A message, or directed presence of an endpoint; it keeps its id. */
struct jat_pass {
    enum jat_direction direction;
    struct jat_parts from, to;
};

struct jat_decision {
    enum jat_verb verb;
    union {
        enum jat_why why;
        enum jat_reason reason;
        enum jat_local local;
        struct jat_question ask;
        struct jat_forward forward;
        struct jat_pass pass;
        uint64_t record;   /* of JAT_DO_HOLD */
        char tag[JAT_TAG]; /* any octets, where the id was not one of ours */
    };
};

/* Each fills a decision and returns JAT_OK. */
enum jat_err jat_refuse(struct jat_decision *d, enum jat_why why);
enum jat_err jat_drop(struct jat_decision *d, enum jat_reason reason);
enum jat_err jat_local(struct jat_decision *d, enum jat_local what);
enum jat_err jat_elsewhere(struct jat_decision *d, const char tag[JAT_TAG]);
enum jat_err jat_ask(struct jat_decision *d, enum jat_ask what,
                     struct jat_span about);
/* The same about a text that is not in buf yet. JAT_ENOMEM. */
enum jat_err jat_ask_text(struct jat_decision *d, enum jat_ask what,
                          struct jat_str about, struct jat_buf *buf);

/* The words of the enumerations; static storage. */
const char *jat_local_name(unsigned local);
const char *jat_ask_name(unsigned ask);
const char *jat_reason_name(unsigned reason);

#endif
