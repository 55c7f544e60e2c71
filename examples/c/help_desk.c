/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * A help desk: whoever writes has a ticket, and what he said is kept.
 *
 * Run several, each with a resource of its own. One that is told to stop
 * (SIGTERM, Ctrl-C) hands its tickets to the others: as ordinary messages from
 * one session of the account to another.
 */
#include "bot.h"
#include "handover.h"
#include "tickets.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* With what is said around the notes, and a resource. */
#define MAX_ANSWER (MAX_NOTES + 4000)

/* Commands. Each gets the ticket and writes its answer. */
static void help(struct ticket *ticket, char *answer)
{
    (void)ticket;
    snprintf(answer, MAX_ANSWER,
             "history: what you have told us\n"
             "close: ends your ticket\n"
             "Anything else is noted.");
}

static void history(struct ticket *ticket, char *answer)
{
    snprintf(answer, MAX_ANSWER, "%s",
             ticket ? ticket->notes : "You have no ticket.");
}

static void goodbye(struct ticket *ticket, char *answer)
{
    if (!ticket) {
        snprintf(answer, MAX_ANSWER, "You have no ticket.");
        return;
    }
    snprintf(answer, MAX_ANSWER, "Ticket %s is closed. Goodbye.",
             ticket->number);
    ticket_close(ticket);
}

static const struct {
    const char *word;
    void (*answer)(struct ticket *ticket, char *answer);
} commands[] = {{"help", help}, {"history", history}, {"close", goodbye}};

static void note(struct bot *bot, xmpp_stanza_t *message, const char *text,
                 char *answer)
{
    const char *address = xmpp_stanza_get_from(message);
    struct ticket *ticket = ticket_of(address);
    const char *greeting = "";

    if (!ticket) {
        char *number = xmpp_uuid_gen(bot->ctx);

        ticket = ticket_open(address, number, 0, "");
        xmpp_free(bot->ctx, number);
        greeting = "Welcome. I have no notes about you, so we begin anew. "
                   "(help: what I understand)\n";
    }
    ticket_note(ticket, text);
    snprintf(answer, MAX_ANSWER, "%sTicket %s, message %u: noted by %s.",
             greeting, ticket->number, ticket->messages, resource_of(bot->jid));
}

/* Without the blanks around it; to be freed. */
static char *trimmed(const char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    return strndup(text, length);
}

static void said(struct bot *bot, xmpp_stanza_t *message, const char *body)
{
    char answer[MAX_ANSWER] = "";
    char *text = trimmed(body);

    if (!text)
        return;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcasecmp(text, commands[i].word) == 0)
            commands[i].answer(ticket_of(xmpp_stanza_get_from(message)),
                               answer);
    if (!*answer)
        note(bot, message, text, answer);
    free(text);
    if (bot->state == STAYING) /* else a colleague will speak */
        bot_reply(bot, message, answer);
}

int main(int argc, char **argv)
{
    static const struct bot_part help_desk = {
        .said = said,
        .colleague = handover_colleague,
        .leaving = handover_leaving,
    };

    return bot_run(argc, argv, &help_desk);
}
