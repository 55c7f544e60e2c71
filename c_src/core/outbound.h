/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What an endpoint begins itself (a request, a message, directed presence):
 * which endpoint it is, and whether option `outbound` lets it. */
#ifndef JAT_OUTBOUND_H
#define JAT_OUTBOUND_H

#include "place.h"

/* Whom c writes to, c->user, as a requester: for shares.h and contact.h. */
struct jat_share jat_call_user(const struct jat_call *c);

enum jat_may {
    JAT_MAY,
    JAT_MAY_NOT, /* see `why` */
    JAT_MAY_ASK  /* the caller is to be asked: c's decision is filled */
};

struct jat_writer {
    struct jat_endpoint endpoint; /* with its address, in c's buffer */
    struct jat_share user;        /* whom it writes to, c->user: for shares.h */
    enum jat_may may;
    enum jat_why why;
};

/* Looks at the sender of c, which is for JAT_TO_REQUESTER. JAT_ENOMEM. */
enum jat_err jat_outbound_check(struct jat_call *c, struct jat_writer *out);

#endif
