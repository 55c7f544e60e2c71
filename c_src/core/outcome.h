/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What becomes of a record that was closed without an answer: how it is said to
 * the caller, and how it is put together. Whatever an outcome needs is made
 * before its record is taken; the strings of the record are taken straight into
 * the list's text. */
#ifndef JAT_OUTCOME_H
#define JAT_OUTCOME_H

#include "decision.h"
#include "forward.h"
#include "instance.h"

/* A record closed without an answer, and what the caller does about it. */
enum jat_fate {
    JAT_FATE_RETRY,   /* send the packet kept by `record` again, with from, to,
                         id; its record is `next` now */
    JAT_FATE_FAIL,    /* the error `why` from `from` to `to` under id */
    JAT_FATE_HOLD,    /* the packet kept by `record` waits; its record is `next`
                         now */
    JAT_FATE_RELEASE, /* it has waited: as RETRY; kept: it stays kept */
    JAT_FATE_UNAVAILABLE, /* no record: an endpoint has gone that `to` was
                             shown as available: presence from `from` */
    JAT_FATE_FORGET       /* the asking endpoint has gone and its JID cannot be
                       recovered: nobody to tell */
};

struct jat_outcome {
    enum jat_fate fate;
    uint64_t record, next;
    enum jat_why why;
    bool kept; /* a packet is kept by `record` */
    struct jat_parts from, to;
    struct jat_span id;
};

/* A growable list of outcomes, their strings in `text`; owned by the caller.
 * Room is made before a record is taken, so none is lost for want of memory. */
struct jat_outcomes {
    struct jat_outcome *v;
    size_t n, cap;
    struct jat_buf text;
    bool soon; /* of jat_expire: it is worth calling again in a moment */
};

#define JAT_OUTCOMES_INIT                                                      \
    {                                                                          \
        NULL, 0, 0, JAT_BUF_INIT, false                                        \
    }

void jat_outcomes_fini(struct jat_outcomes *o);

/* One call that closes records. */
struct jat_closing {
    struct jat *j;
    const struct jat_config *config;
    uint64_t now; /* ms */
    struct jat_outcomes *out;
    struct jat_span host;
    uint32_t weight; /* of the packet, which the caller has; 0: he has not */
};

struct jat_closing jat_closing_of(struct jat *j, uint64_t now,
                                  struct jat_outcomes *out);

/* Octets for a record (its numbers, user, shown, asked, both ids) and, after it
 * is taken, for its endpoint's JID. */
#define JAT_TEXT_OF_ONE                                                        \
    ((JAT_MAX_TRIED + 2) * sizeof(uint64_t) + (size_t)3 * JAT_JID_MAX +        \
     JAT_JID_PART_MAX + (size_t)2 * JAT_ID_MAX)

/* Room for one more outcome, with so much text. JAT_ENOMEM. */
enum jat_err jat_outcomes_reserve(struct jat_outcomes *out, size_t text);

/* A record that is out of the table, or about to be. Its strings are in a
 * buffer, which may move when it grows: they are known by their places, and can
 * be looked at after jat_taken_look. */
struct jat_taken {
    struct jat_request r;
    uint64_t ref;
    uint64_t tried[JAT_MAX_TRIED];
    struct jat_span user, shown, asked, id;
};

/* Where the strings of t->r are. */
void jat_taken_note(struct jat_taken *t, const struct jat_buf *text);
void jat_taken_look(struct jat_taken *t, const struct jat_buf *text);
/* The request as it goes to another endpoint, under the same deadline. */
struct jat_request jat_taken_next(struct jat_taken *t);

/* Each says what has become of t, whose strings are in the list's text, and
 * ends its record. Nothing here can fail. */

/* Ends the record only. */
void jat_closing_ended(struct jat_closing *c, const struct jat_taken *t,
                       enum jat_end end);
/* Whoever asked gets the error `why`. */
void jat_closing_fail(struct jat_closing *c, struct jat_taken *t,
                      enum jat_end end, enum jat_why why);
/* The request has another record now. notes: where sent has its strings. There
 * is room for jat_taken_more. */
void jat_closing_moved(struct jat_closing *c, const struct jat_taken *t,
                       const struct jat_sent *sent,
                       const struct jat_buf *notes);
/* The same of one that has no endpoint to be told; counts nothing. */
void jat_closing_goes_on(struct jat_closing *c, const struct jat_taken *t,
                         const struct jat_sent *sent,
                         const struct jat_buf *notes);
/* Octets of text. */
size_t jat_taken_more(const struct jat_taken *t);

#endif
