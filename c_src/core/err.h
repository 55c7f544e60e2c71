/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What can go wrong in the core. Outputs are untouched on failure unless a
 * prototype says otherwise. */
#ifndef JAT_ERR_H
#define JAT_ERR_H

enum jat_err {
    JAT_OK = 0,
    JAT_ENOMEM,      /* no memory; every table is as it was before the call */
    JAT_EBADARG,     /* the caller broke the contract of a prototype */
    JAT_EXML,        /* not well-formed, not namespace-well-formed, not UTF-8,
                        a NUL octet */
    JAT_EDTD,        /* document type, entity declaration (RFC 6120, 11.1) */
    JAT_ECOMMENT,    /* a comment (RFC 6120, 11.1) */
    JAT_EPI,         /* a processing instruction (RFC 6120, 11.1) */
    JAT_ESIZE,       /* more octets than max_stanza_size */
    JAT_EDEPTH,      /* nested deeper than JAT_MAX_DEPTH */
    JAT_EATTRIBUTES, /* an element with more than JAT_MAX_ATTRIBUTES */
    JAT_ECHILDREN,   /* an element with more than JAT_MAX_CHILDREN */
    JAT_EADDRESSES,  /* more than JAT_MAX_ADDRESSES of the parties' in a payload
                      */
    JAT_ENOSTANZA,   /* well-formed, but not an iq, message or presence in
                        jabber:client */
    JAT_ENOTFOUND,   /* no such thing in the table */
    JAT_EFULL,       /* a limit of the configuration is reached */
    JAT_EUNOPENABLE, /* not an address of ours, or one sealed for another role,
                        proxy host or key */
    JAT_ECRYPTO,     /* libcrypto refused */
    JAT_EMIXED,      /* functions of libcrypto come from two libraries */
    JAT_ERR_COUNT
};

/* The error as the word that Erlang sees as an atom ("malformed_xml", ...).
 * Static storage. */
const char *jat_err_name(enum jat_err err);

#endif
