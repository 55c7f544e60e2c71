/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * The tickets of help_desk.c. Everybody may write: so it is bounded what is
 * kept. The oldest goes first.
 */
#ifndef TICKETS_H
#define TICKETS_H

#define MAX_TICKETS 1000
#define MAX_NOTES 2000 /* octets */

struct ticket {
    char address[3072]; /* as long as a JID can be; "": this one is free */
    char number[9];
    char notes[MAX_NOTES + 1];
    unsigned messages;
    unsigned long used;
};

/* All of them; those that are free among them. */
extern struct ticket tickets[MAX_TICKETS];

/* That of this address, or NULL. */
struct ticket *ticket_of(const char *address);

/* In the place of the one with this address, else of the oldest. */
struct ticket *ticket_open(const char *address, const char *number,
                           unsigned messages, const char *notes);

/* Adds a line to the notes. The first ones go when there are too many. */
void ticket_note(struct ticket *ticket, const char *text);

/* Opens one that another instance had. What has been noted here before it came
 * is added to it. */
struct ticket *ticket_take(const char *address, const char *number,
                           unsigned messages, const char *notes);

void ticket_close(struct ticket *ticket);

#endif
