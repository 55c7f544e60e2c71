/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is forwarded without a record: messages, and presence that an endpoint
 * directs to somebody. The actions of rules.c for them: each decides about one
 * call. Errors: JAT_ENOMEM, JAT_ECRYPTO; then nothing was changed. */
#ifndef JAT_TALK_H
#define JAT_TALK_H

#include "place.h"

/* A message of a requester to P: to the endpoint that the conversation names
 * (contact.h), while it is online, else to the same one for the same requester
 * always. */
enum jat_err jat_message_any(struct jat_call *c, unsigned unused);
/* To P/enc(E): to that endpoint. */
enum jat_err jat_message_one(struct jat_call *c, unsigned unused);
/* A message of an endpoint, to P/enc(U): to that requester, if option
 * `outbound` allows it. */
enum jat_err jat_message_out(struct jat_call *c, unsigned unused);
/* A message of type error, of a requester to P/enc(E), or of an endpoint to
 * P/enc(U): only where the two have a conversation. */
enum jat_err jat_error_in(struct jat_call *c, unsigned unused);
enum jat_err jat_error_out(struct jat_call *c, unsigned unused);
/* Directed presence of an endpoint, available or unavailable, to P/enc(U). */
enum jat_err jat_presence_out(struct jat_call *c, unsigned unused);

#endif
