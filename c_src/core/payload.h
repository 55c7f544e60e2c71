/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Addresses inside payloads (option translate_payload). In the places where the
 * XEPs put a JID (the table in payload.c) an address of one of the two parties
 * of the exchange becomes the one that the other party knows it by (parties.h).
 *
 * Nothing is rewritten here. What comes out is a list of edits of the elements
 * that the caller holds, so that all else stays octet for octet. */
#ifndef JAT_PAYLOAD_H
#define JAT_PAYLOAD_H

#include "parties.h"

/* Addresses of the parties, or perhaps of theirs, in one stanza: each may cost
 * stringprep, or a cipher. */
#define JAT_MAX_ADDRESSES 1000U

/* A new value of an attribute of an element, or of its text. Or (see below) an
 * address that is to be prepared. */
struct jat_edit {
    uint32_t element;         /* in document order, from 0 */
    struct jat_str attribute; /* static storage; empty: the text */
    struct jat_span value;    /* in the buffer */
};

struct jat_edits {
    const struct jat_edit *v; /* the thread's, until its next parse */
    uint32_t n;
    bool ask; /* the values are addresses whose prepared form is to be found
                 out; call again with all of them in this order */
};

/* What is to be edited in text, children of the stanza that has these
 * addresses, in the order of the elements. prepared: what was asked for, or
 * nothing; empty for what is no JID. Errors: those of jat_xml_parse; JAT_ESIZE
 * also where the text would be larger than max_stanza_size then;
 * JAT_EADDRESSES, JAT_EBADARG; those of jat_parties_translate. */
enum jat_err jat_payload_translate(struct jat *j, const struct jat_addresses *a,
                                   struct jat_str text,
                                   const struct jat_str *prepared,
                                   size_t n_prepared, uint64_t now,
                                   struct jat_buf *buf, struct jat_edits *out);

#endif
