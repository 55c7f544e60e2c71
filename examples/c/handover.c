/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "handover.h"
#include "tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS "urn:example:help-desk"

#define MAX_COLLEAGUES 100

static char *colleagues[MAX_COLLEAGUES]; /* full JIDs */
static size_t count;

const char *resource_of(const char *jid)
{
    const char *slash = strchr(jid, '/');

    return slash ? slash + 1 : "";
}

/* We speak first: so the next message comes to us. */
static void take_over(struct bot *bot, xmpp_stanza_t *given, const char *before)
{
    const char *address = xmpp_stanza_get_attribute(given, "with");
    const char *number = xmpp_stanza_get_attribute(given, "number");
    const char *messages = xmpp_stanza_get_attribute(given, "messages");
    char *notes = xmpp_stanza_get_text(given);
    char text[8000];

    if (address && number && messages) {
        struct ticket *ticket = ticket_take(
            address, number, (unsigned)atoi(messages), notes ? notes : "");
        xmpp_stanza_t *message = bot_message(bot, "chat", address);

        snprintf(text, sizeof text,
                 "Ticket %s goes on with %s, in place of %s: "
                 "%u messages so far.",
                 number, resource_of(bot->jid), before, ticket->messages);
        xmpp_message_set_body(message, text);
        bot_send(bot, message);
    }
    xmpp_free(bot->ctx, notes);
}

static void forget(const char *jid)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(colleagues[i], jid) == 0) {
            free(colleagues[i]);
            colleagues[i] = colleagues[--count];
        }
    }
}

void handover_colleague(struct bot *bot, xmpp_stanza_t *stanza)
{
    const char *from = xmpp_stanza_get_from(stanza);
    const char *type = xmpp_stanza_get_type(stanza);
    xmpp_stanza_t *given =
        xmpp_stanza_get_child_by_name_and_ns(stanza, "ticket", NS);

    if (strcmp(xmpp_stanza_get_name(stanza), "message") == 0) {
        if (given && !(type && strcmp(type, "error") == 0))
            take_over(bot, given, resource_of(from));
        return;
    }
    forget(from);
    if (!type && strcmp(from, bot->jid) != 0 && count < MAX_COLLEAGUES) {
        char *jid = strdup(from);

        if (jid)
            colleagues[count++] = jid;
    }
}

void handover_leaving(struct bot *bot)
{
    size_t next = 0;

    for (struct ticket *t = tickets; count && t < tickets + MAX_TICKETS; t++) {
        xmpp_stanza_t *message, *given;
        char messages[20];

        if (!t->used)
            continue;
        message = bot_message(bot, NULL, colleagues[next++ % count]);
        given = bot_add(message, "ticket", NS, t->notes);
        snprintf(messages, sizeof messages, "%u", t->messages);
        xmpp_stanza_set_attribute(given, "with", t->address);
        xmpp_stanza_set_attribute(given, "number", t->number);
        xmpp_stanza_set_attribute(given, "messages", messages);
        bot_send(bot, message);
    }
}
