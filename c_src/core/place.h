/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Where a stanza stands: who sends it, what it is, and whom it is for. The
 * rules (rules.c) go by these three.
 *
 * Whom an address at P stands for is found out only where a rule needs it, and
 * only once: until then `whom` is the set of all that it may be. */
#ifndef JAT_PLACE_H
#define JAT_PLACE_H

#include "decision.h"
#include "instance.h"
#include "pace.h"
#include "stanza.h"

enum jat_sender {
    JAT_REQUESTER,
    JAT_TARGET, /* its bare JID is a target */
    JAT_SENDER_COUNT
};

/* What a stanza is: one bit (RFC 6120, 8.2.3; RFC 6121, 4.7.1 and 5.2.2). */
enum jat_what {
    JAT_IS_REQUEST = 1 << 0, /* iq get, set */
    JAT_IS_ANSWER = 1 << 1,  /* iq result, error */
    JAT_IS_MESSAGE = 1 << 2, /* chat, normal, none, unknown */
    JAT_IS_HEADLINE = 1 << 3,
    JAT_IS_GROUPCHAT = 1 << 4,
    JAT_IS_MESSAGE_ERROR = 1 << 5,
    /* presence: */
    JAT_IS_AVAILABLE = 1 << 6,
    JAT_IS_UNAVAILABLE = 1 << 7,
    JAT_IS_SUBSCRIBE = 1 << 8,
    JAT_IS_UNSUBSCRIBE = 1 << 9,
    JAT_IS_SUBSCRIBED = 1 << 10, /* or unsubscribed */
    JAT_IS_PROBE = 1 << 11,
    JAT_IS_PRESENCE_ERROR = 1 << 12,
    JAT_IS_ANYTHING = (1 << 13) - 1
};

/* Whom it is for: one bit, or a set of what an address may be. */
enum jat_to {
    JAT_TO_HOST = 1 << 0,     /* P */
    JAT_TO_NODE = 1 << 1,     /* node@P.., which `localparts` does not allow */
    JAT_TO_ENDPOINT = 1 << 2, /* P/enc(E); E is online */
    JAT_TO_GONE = 1 << 3,     /* P/enc(E); E is not */
    JAT_TO_NOBODY = 1 << 4,   /* P/anything else */
    /* only what a target writes to: */
    JAT_TO_REQUESTER = 1 << 5,  /* P/enc(U) */
    JAT_TO_ACCOUNT = 1 << 6,    /* P/T, P/T/resource: a target's account */
    JAT_TO_AT_HOST = 1 << 7,    /* P/X where X is itself at P */
    JAT_TO_UNPREPARED = 1 << 8, /* P/JID, whose prepared form is to be asked */
    JAT_TO_HIDDEN = 1 << 9,     /* P/JID, where JIDs are not to be known */
    JAT_TO_UNKNOWN = 1 << 10,   /* P/handle, which another node may know */
    JAT_TO_RESOURCE = (1 << 11) - 1 - JAT_TO_HOST - JAT_TO_NODE,
    JAT_TO_ANYBODY = (1 << 11) - 1
};

/* One call of jat_handle. The strings live as long as the call. */
struct jat_call {
    struct jat *j;
    const struct jat_config *config;
    const struct jat_stanza *stanza;
    struct jat_jid from, to;
    struct jat_str prepared; /* the answer to JAT_ASK_JID */
    unsigned hints;          /* of enum jat_hint */
    uint32_t weight;         /* of the packet, if it is kept */
    uint64_t now;
    struct jat_buf *buf; /* the caller's: for the decision, and for notes */
    struct jat_decision *out;

    /* the place */
    enum jat_sender sender;
    enum jat_what what;
    unsigned whom;                /* of enum jat_to */
    uint64_t node;                /* jat_node_key of c->to */
    struct jat_share share;       /* of who sends a message or presence, ... */
    enum jat_pace_verdict pace;   /* ... and whether he is too fast */
    struct jat_endpoint endpoint; /* of JAT_TO_ENDPOINT, with its JID */
    uint64_t gone;           /* of JAT_TO_GONE: the hash of E's JID; 0: no such
                                endpoint may come */
    struct jat_span user;    /* of JAT_TO_REQUESTER: its JID, in buf, ... */
    struct jat_cut user_cut; /* ... and where that is cut */
    bool spoke; /* the target wrote to a sealed address or a handle, which it
                   can have from U only: so U has spoken first */
};

/* What the caller knows and the core cannot find out. */
enum jat_hint {
    JAT_HINT_RESOURCEPREP_OK = 1,
    JAT_HINT_RESOURCEPREP_REFUSED = 2,
    JAT_HINT_ACCESS_DENIED = 4, /* `access` does not allow the requester */
    JAT_HINT_OUTBOUND_ALLOWED = 8,
    JAT_HINT_OUTBOUND_DENIED = 16,
    JAT_HINT_JID_MALFORMED = 32, /* answer to JAT_ASK_JID: it is none */
    JAT_HINT_ENDPOINT_READ = 64, /* answer to JAT_ASK_ENDPOINT: it was read */
    JAT_HINT_COUNTED = 128,      /* by message_rate, when it came before */
    /* other nodes may be asked about this, once each: question.h */
    JAT_HINT_ASK_CONTACT = 256,
    JAT_HINT_ASK_CONVERSATION = 512,
    JAT_HINT_ASK_HANDLE = 1024,
    JAT_HINT_ASK_SESSION = 2048,
    JAT_HINT_ASK_KEPT = 4096,
    JAT_HINT_ASK_TAKEN = 8192,
    JAT_HINT_ASK_ADMISSION = 16384, /* somebody wants to be asked about it */
    JAT_HINT_HELD = 32768,          /* a request is held back: held.h */
    /* this call is not the first one about the stanza */
    JAT_HINT_ASKED = JAT_HINT_RESOURCEPREP_OK | JAT_HINT_RESOURCEPREP_REFUSED |
                     JAT_HINT_OUTBOUND_ALLOWED | JAT_HINT_OUTBOUND_DENIED |
                     JAT_HINT_JID_MALFORMED | JAT_HINT_ENDPOINT_READ |
                     JAT_HINT_COUNTED
};

/* The sender as text. */
static inline struct jat_str jat_call_sender(const struct jat_call *c)
{
    return c->stanza->from;
}

/* resource at the node of the proxy host that c is for: an address there. The
 * parts are in c's buffer, which has failed where there is no memory. */
struct jat_parts jat_call_at_host(struct jat_call *c, struct jat_span resource);

/* Fills the place of c, whose stanza, from and to are set, as far as it is
 * known without opening an address. */
void jat_place(struct jat_call *c);
/* Opens the address that c is for: c->whom is one bit then. JAT_ENOMEM,
 * JAT_ECRYPTO. */
enum jat_err jat_place_open(struct jat_call *c);

#endif
