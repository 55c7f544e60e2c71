/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Clients that storm a proxy host: they ask, serve, come, go and misbehave, and
 * keep a ledger of what has become of each request. See main.c.
 *
 *     main       the options, the loop, the report
 *     clients    logging in, leaving, coming back; c2s and one component
 *     ledger     each request and its one answer
 *     traffic    what is asked, and how it is answered (the wild ways, too)
 *     talk       messages and directed presence
 *     noise      what nobody waits for
 */
#ifndef STORM_H
#define STORM_H

#include <stdbool.h>
#include <stddef.h>

#include <strophe.h>

#define NS_STORM "urn:example:storm"
#define NS_COMMANDS "http://jabber.org/protocol/commands"
#define NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"
#define MAX_CLIENTS 256
#define MAX_SEEN 4
#define MAX_SERVERS 8

struct options {
    const char *host, *proxy, *target, *requester, *password, *domain, *port;
    long component, requesters, endpoints, requests, seconds, rate, window,
        churn, keep, timeout, wild, talk, polite, limited, bystander, rooms,
        sessions, moves, hang, returns, seed, limit;
};
extern struct options option;

/* main.c */

long now_ms(void);
void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
/* 0 ... below - 1 */
long chance(long below);
/* What is formatted, in one of a few buffers that are used in turn. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same text as the value of an attribute. */
const char *escaped(const char *value);
/* Never NULL. */
const char *attribute(xmpp_stanza_t *stanza, const char *name);
bool is(const char *a, const char *b);

/* clients.c */

enum state {
    OFFLINE,
    COMING,
    ONLINE,
    NAPPING, /* its connection is dropped ... */
    ASLEEP,  /* ... has ended ... */
    WAKING,  /* ... and is taken up again (XEP-0198) */
    LEAVING,
    GONE
};

struct client {
    enum state state;
    bool requester;
    long server;    /* which of the ports it logs in at */
    bool bystander; /* of the target's account, but no endpoint */
    bool withdrawn; /* by directed unavailable, until it says otherwise */
    char *jid;      /* full, prepared */
    char *from;     /* the attribute, where the server does not stamp it */
    xmpp_conn_t *conn;
    int wire;
    bool resumable;
    long wake;   /* ms; when it comes again, too */
    long left;   /* ms; when it began to leave */
    long hangs;  /* ms; until when it answers nothing */
    long open;   /* requests of its own without an answer */
    long served; /* requests of others answered */
    /* addresses at the proxy host that have written to it */
    char *seen[MAX_SEEN];
    long seen_count;
};

extern struct client clients[MAX_CLIENTS];
extern long client_count;
extern long comings, goings, naps, moods, hangs;
/* Connections that have ended by themselves, of each port. */
extern long losses[MAX_SERVERS];

void clients_start(void);
long server_count(void);
/* One that is not online yet; NULL when all are. */
struct client *clients_coming(void);
/* Everybody's connections; calls traffic_stanza. */
void clients_run(void);
/* One client, the next one in turn, comes, goes, naps, or changes its mood. */
void churn(bool requester);
/* One of the endpoints online answers nothing for a while. */
void hang(void);
/* The endpoints leave, ... */
void endpoints_stop(void);
/* ... then all. */
void clients_stop(void);

long count_online(bool requester);
/* One of those online; NULL if there is none but `other`. */
struct client *someone(bool requester, const struct client *other);
/* One stanza of this client's: all that is in the tag behind `from`. */
void say(struct client *client, const char *name, const char *rest);
/* An endpoint's presence to the proxy host; type NULL: available. */
void say_presence(struct client *client, const char *type);
/* Remembers who writes to it. */
void see(struct client *client, const char *address);
/* Somebody who has written to it; NULL if nobody has. */
const char *seen(const struct client *client);

/* ledger.c */

/* What a request may become: bits, by the words below. */
#define OUTCOMES(X)                                                            \
    X(RESULT, "result")                                                        \
    X(CONFLICT, "conflict") /* the error that those asked give */              \
    X(BAD_REQUEST, "bad-request")                                              \
    X(FORBIDDEN, "forbidden")                                                  \
    X(INTERNAL, "internal-server-error")                                       \
    X(NOT_FOUND, "item-not-found")                                             \
    X(NOT_ALLOWED, "not-allowed")                                              \
    X(POLICY, "policy-violation")                                              \
    X(UNAVAILABLE, "recipient-unavailable")                                    \
    X(TIMEOUT, "remote-server-timeout")                                        \
    X(CONSTRAINT, "resource-constraint")                                       \
    X(NO_SERVICE, "service-unavailable")                                       \
    X(NO_SERVER, "remote-server-not-found")                                    \
    X(OTHER, "another error")

#define X(name, word) OUTCOME_##name,
enum outcome { OUTCOMES(X) OUTCOME_COUNT };
#undef X
#define X(name, word) name = 1 << OUTCOME_##name,
enum { OUTCOMES(X) };
#undef X

struct question {
    struct client *asker;
    const char *to;
    unsigned allowed; /* what it may become */
    bool blank;       /* its result carries no number */
    bool twin;        /* has the id of the request before it */
    unsigned form;    /* of the id, see ledger_id */
};

#define FORMS 4

extern long asked, answered, doubles, wrong, abandoned;
extern long outcomes[OUTCOME_COUNT];

enum outcome outcome_of(xmpp_stanza_t *stanza);
/* What has the number of a request, in it or in its answer; or NULL. */
xmpp_stanza_t *ledger_work(xmpp_stanza_t *iq);
/* Numbers from 0 on. */
long ledger_open(const struct question *q);
/* The id that it travels under. */
const char *ledger_id(long n);
/* Whether there is such a request, and it was asked by one of these. */
bool ledger_knows(long n, bool requester);
/* It shares its id with another one. */
bool ledger_is_twin(long n);
/* Somebody answers it: with a result or CONFLICT. */
void ledger_given(long n, enum outcome outcome);
/* An answer has reached this client. */
void ledger_answer(struct client *client, xmpp_stanza_t *iq);
/* Nobody waits for what this client has asked. */
void ledger_abandon(const struct client *client);
long ledger_unanswered(void);

/* traffic.c */

/* One more request, if there is somebody who has room for it. */
bool ask_from_outside(void);
/* A request of an endpoint to somebody outside. */
bool ask_from_inside(void);
void traffic_stanza(struct client *client, xmpp_stanza_t *stanza);
/* Answers that were put off. */
void traffic_run(void);

/* talk.c */

struct talk_report {
    long letters, read, refused, given_up;
    long excused, lost;         /* neither read nor refused */
    long repeated;              /* read once more */
    long wrong, disordered;     /* what must not be */
    long shows, still_shown;    /* directed presence; not taken back */
    long errors[OUTCOME_COUNT]; /* of those refused */
};
extern struct talk_report talk_report;

/* Messages and presence that are due so long after the start. */
void talk_run(long elapsed, bool over);
void talk_stanza(struct client *client, xmpp_stanza_t *stanza);
/* This client comes, goes or naps; broken: its connection is. */
void talk_moved(const struct client *client, bool broken);
/* Nobody waits for what this client has written, nor for what it is shown. */
void talk_abandon(const struct client *client);
void talk_sees_nobody(const struct client *client);
/* None is missed. */
bool talk_is_over(void);
/* Somebody is still shown to a requester. */
bool talk_shows_somebody(void);
/* Fills the report. */
void talk_sum_up(void);

/* noise.c */

extern long noises;
/* Something that nobody waits for. */
void make_noise(void);
/* An address that looks as if it were one of the proxy host's. */
const char *forged(const char *address);
/* Endpoints: another show or priority, withdrawn or back. */
void change_mood(struct client *client);

#endif
