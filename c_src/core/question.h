/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Questions to the other nodes of a cluster, as text: its parts with NULs
 * between them, which no JID and no attribute has. The node that is asked reads
 * it by recall.h. Hashes are not asked for: those of another instance are
 * others. */
#ifndef JAT_QUESTION_H
#define JAT_QUESTION_H

#include "place.h"

/* Whether the other nodes may be asked about this, of JAT_ASK_CONTACT and what
 * follows: there are some, and they have not been asked about it yet. */
static inline bool jat_question_may(const struct jat_call *c, enum jat_ask what)
{
    return (c->hints & ((unsigned)JAT_HINT_ASK_CONTACT
                        << (unsigned)(what - JAT_ASK_CONTACT))) != 0;
}

/* They are asked: fills c's decision. The parts may be in c's buffer if that
 * has room for all of them. JAT_ENOMEM. */
enum jat_err jat_question_ask(struct jat_call *c, enum jat_ask what,
                              const struct jat_str *parts, unsigned n);

/* The n parts of a question; false: it has not so many. */
bool jat_question_cut(struct jat_str text, struct jat_str *parts, unsigned n);
/* The shares of a JID that is such a part; false: it is none. */
bool jat_question_share(const struct jat *j, const struct jat_config *config,
                        struct jat_str jid, struct jat_share *out);

#endif
