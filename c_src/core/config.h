/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The options of one proxy host as the core knows them. A configuration is
 * filled by name (the table in config.c has names, defaults and bounds), then
 * given to jat_instance_new or jat_configure, which makes it immutable: whoever
 * reads it needs no lock. */
#ifndef JAT_CONFIG_H
#define JAT_CONFIG_H

#include <stdint.h>

#include "address.h"
#include "buf.h"
#include "endpoints.h"
#include "err.h"
#include "tag.h"

enum jat_encoding { JAT_ENCODE_JID, JAT_ENCODE_SEALED };
enum jat_sticky {
    JAT_STICKY_BARE,
    JAT_STICKY_FULL,
    JAT_STICKY_DOMAIN,
    JAT_STICKY_ATTRIBUTE
};
enum jat_outbound { JAT_OUTBOUND_REPLY, JAT_OUTBOUND_ANY, JAT_OUTBOUND_NONE };
enum jat_disco { JAT_DISCO_FORWARD, JAT_DISCO_SELF };

/* Who a session (session.h) is of, and where it is learned: from the results
 * that requesters get, or from what they send, too. */
enum jat_session_kind {
    JAT_SESSION_OWN,    /* of one requester; from his requests and results */
    JAT_SESSION_RESULT, /* of one requester; from results */
    JAT_SESSION_ANY     /* of any requester; from results */
};

/* Payloads in the namespace ns have a session in this attribute. */
struct jat_session_row {
    struct jat_str ns, attribute; /* borrowed from the list */
    enum jat_session_kind kind;
    bool is_sessionid; /* the attribute's name, of XEP-0050 */
};

/* Strings owned by the configuration; sorted once it is in use. */
struct jat_list {
    struct jat_str *v;
    size_t n;
};

struct jat_config {
    struct jat_list host;          /* one */
    struct jat_list targets;       /* bare JIDs, prepared */
    struct jat_list keys;          /* JAT_SEAL_KEY octets each */
    struct jat_list resources;     /* globs; none: all */
    struct jat_list drain_show;    /* words of RFC 6121, 4.7.2.1 */
    struct jat_list localparts;    /* globs; none: P has no nodes */
    struct jat_list local_domains; /* not counted by domain */
    struct jat_list retry_sets;    /* namespaces: a `set' may be sent twice */
    struct jat_list caps;          /* P's own node#ver of XEP-0115; or none */
    struct jat_list sticky_by;     /* one: a word, or a namespace with ... */
    struct jat_list sticky_by_attribute; /* ... an attribute */
    struct jat_list sessions; /* namespace, attribute, kind (a word), ... */
    struct jat_list tag;     /* one of JAT_TAG octets, or none: ids have none */
    struct jat_list tag_key; /* one of JAT_TAG_KEY octets; a tag needs it */
    int64_t encoding, balance, disco, outbound;    /* the enums above */
    int64_t outbound_acl;                          /* `any' asks for each JID */
    int64_t timeout, contact_timeout, resume_wait; /* ms */
    int64_t wait_for_endpoint;                     /* ms; 0: off */
    int64_t hold_timeout;                          /* ms */
    int64_t session_timeout, sticky_ttl;           /* ms; sticky_ttl 0: off */
    int64_t slow_start, ping_interval;             /* ms; 0: off */
    int64_t priority;                              /* enum jat_priority */
    int64_t outlier_ejection; /* of those that let requests time out */
    int64_t retries;
    int64_t max_contacts, max_sessions, max_pending, max_pending_per_user,
        max_pending_per_domain, max_outbound_per_endpoint, max_endpoints,
        max_pending_per_endpoint;
    int64_t message_rate, message_rate_per_domain; /* a second */
    int64_t max_stanza_size, max_retry_memory;     /* octets */

    /* made by jat_config_finish */
    enum jat_sticky sticky;
    unsigned drain; /* bit (1 << show) */
    struct jat_session_row *session_rows;
    size_t n_session_rows;
    uint64_t session_marks; /* bit (1 << jat_config_mark) of each row */
    struct jat_keyring *keyring;
    struct jat_tag_key own_tag;
    const struct jat_tag_key *tagging; /* own_tag; NULL: ids have no tag */
    struct jat_config *older;          /* retired, freed with the instance */
};

/* A configuration with every default. NULL: no memory. */
struct jat_config *jat_config_new(void);
/* NULL is allowed. */
void jat_config_free(struct jat_config *c);

/* Sets the option `name`; a list grows by one element. Strings are copied.
 * Errors: JAT_EBADARG (no such option, the other type, a value outside its
 * bounds), JAT_ENOMEM. */
enum jat_err jat_config_int(struct jat_config *c, struct jat_str name,
                            int64_t value);
enum jat_err jat_config_str(struct jat_config *c, struct jat_str name,
                            struct jat_str value);

/* Checks that nothing is missing, sorts the lists, makes the keyring for
 * `host`. Errors: JAT_EBADARG, JAT_ENOMEM, JAT_ECRYPTO. */
enum jat_err jat_config_finish(struct jat_config *c, struct jat_str host);

/* True if a sorted list holds s. */
bool jat_list_has(const struct jat_list *l, struct jat_str s);
/* True if the keys are the same ones in the same order. */
bool jat_config_same_keys(const struct jat_config *a,
                          const struct jat_config *b);
/* True if option `resources` counts this resource: * matches any run of
 * characters, ? one character. */
bool jat_config_wants(const struct jat_config *c, struct jat_str resource);
/* True if option `localparts` allows this node, or it is empty: P itself. */
bool jat_config_has_node(const struct jat_config *c, struct jat_str node);

/* A number below 64 by which most namespaces differ: of their last octets. */
static inline unsigned jat_config_mark(struct jat_str ns)
{
    uint32_t tail = (uint32_t)ns.n;

    if (ns.n >= sizeof(tail))
        memcpy(&tail, ns.p + ns.n - sizeof(tail), sizeof(tail));
    return tail * 0x9e3779b1U >> 26;
}
/* False: there is surely no row of `sessions` for this namespace. */
static inline bool jat_config_may_have_session(const struct jat_config *c,
                                               struct jat_str ns)
{
    return c->session_marks != 0 &&
           (c->session_marks >> jat_config_mark(ns) & 1) != 0;
}
/* The row of `sessions` for payloads in this namespace, or NULL. (The first one
 * that has it.) */
const struct jat_session_row *jat_config_session(const struct jat_config *c,
                                                 struct jat_str ns);

/* The show of a word (`none` for an available one without show); false: no
 * such word. */
bool jat_show_parse(struct jat_str word, enum jat_show *out);
const char *jat_show_name(enum jat_show show);

#endif
