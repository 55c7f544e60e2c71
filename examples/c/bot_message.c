/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The messages that come, and what is sent. See bot.h. */
#include "bot.h"

#include <string.h>

#define NS_RECEIPTS "urn:xmpp:receipts"

void bot_send(struct bot *bot, xmpp_stanza_t *stanza)
{
    xmpp_send(bot->conn, stanza);
    xmpp_stanza_release(stanza);
}

xmpp_stanza_t *bot_add(xmpp_stanza_t *parent, const char *name, const char *ns,
                       const char *text)
{
    xmpp_ctx_t *ctx = xmpp_stanza_get_context(parent);
    xmpp_stanza_t *child = xmpp_stanza_new(ctx);

    xmpp_stanza_set_name(child, name);
    if (ns)
        xmpp_stanza_set_ns(child, ns);
    if (text) {
        xmpp_stanza_t *content = xmpp_stanza_new(ctx);

        xmpp_stanza_set_text(content, text);
        xmpp_stanza_add_child_ex(child, content, 0);
    }
    xmpp_stanza_add_child_ex(parent, child, 0);
    return child;
}

xmpp_stanza_t *bot_message(struct bot *bot, const char *type, const char *to)
{
    char *id = xmpp_uuid_gen(bot->ctx);
    xmpp_stanza_t *message = xmpp_message_new(bot->ctx, type, to, id);

    xmpp_free(bot->ctx, id);
    return message;
}

/* A message of the same type to where this one came from. */
static xmpp_stanza_t *back(struct bot *bot, xmpp_stanza_t *message)
{
    return bot_message(bot, xmpp_stanza_get_type(message),
                       xmpp_stanza_get_from(message));
}

void bot_reply(struct bot *bot, xmpp_stanza_t *message, const char *text)
{
    xmpp_stanza_t *reply = back(bot, message);
    xmpp_stanza_t *thread = xmpp_stanza_get_child_by_name(message, "thread");

    if (thread)
        xmpp_stanza_add_child_ex(reply, xmpp_stanza_copy(thread), 0);
    xmpp_message_set_body(reply, text);
    bot_send(bot, reply);
}

static int is_own(struct bot *bot, xmpp_stanza_t *stanza)
{
    const char *from = xmpp_stanza_get_from(stanza);
    size_t account = strcspn(bot->jid, "/");

    /* The server vouches for the sender. */
    return from && strncmp(from, bot->jid, account) == 0 &&
           (from[account] == '/' || from[account] == '\0');
}

static void acknowledge(struct bot *bot, xmpp_stanza_t *message)
{
    const char *id = xmpp_stanza_get_id(message);
    xmpp_stanza_t *receipt;

    if (!id ||
        !xmpp_stanza_get_child_by_name_and_ns(message, "request", NS_RECEIPTS))
        return;
    receipt = back(bot, message);
    xmpp_stanza_set_id(bot_add(receipt, "received", NS_RECEIPTS, NULL), id);
    bot_send(bot, receipt);
}

int bot_on_presence(xmpp_conn_t *conn, xmpp_stanza_t *presence, void *userdata)
{
    struct bot *bot = userdata;

    (void)conn;
    if (bot->part->colleague && is_own(bot, presence))
        bot->part->colleague(bot, presence);
    return 1;
}

int bot_on_message(xmpp_conn_t *conn, xmpp_stanza_t *message, void *userdata)
{
    struct bot *bot = userdata;
    const char *type = xmpp_stanza_get_type(message);
    char *body = xmpp_message_get_body(message);

    (void)conn;
    if (is_own(bot, message)) {
        if (bot->part->colleague)
            bot->part->colleague(bot, message);
    } else if (!type || strcmp(type, "chat") == 0 ||
               strcmp(type, "normal") == 0) {
        acknowledge(bot, message);
        if (body && bot->part->said)
            bot->part->said(bot, message, body);
    }
    xmpp_free(bot->ctx, body);
    return 1;
}
