/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * How an instance of help_desk.c that stops hands its tickets to the others: by
 * ordinary messages from one session of the account to another.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "bot.h"

/* Both are parts of a bot, see bot.h. */
void handover_colleague(struct bot *bot, xmpp_stanza_t *stanza);
void handover_leaving(struct bot *bot);

/* The resource of a full JID. */
const char *resource_of(const char *jid);

#endif
