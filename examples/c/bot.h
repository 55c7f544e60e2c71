/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * What every bot does: echo.c and help_desk.c say what they are for.
 *
 * A bot is an ordinary XMPP client on libstrophe, and knows of no proxy. It
 * keeps to two rules: each request gets an answer (RFC 6120, 8.2.3), and an
 * answer goes to the very address that was written from.
 *
 *     PASSWORD=... BOT JID/RESOURCE [HOST PORT]
 *
 * A server named by hand is one for trying things out: without TLS.
 */
#ifndef BOT_H
#define BOT_H

#include <strophe.h>

struct bot {
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;
    const char *jid; /* who we are online as */
    const struct bot_part *part;
    enum { STAYING, LEAVING, LEFT, OVER, LOST } state;
};

/* What a bot is good for. Each may be NULL. Stanzas are the caller's. */
struct bot_part {
    /* Somebody has written this message, which has this body. */
    void (*said)(struct bot *bot, xmpp_stanza_t *message, const char *body);
    /* Somebody asks what not every bot knows: the first child of iq says what.
     * Returns whether it has put the answer into result; if not, it is an
     * error. */
    int (*asked)(struct bot *bot, xmpp_stanza_t *iq, xmpp_stanza_t *result);
    /* Another session of this account says that it is here, or gone, or
     * something else. */
    void (*colleague)(struct bot *bot, xmpp_stanza_t *stanza);
    /* Nobody writes to us any more; after this we go. */
    void (*leaving)(struct bot *bot);
};

/* For main(): logs in and serves until SIGTERM or SIGINT. Returns the exit
 * status. */
int bot_run(int argc, char **argv, const struct bot_part *part);

/* A new message, with an id of its own. */
xmpp_stanza_t *bot_message(struct bot *bot, const char *type, const char *to);

/* Takes the stanza. */
void bot_send(struct bot *bot, xmpp_stanza_t *stanza);

/* Answers a message in its thread, if it has one (RFC 6121, 5.2.5). */
void bot_reply(struct bot *bot, xmpp_stanza_t *message, const char *text);

/* Puts a new element into parent, which owns it. The text may be NULL. */
xmpp_stanza_t *bot_add(xmpp_stanza_t *parent, const char *name, const char *ns,
                       const char *text);

/* For bot_run(): the orderly end, and the handlers of a session. */
void bot_leave(struct bot *bot);
int bot_on_iq(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata);
int bot_on_message(xmpp_conn_t *conn, xmpp_stanza_t *message, void *userdata);
int bot_on_presence(xmpp_conn_t *conn, xmpp_stanza_t *presence, void *userdata);

#endif
