/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What one node of a cluster remembers and another one needs. The core asks for
 * it by a decision (JAT_DO_ASK, question.h); the caller brings the question to
 * the other nodes, and what one of them answers to this one:
 *
 *   JAT_ASK_CONTACT   bare JID of the requester, of the target, node of the
 *                     proxy host: have they spoken? The answer is empty.
 *   JAT_ASK_CONVERSATION   bare JID of the requester, node: which endpoint does
 *                     it name? Its full JID.
 *   JAT_ASK_HANDLE    the handle: which requester's? The JID.
 *   JAT_ASK_SESSION   namespace, name, bare JID of the requester, node
 *   JAT_ASK_KEPT      the hash that `sticky' chooses by, which is the same on
 *                     all nodes, in hexadecimal digits; bare JID of the
 *                     requester. Both: which endpoint has it? Its full JID; one
 *                     that has gone has no key. The answer is empty where the
 *                     endpoint of a session has gone and nobody has been told
 *                     so: who asks tells it.
 *   JAT_ASK_TAKEN     bare JID of the requester, node, full JID of an endpoint:
 *                     the conversation is that one's from now on. This is no
 *                     question: the other nodes are told, and answer nothing.
 *                     They learn it (the answer is empty) if they know the
 *                     conversation; who does not asks when he needs it.
 *
 * The nodes of a cluster trust each other. A question that is none, or not
 * understood, has no answer. */
#ifndef JAT_RECALL_H
#define JAT_RECALL_H

#include "decision.h"
#include "instance.h"

/* What is known here, for another node; it lives no longer for that. The answer
 * is appended to buf. JAT_ENOTFOUND, JAT_ENOMEM. now: ms. */
enum jat_err jat_recall(struct jat *j, enum jat_ask what,
                        struct jat_str question, uint64_t now,
                        struct jat_buf *buf, struct jat_span *answer);
/* What another node has answered is known here from now on, within the same
 * limits as what is known of oneself. False: it is of no use here. */
bool jat_learn(struct jat *j, enum jat_ask what, struct jat_str question,
               struct jat_str answer, uint64_t now);

#endif
