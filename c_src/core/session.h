/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What stays with its endpoint, whatever the strategy would choose (kept.h
 * has the table):
 *
 *   a session   an attribute of a request's payload names it (option
 *               `sessions'). It is known once an endpoint's result has named
 *               it, or, of some protocols, a request of the same requester. Its
 *               requests go to that endpoint only, in service or not, and none
 *               is sent again elsewhere. When the endpoint has gone, one
 *               request is told so; the next one is balanced anew. When the
 *               endpoint has not been resumed within `resume_wait', the next
 *               request is balanced, too, and takes the session along for good.
 *   a kept key  what `sticky' chooses by, with `sticky_ttl': it stays with the
 *               endpoint that has its first request until that is due, and
 *               with the one whose result came first as long as it is used and
 *               that endpoint is there. A request of it may be sent again
 *               elsewhere, and takes the key along. An operator may have it
 *               leave the endpoint (jat_stay_with).
 *
 * A request to P/enc(E) goes where it says, and changes nothing here. A key
 * names an endpoint and grants nothing: who knows somebody's session can do no
 * more with it than reach the endpoint that has it. */
#ifndef JAT_SESSION_H
#define JAT_SESSION_H

#include "place.h"

/* Octets of a session's name, at most: a longer one is none. */
#define JAT_SESSION_MAX 1024U

/* False: the stanza surely names no session. */
static inline bool jat_session_may_be_named(const struct jat_call *c)
{
    const struct jat_stanza *s = c->stanza;

    return s->n_children > 0 &&
           jat_config_may_have_session(c->config, s->children[0].ns);
}

/* The endpoint that a key stays with, by its hash (or 0), if it is there; but
 * one that was not resumed in time loses it, while others are in service. The
 * table is held. */
jat_eid jat_session_endpoint(const struct jat *j,
                             const struct jat_config *config, uint64_t hash,
                             uint64_t now);
/* Finds out whether the request r (its share is set), to P, is of a session.
 * If it is, r->session is set. *eid is the endpoint of the session, and
 * r->eid_hash its hash; 0: it is new, or there is none. (Where the payload has
 * the attribute that `sticky' chooses by, too, that goes before a session of
 * any requester: all who come to one room meet there.) False: the session's
 * endpoint has gone; r->eid_hash is its hash. */
bool jat_session_of_request(struct jat_call *c, struct jat_request *r,
                            jat_eid *eid);
/* The session of r, whose endpoint (its hash) has gone, is forgotten. Returns
 * what the requester is told. */
enum jat_why jat_session_gone(struct jat *j, const struct jat_request *r,
                              uint64_t endpoint);
/* Other nodes may know the endpoint of the session that r (complete, to any
 * endpoint) names, or of its kept key. *asked: c's decision says that they are
 * to be asked. Nobody has them asked more often than he may send messages, for
 * that takes their time. JAT_ENOMEM. */
enum jat_err jat_session_ask(struct jat_call *c, const struct jat_request *r,
                             bool *asked);
/* jat_recall and jat_learn of JAT_ASK_SESSION and JAT_ASK_KEPT. */
enum jat_err jat_session_recall(struct jat *j, const struct jat_config *config,
                                enum jat_ask what, struct jat_str question,
                                uint64_t now, struct jat_buf *buf,
                                struct jat_span *answer);
bool jat_session_learn(struct jat *j, const struct jat_config *config,
                       enum jat_ask what, struct jat_str question,
                       struct jat_str endpoint, uint64_t now);
/* The record of r is made. */
void jat_session_begun(struct jat_call *c, const struct jat_request *r);
/* A request that waits for any endpoint: the hash of the one that has its
 * session; 0: of none, or whoever uses the session has been told that this one
 * has gone. Once the record of r is made somewhere, the session is that one's.
 */
uint64_t jat_session_place(struct jat *j, const struct jat_request *r,
                           uint64_t now);
void jat_session_released(struct jat *j, const struct jat_config *config,
                          const struct jat_request *r, uint64_t now);
/* The endpoint has answered r, whose record is taken, with the stanza of c. To
 * be called where the stanza may name a session, or the key of r is kept. */
void jat_session_answered(struct jat_call *c, const struct jat_request *r);
/* The endpoint has gone with r, which is of a session, or r came back. Returns
 * what the requester is told instead of `why`. */
enum jat_why jat_session_lost(struct jat *j, const struct jat_request *r,
                              enum jat_why why);

/* True if the key that `sticky' chooses by is kept. */
static inline bool jat_session_is_kept(const struct jat_config *config,
                                       const struct jat_request *r)
{
    return r->sticky_key != 0 && config->sticky_ttl > 0 &&
           config->balance == JAT_STICKY;
}

/* r, whose key is kept, has been sent to its endpoint. Until that answers, the
 * key stays there, but no longer than until r is due: uses do not count. */
void jat_session_sent(struct jat *j, const struct jat_config *config,
                      const struct jat_request *r, uint64_t now);

/* The hash of the endpoint that the key which `sticky' chooses by stays with;
 * 0: it stays with none, or r has been sent there before. The key is used,
 * unless r is sent again, or has waited. */
uint64_t jat_session_keeps(struct jat *j, const struct jat_config *config,
                           const struct jat_request *r, uint64_t now);

#endif
