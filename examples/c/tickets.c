/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "tickets.h"

#include <stdio.h>
#include <string.h>

struct ticket tickets[MAX_TICKETS];

static unsigned long now;

struct ticket *ticket_of(const char *address)
{
    for (struct ticket *t = tickets; t < tickets + MAX_TICKETS; t++)
        if (strcmp(t->address, address) == 0)
            return t;
    return NULL;
}

/* Where the end of the text begins that has at most so many octets. No
 * character of UTF-8 is cut in two. */
static const char *end_of(const char *text, size_t octets)
{
    size_t length = strlen(text);

    if (length > octets)
        text += length - octets;
    while ((*text & 0xC0) == 0x80)
        text++;
    return text;
}

static struct ticket *oldest(void)
{
    struct ticket *found = tickets;

    for (struct ticket *t = tickets; t < tickets + MAX_TICKETS; t++)
        if (t->used < found->used)
            found = t;
    return found;
}

struct ticket *ticket_open(const char *address, const char *number,
                           unsigned messages, const char *notes)
{
    struct ticket *ticket = ticket_of(address);

    if (!ticket)
        ticket = oldest();
    snprintf(ticket->address, sizeof ticket->address, "%s", address);
    snprintf(ticket->number, sizeof ticket->number, "%s", number);
    snprintf(ticket->notes, sizeof ticket->notes, "%s",
             end_of(notes, MAX_NOTES));
    ticket->messages = messages;
    ticket->used = ++now;
    return ticket;
}

/* What has come first goes, where it is too much. */
static void append(struct ticket *ticket, const char *text)
{
    const char *added = end_of(text, MAX_NOTES);
    const char *kept = end_of(ticket->notes, MAX_NOTES - strlen(added));

    memmove(ticket->notes, kept, strlen(kept) + 1);
    strcat(ticket->notes, added);
}

void ticket_note(struct ticket *ticket, const char *text)
{
    append(ticket, end_of(text, MAX_NOTES - 1));
    append(ticket, "\n");
    ticket->messages++;
    ticket->used = ++now;
}

struct ticket *ticket_take(const char *address, const char *number,
                           unsigned messages, const char *notes)
{
    struct ticket *ticket = ticket_of(address);
    struct ticket meanwhile = {.messages = 0};

    if (ticket)
        meanwhile = *ticket;
    ticket = ticket_open(address, number, messages, notes);
    append(ticket, meanwhile.notes);
    ticket->messages += meanwhile.messages;
    return ticket;
}

void ticket_close(struct ticket *ticket)
{
    memset(ticket, 0, sizeof *ticket);
}
