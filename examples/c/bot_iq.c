/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The requests that come, and what is answered to them. See bot.h. */
#include "bot.h"

#include <string.h>

#define NS_INFO "http://jabber.org/protocol/disco#info"
#define NS_PING "urn:xmpp:ping"
#define NS_RECEIPTS "urn:xmpp:receipts"
#define NS_VERSION "jabber:iq:version"

/* Each gets the query of the result, to add to it. */
static void answer_info(xmpp_stanza_t *query)
{
    static const char *const features[] = {NS_INFO, NS_PING, NS_RECEIPTS,
                                           NS_VERSION};
    xmpp_stanza_t *identity = bot_add(query, "identity", NULL, NULL);

    xmpp_stanza_set_attribute(identity, "category", "client");
    xmpp_stanza_set_attribute(identity, "type", "bot");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        xmpp_stanza_set_attribute(bot_add(query, "feature", NULL, NULL), "var",
                                  features[i]);
}

static void answer_version(xmpp_stanza_t *query)
{
    bot_add(query, "name", NULL, "example bot");
}

static const struct {
    const char *ns;
    void (*answer)(xmpp_stanza_t *query); /* NULL: the result is empty */
} answers[] = {
    {NS_INFO, answer_info},
    {NS_VERSION, answer_version},
    {NS_PING, NULL},
};

/* Returns whether the answer is in result. */
static int answer_to(struct bot *bot, xmpp_stanza_t *iq, xmpp_stanza_t *result)
{
    xmpp_stanza_t *payload = xmpp_stanza_get_children(iq);
    const char *ns = payload ? xmpp_stanza_get_ns(payload) : NULL;

    for (size_t i = 0; ns && i < sizeof answers / sizeof *answers; i++) {
        if (strcmp(ns, answers[i].ns) == 0) {
            if (answers[i].answer)
                answers[i].answer(bot_add(result, "query", ns, NULL));
            return 1;
        }
    }
    return ns && bot->part->asked && bot->part->asked(bot, iq, result);
}

int bot_on_iq(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata)
{
    const char *type = xmpp_stanza_get_type(iq);
    xmpp_stanza_t *reply;

    (void)conn;
    if (!type || (strcmp(type, "get") != 0 && strcmp(type, "set") != 0))
        return 1;
    reply = xmpp_stanza_reply(iq);
    xmpp_stanza_set_type(reply, "result");
    if (!answer_to(userdata, iq, reply)) {
        xmpp_stanza_release(reply);
        reply =
            xmpp_stanza_reply_error(iq, "cancel", "service-unavailable", NULL);
    }
    bot_send(userdata, reply);
    return 1;
}
