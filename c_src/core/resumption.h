/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A session that is kept for resumption (XEP-0198) may come back with all that
 * it has in hand, or not. What may be sent again waits for it as long as the
 * option `resume_wait' says, and goes to another endpoint then, if one is in
 * service; whatever comes of the old record later is dropped. All else goes on
 * waiting: the session may act on it. */
#ifndef JAT_RESUMPTION_H
#define JAT_RESUMPTION_H

#include "outcome.h"

/* Sends up to max requests on, in bounded time. One thread does so at a time;
 * another has nothing to do. JAT_EFULL: there is more. JAT_ENOMEM: what is in
 * c->out is valid, and nothing else was changed. */
enum jat_err jat_resumption_move(struct jat_closing *c, size_t max);

#endif
