/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The truth about one proxy host, kept in the most naive way: lists that are
 * searched from one end to the other. The core and the truth are told the same
 * things, and whatever the core says is held against the truth.
 *
 *   verdict.c  what each stanza leads to: the tables of doc/behaviour.md, ...
 *   whom.c     ... whom an address stands for, who may write to whom, ...
 *   asking.c   ... their rows for iq, ...
 *   talking.c  ... and for messages and presence
 *   truth.c    the records that come of it, and how they are closed
 *   choice.c   to whom a request or a message may go
 *   staying.c  what stays with whom: sessions and kept keys
 *   lately.c   who spoke lately: contacts, conversations, handles
 *   visible.c  who sees an endpoint by directed presence
 *   rate.c     who sends too much
 *
 * Where the core has a choice (which endpoint, which id of ours), the truth
 * looks at what was chosen and says whether it might be. */
#ifndef TRUTH_H
#define TRUTH_H

#include "address.h"
#include "fuzz.h"
#include "inflight.h"
#include "jat.h"
#include "jid.h"
#include "stanza.h"
#include "stats.h"

#define P "proxy.example.org"
#define CAPS "urn:p#1" /* what its capabilities are called */
#define MAX_STANZA_SIZE 8192U
#define MAX_ID 1024U
#define MAX_SESSION 1024U /* octets of its name */

#define MAX_SESSIONS 64U
#define MAX_RECORDS 256U
#define MAX_LATELY 512U
#define MAX_VISIBLE 512U
#define MAX_STAYS 512U
#define MAX_RATES 512U
#define MAX_PREFERENCES 1024U
#define MAX_KEPT 4096U

#define NOBODY MAX_SESSIONS
#define NOTHING ((struct jat_str){NULL, 0})

/* What the core is configured with. Strings and ring outlive the truth. */
#define TAG "HERE!"
#define TAG_KEY "a.key.of.sixteen"

struct options {
    int64_t encoding, balance, priority, outbound, outbound_acl, disco;
    int64_t timeout, hold_timeout, contact_timeout, resume_wait, retries,
        max_contacts, max_pending, max_pending_per_user, max_pending_per_domain,
        max_outbound_per_endpoint, max_endpoints, max_retry_memory,
        message_rate, message_rate_per_domain, session_timeout, sticky_ttl;
    bool sessions;             /* all of session_rows, or none */
    bool asks;                 /* another module is asked about requests */
    bool tagged;               /* ids end in TAG, sealed under TAG_KEY */
    struct jat_str localparts; /* a glob without '?'; empty: no nodes */
    struct jat_str targets[2], local_domain, sticky_by, sticky_by_attribute;
    struct jat_str resources; /* a glob of this, then '*'; empty: all */
    struct jat_str retry_set; /* a namespace; empty: none */
    unsigned drain;           /* bit (1 << show) */
    struct jat_str keys;      /* letters, each 32 times; the first one seals */
    const struct jat_keyring *ring;
};

/* An endpoint from its coming to its going. */
struct session {
    struct jat_str jid, shown;
    bool online;
    struct jat_endpoint_state state;
    uint64_t pending_since;
    uint32_t requests, outbound;
    uint64_t answered, failed, last_answer;
};

/* A requester and a session, who write to each other by a node of P. */
struct pair {
    struct jat_str user, node;
    unsigned session;
    bool by_domain; /* the requester was remote then */
};

struct record {
    bool open;
    bool silent; /* closed without an answer, at `closed` */
    enum jat_direction direction;
    unsigned session; /* that answers or asks */
    unsigned request; /* the same one for each retry of a request */
    struct jat_str user, node, asked, shown, id, id_out;
    struct jat_str key; /* of `sticky` */
    unsigned keyed;     /* under which keys it was hashed */
    uint64_t ref, born, deadline, closed;
    bool set, any, by_domain;
    bool held;           /* back, so it has no session: NOBODY */
    struct jat_str stay; /* the key of its session, if it has one */
    bool by_sessionid;
    struct jat_str room; /* the key of what `sticky` chose by */
    uint32_t weight;     /* of the packet, if it is kept; or 0 */
    unsigned retries, n_tried, tried[JAT_MAX_TRIED];
};

/* Where more come than there may be, whom of those that share with the new one
 * the core forgets is its own affair.
 * So somebody is known for sure at least until `least`, perhaps until `most`,
 * and their number is only now and then `exact`. */
struct lately {
    struct spoke {
        struct jat_str key, value, domain;
        uint64_t least, most;
        bool vague; /* the value may be another one */
    } v[MAX_LATELY];
    unsigned n;
    uint64_t bound; /* max_contacts when the last one came */
    bool exact;
};

/* What one has left, in thousandths of a stanza: between the two. */
struct rate {
    struct jat_str key;
    uint64_t least, most, when;
    uint64_t silent; /* until then it is not told */
};

struct rates {
    struct rate v[MAX_RATES];
    unsigned n;
};

struct truth {
    struct options o;
    uint64_t now;
    struct session sessions[MAX_SESSIONS + 1]; /* the last one is NOBODY */
    unsigned n_sessions;
    struct record records[MAX_RECORDS];
    unsigned n_records;
    unsigned ends[MAX_RECORDS]; /* of each request */
    unsigned n_requests;
    struct lately contacts, conversations, handles;
    struct visible {
        struct pair who;
        struct jat_str endpoint, shown;
    } visible[MAX_VISIBLE];
    unsigned n_visible;
    struct stay {
        struct jat_str key, endpoint;
        uint64_t until;
        bool told;  /* that the endpoint has gone */
        bool asked; /* no answer yet: uses do not count */
    } stays[MAX_STAYS];
    unsigned n_stays;
    struct rates users, domains;
    uint64_t stats[JAT_STAT_COUNT];
    unsigned round[MAX_SESSIONS], n_round; /* who has had a turn */
    struct preference {
        struct jat_str key, better, worse;
    } preferences[MAX_PREFERENCES];
    unsigned n_preferences, keyed; /* they go by the keyed-th keys */
    char *kept[MAX_KEPT];
    unsigned n_kept;
};

/* The tag that an id ends in, as it is opened by TAG_KEY; false: in none. */
bool truth_tag(struct jat_str id, char tag[JAT_TAG]);

struct truth *truth_new(const struct options *o);
void truth_free(struct truth *t);
/* There may be no place for what comes next. */
bool truth_full(const struct truth *t);
/* A copy that lives as long as the truth. */
struct jat_str truth_keep(struct truth *t, struct jat_str s);

/* What was said to the core, and what it said. */
void truth_configured(struct truth *t, const struct options *o,
                      enum jat_err err);
void truth_put(struct truth *t, struct jat_str jid,
               const struct jat_endpoint_state *state, enum jat_err err,
               bool added);
/* The session that has gone, or NOBODY. */
unsigned truth_removed(struct truth *t, struct jat_str jid, enum jat_err err);
void truth_handled(struct truth *t, struct jat_str xml, struct jat_str prepared,
                   unsigned hints, uint32_t weight, enum jat_err err,
                   const struct jat_buf *buf, const struct jat_decision *d);
void truth_opened(struct truth *t, struct jat_str resource, enum jat_err err,
                  enum jat_role role, struct jat_str jid);

/* Why records were closed: all that are `due`, up to max of them. */
struct closing {
    enum { BOUNCED, ABORTED, EXPIRED, SWEPT, STOPPED } why;
    uint64_t ref;        /* BOUNCED, ABORTED: this one */
    enum jat_how how;    /* BOUNCED */
    enum jat_why reason; /* ABORTED */
    unsigned session;    /* SWEPT: those of this one */
    size_t max;
};
void truth_closed(struct truth *t, const struct closing *c, enum jat_err err,
                  const struct jat_outcomes *out);

/* Whatever the core shows is as it should be. */
void truth_look(struct truth *t, struct jat *j);
/* All is over: each request has had exactly one end. */
void truth_end(const struct truth *t);

/* ---- between the files ---- */

/* The session of this JID that is online, or NOBODY. */
unsigned truth_online(const struct truth *t, struct jat_str jid);
unsigned truth_count_online(const struct truth *t);
bool truth_is_target(const struct truth *t, struct jat_str jid);
/* enc(jid), kept. */
struct jat_str truth_enc(struct truth *t, enum jat_role role,
                         struct jat_str jid);
/* The open record that an answer is for, or NULL. */
struct record *truth_waiting(struct truth *t, enum jat_direction direction,
                             struct jat_str from, struct jat_str shown,
                             struct jat_str id);
/* The limits allow one more of this requester, of this session. */
bool truth_may_request(const struct truth *t, struct jat_str user);
bool truth_may_keep(const struct truth *t, const struct record *next);
bool truth_may_ask(const struct truth *t, unsigned session);
/* Why it gets no new requests while there are others: of enum jat_drain. */
unsigned truth_draining(const struct truth *t, const struct session *s);
/* Those whom r may go to: who do not drain, or else anybody, but none twice. */
unsigned truth_candidates(const struct truth *t, const struct record *r,
                          unsigned out[MAX_SESSIONS]);
/* There is one of them that does not drain. */
bool truth_in_service(const struct truth *t, const struct record *r);
/* The core was right to choose r->session. */
void truth_check_choice(struct truth *t, const struct record *r);
/* The core was right to choose who->session for a message to P, or, if it is
 * not NOBODY, to this session. */
void truth_check_talk(struct truth *t, const struct pair *who, unsigned to);
/* The core has made a record: it might choose this session, this id. */
void truth_begun(struct truth *t, const struct record *r);
/* The same of one that is held. */
void truth_held(struct truth *t, const struct record *r);
/* r is over; `answered`: an answer took it. */
void truth_ended(struct truth *t, struct record *r, bool answered);
/* The parts of a decision are P/resource, or node@P/resource; are this JID. */
bool truth_is_p(const struct jat_buf *buf, const struct jat_parts *p,
                struct jat_str node, struct jat_str resource);
bool truth_is_jid(const struct jat_buf *buf, const struct jat_parts *p,
                  struct jat_str jid);

bool truth_is_remote(const struct truth *t, struct jat_str user);
struct pair truth_pair(const struct record *r);
/* How much longer than contact_timeout a contact lives. */
uint64_t truth_slack(const struct truth *t);
/* The two have spoken. made: the requester did, so that there is a contact. */
void truth_contact(struct truth *t, const struct pair *who, bool made,
                   uint64_t until);
/* A message has passed between the two: the conversation names the session. */
void truth_conversation(struct truth *t, const struct pair *who);
/* The resource, if it is a handle of the pair's requester, was shown to a
 * target or used by it. */
void truth_handle(struct truth *t, const struct pair *who,
                  struct jat_str resource, bool made, uint64_t until);
/* seen: the core behaves as if so; that settles it where the truth is not
 * sure. */
bool truth_is_contact(struct truth *t, struct jat_str user,
                      struct jat_str target, struct jat_str node, bool seen);
bool truth_is_conversation(struct truth *t, struct jat_str user,
                           struct jat_str node, bool seen);
bool truth_is_handle(struct truth *t, struct jat_str resource, bool seen,
                     struct jat_str *jid);
/* Whom the conversation names, or NULL; it may be over, or vague. */
const struct spoke *truth_named(struct truth *t, struct jat_str user,
                                struct jat_str node);
/* There is room in its shares for the handle of jid, if it is one. */
bool truth_handle_fits(const struct truth *t, struct jat_str resource,
                       struct jat_str jid);
/* A domain is local that was remote, or the other way round: who of it has
 * spoken is found only if the core took it for the same then. */
void lately_doubt(struct lately *l);
/* Those who were over were forgotten; it was looked at up to max. */
void lately_forget(struct lately *l, uint64_t now, size_t max);
/* The core may hold n of them. */
bool lately_may_count(const struct lately *l, uint64_t n);

/* What the requester of the pair sees of the endpoint with this JID; NULL:
 * nothing. */
struct visible *truth_visible(struct truth *t, const struct pair *who,
                              struct jat_str endpoint);
/* There is room for one more. */
bool truth_visible_fits(const struct truth *t, const struct pair *who);
/* The requester sees the session from now on, under this address. */
void truth_shows(struct truth *t, const struct pair *who, struct jat_str shown);
void truth_hides(struct truth *t, struct visible *v);
/* How many are seen of the session; NOBODY: of all. */
unsigned truth_count_visible(const struct truth *t, unsigned session);
/* The outcome says that a session which has gone, or any where it is NOBODY, is
 * not available. */
void truth_hidden(struct truth *t, unsigned session,
                  const struct jat_outcome *o, const struct jat_buf *text);

/* Of option `sessions`. */
#define N_SESSION_ROWS 4U
extern const struct session_row {
    struct jat_str ns, attribute;
    const char *kind;
} session_rows[N_SESSION_ROWS];

/* r, a request to P, is made: its session has an endpoint. */
void truth_session_begun(struct truth *t, const struct record *r);
/* r, of a session, is over: its endpoint has gone, or it came back. */
void truth_session_lost(struct truth *t, const struct record *r);
/* What `sticky` chooses by, as r->room. */
struct jat_str truth_room(struct truth *t, struct jat_str key);
/* The session that the room of r stays with, and that has not had r; or NOBODY.
 */
unsigned truth_room_stays(struct truth *t, const struct record *r);
/* r has been sent: its room is there. */
void truth_room_asked(struct truth *t, const struct record *r);
/* The core may know n keys. */
bool truth_may_stay(const struct truth *t, uint64_t n);

/* A message or presence of `user`. may_tell: it can be answered. seen: the core
 * took it for too much; that settles it where the truth is not sure. */
enum rated { RATE_OK, RATE_TELL, RATE_DROP };
enum rated truth_rate(struct truth *t, struct jat_str user, bool may_tell,
                      bool seen);
/* Other rates hold from now on. */
void truth_rates_doubt(struct truth *t);

#endif
