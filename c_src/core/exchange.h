/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The life of a request (RFC 6120, 8.2.3): it begins, and it ends with its
 * answer. (settle.h has the other ends.) The actions of rules.c for requests
 * and answers: each decides about one call. Errors: JAT_ENOMEM, JAT_ECRYPTO;
 * then nothing was changed. */
#ifndef JAT_EXCHANGE_H
#define JAT_EXCHANGE_H

#include "place.h"

/* A request of a requester to P: to an endpoint of the strategy's choice. */
enum jat_err jat_request_any(struct jat_call *c, unsigned unused);
/* To P/enc(E): to that endpoint. */
enum jat_err jat_request_one(struct jat_call *c, unsigned unused);
/* The same while that endpoint is not there. */
enum jat_err jat_request_gone(struct jat_call *c, unsigned unused);
/* A client-initiated request, to P/enc(U): to that requester, if option
 * `outbound` allows it. */
enum jat_err jat_request_out(struct jat_call *c, unsigned unused);
/* The answer of an endpoint, to P/enc(U). */
enum jat_err jat_answer_in(struct jat_call *c, unsigned unused);
/* The answer to a client-initiated request, to P/enc(E). */
enum jat_err jat_answer_out(struct jat_call *c, unsigned unused);
/* An answer to what was not asked here: the id may say where it was. */
enum jat_err jat_answer_elsewhere(struct jat_call *c, unsigned unused);

#endif
