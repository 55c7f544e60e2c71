/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The two parties of an exchange as a payload may name them, U (full or bare)
 * and the target's sessions, and what such an address becomes for the other
 * one:
 *
 *     on its way to     address               becomes
 *     the endpoint      U, full               what the endpoint knows U by
 *                       U, bare               [node@]P/enc(bare U)
 *                       [node@]P/enc(X)       X, an online endpoint of the
 *                                             same target
 *     the requester     E, other sessions     [node@]P/enc(...)
 *                       the target, bare      [node@]P
 *                       [node@]P/enc(U)       U (full, bare)
 *
 * What is anybody else's stays as it is, and nobody sees from what comes out
 * whether it could have been opened. */
#ifndef JAT_PARTIES_H
#define JAT_PARTIES_H

#include "instance.h"
#include "jid.h"

struct jat_parties {
    struct jat *j;
    const struct jat_config *config;
    enum jat_direction direction; /* of the stanza: JAT_IN, to the endpoint */
    struct jat_str requester, session; /* U and E as text, prepared */
    struct jat_jid user, endpoint;     /* the same in parts */
    struct jat_jid shown;              /* [node@]P/enc(U) */
    uint64_t now;                      /* ms */
};

/* The addresses of a stanza: as it came, and as it is sent on; prepared. */
struct jat_addresses {
    struct jat_str from, to, new_from, new_to;
};

/* Borrows the addresses. JAT_EBADARG: they are not those of a stanza that is
 * forwarded. */
enum jat_err jat_parties_of(struct jat *j, const struct jat_addresses *a,
                            uint64_t now, struct jat_parties *out);

/* An address in a payload. */
struct jat_named {
    bool at_host;       /* at P; jid is its resource then */
    struct jat_str jid; /* prepared, or what is to be prepared */
};

enum jat_reading {
    JAT_NOBODYS, /* surely none of the two parties' */
    JAT_READ,    /* named->jid is prepared */
    JAT_UNREAD   /* whose it is shows only when it is prepared: stringprep */
};

/* Reads an address as somebody has written it. What is prepared here (ASCII)
 * goes to room. */
enum jat_reading jat_parties_read(const struct jat_parties *p,
                                  struct jat_str address,
                                  char room[JAT_JID_MAX],
                                  struct jat_named *named);
/* What was JAT_UNREAD, with its prepared form. False: it is nobody's. */
bool jat_parties_prepared(const struct jat_parties *p, struct jat_str prepared,
                          struct jat_named *named);

/* Appends what it becomes. JAT_ENOTFOUND: it stays. JAT_EFULL (no room for the
 * short name of a long address), JAT_ENOMEM, JAT_ECRYPTO. */
enum jat_err jat_parties_translate(const struct jat_parties *p,
                                   const struct jat_named *named,
                                   struct jat_buf *out);

#endif
