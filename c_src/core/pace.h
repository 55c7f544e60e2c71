/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* How fast somebody may send what leaves no record: messages and presence. A
 * token bucket for each bare JID and each remote domain, with room for one
 * second.
 *
 * Memory is bounded: there are places for some thousands that have sent
 * something a moment ago. Where they are all taken, a newcomer gets the place
 * of the one that has used least of its own, who loses nothing but that. So
 * however many JIDs somebody has, nobody else is slowed down. */
#ifndef JAT_PACE_H
#define JAT_PACE_H

#include "config.h"
#include "record.h"

struct jat_pace;

enum jat_pace_verdict {
    JAT_PACE_OK,
    JAT_PACE_TELL, /* too fast, and this JID has not been told for a second */
    JAT_PACE_DROP  /* too fast */
};

enum jat_err jat_pace_new(struct jat_pace **out);
void jat_pace_free(struct jat_pace *p);

/* Takes one stanza of the sender's second. may_tell: it can be answered with an
 * error. now: ms. */
enum jat_pace_verdict jat_pace_take(struct jat_pace *p,
                                    const struct jat_config *config,
                                    const struct jat_share *sender,
                                    bool may_tell, uint64_t now);

#endif
