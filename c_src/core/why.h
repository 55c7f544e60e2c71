/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Why a stanza is answered with an error: the one table of reasons, each with
 * its word and the error's condition (RFC 6120, 8.3.3). The word says what is
 * wrong with this very stanza; mod_client_proxy_errors has a text for each. */
#ifndef JAT_WHY_H
#define JAT_WHY_H

#define JAT_CONDITIONS(X)                                                      \
    X(BAD_REQUEST, "bad-request")                                              \
    X(FEATURE_NOT_IMPLEMENTED, "feature-not-implemented")                      \
    X(FORBIDDEN, "forbidden")                                                  \
    X(INTERNAL_SERVER_ERROR, "internal-server-error")                          \
    X(ITEM_NOT_FOUND, "item-not-found")                                        \
    X(NOT_ACCEPTABLE, "not-acceptable")                                        \
    X(NOT_ALLOWED, "not-allowed")                                              \
    X(POLICY_VIOLATION, "policy-violation")                                    \
    X(RECIPIENT_UNAVAILABLE, "recipient-unavailable")                          \
    X(REMOTE_SERVER_TIMEOUT, "remote-server-timeout")                          \
    X(RESOURCE_CONSTRAINT, "resource-constraint")                              \
    X(SERVICE_UNAVAILABLE, "service-unavailable")

#define X(name, word) JAT_##name,
enum jat_condition { JAT_CONDITIONS(X) JAT_CONDITION_COUNT };
#undef X

/* clang-format off */
#define JAT_WHYS(X)                                                            \
    /* whatever it asks for */                                                 \
    X(ID_TOO_LONG, "id_too_long", POLICY_VIOLATION)                            \
    X(CHILDREN, "children", BAD_REQUEST) /* none, or several */                \
    X(NO_SUCH_ADDRESS, "no_such_address", ITEM_NOT_FOUND)                      \
    X(NOT_A_ROOM, "not_a_room", NOT_ACCEPTABLE) /* groupchat */                \
    /* of a requester */                                                       \
    X(ACCESS, "access", FORBIDDEN) /* option `access' */                       \
    X(LOOP, "loop", NOT_ALLOWED) /* from an address at P, to P */              \
    X(NO_ENDPOINT, "no_endpoint", RECIPIENT_UNAVAILABLE)                       \
    X(ENDPOINT_GONE, "endpoint_gone", RECIPIENT_UNAVAILABLE) /* P/enc(E) */    \
    X(SESSION_GONE, "session_gone", ITEM_NOT_FOUND) /* with its endpoint */    \
    X(MAX_PENDING, "max_pending", RESOURCE_CONSTRAINT)                         \
    X(MAX_PENDING_PER_USER, "max_pending_per_user", RESOURCE_CONSTRAINT)       \
    X(MAX_PENDING_PER_DOMAIN, "max_pending_per_domain", RESOURCE_CONSTRAINT)   \
    X(MAX_PENDING_REMOTE, "max_pending_remote", RESOURCE_CONSTRAINT)           \
    X(MAX_PENDING_PER_ENDPOINT, "max_pending_per_endpoint",                    \
      RESOURCE_CONSTRAINT)                                                     \
    X(MAX_CONTACTS, "max_contacts", RESOURCE_CONSTRAINT) /* for a handle */    \
    X(MESSAGE_RATE, "message_rate", RESOURCE_CONSTRAINT)                       \
    /* of a target */                                                          \
    X(TO_HOST, "to_host", SERVICE_UNAVAILABLE) /* a request for P itself */    \
    X(MESSAGE_TO_HOST, "message_to_host", NOT_ALLOWED)                         \
    X(TO_ENDPOINT, "to_endpoint", NOT_ALLOWED)                                 \
    X(TO_TARGET, "to_target", NOT_ALLOWED)                                     \
    X(TO_SELF, "to_self", NOT_ALLOWED) /* to an address at P by way of P */    \
    X(NOT_AN_ENDPOINT, "not_an_endpoint", NOT_ALLOWED) /* the sender */        \
    X(PLAIN_ADDRESS, "plain_address", FORBIDDEN) /* with encoding `sealed' */  \
    X(OUTBOUND_REPLY, "outbound_reply", FORBIDDEN) /* U has not spoken */      \
    X(OUTBOUND_NONE, "outbound_none", FORBIDDEN)                               \
    X(OUTBOUND_ACCESS, "outbound_access", FORBIDDEN)                           \
    X(MAX_OUTBOUND, "max_outbound_per_endpoint", RESOURCE_CONSTRAINT)          \
    /* of one that was forwarded */                                            \
    X(TIMEOUT, "timeout", REMOTE_SERVER_TIMEOUT)                               \
    X(BOUNCED, "bounced", RECIPIENT_UNAVAILABLE) /* and nobody else has it */  \
    X(GONE, "gone", RECIPIENT_UNAVAILABLE) /* the endpoint that had it */      \
    X(REFUSED, "refused", SERVICE_UNAVAILABLE) /* by the endpoint's server */  \
    X(STOPPED, "stopped", RECIPIENT_UNAVAILABLE) /* the module */              \
    /* of one that was held back (held.h) */                                   \
    X(HELD_TOO_LONG, "held_too_long", POLICY_VIOLATION)                        \
    X(NOT_HELD, "not_held", RESOURCE_CONSTRAINT) /* no room for its packet */  \
    X(DENIED, "denied", POLICY_VIOLATION)                                      \
    X(ADMITTED, "admitted", POLICY_VIOLATION) /* no error: it comes again */   \
    /* of forwarded ones, too, but only the caller of the core knows of it */                 \
    X(INTERNAL, "internal", INTERNAL_SERVER_ERROR)                             \
    X(MALFORMED, "malformed", BAD_REQUEST) /* the payload, to be translated */ \
    X(TOO_BIG, "too_big", POLICY_VIOLATION)                                    \
    X(TOO_DEEP, "too_deep", POLICY_VIOLATION)                                  \
    X(TOO_MANY_ATTRIBUTES, "too_many_attributes", POLICY_VIOLATION)            \
    X(TOO_MANY_CHILDREN, "too_many_children", POLICY_VIOLATION)                \
    X(TOO_MANY_ADDRESSES, "too_many_addresses", POLICY_VIOLATION)              \
    X(NO_MEMORY, "no_memory", RESOURCE_CONSTRAINT)                             \
    X(NOT_KEPT, "not_kept", RECIPIENT_UNAVAILABLE) /* it had to be sent again */ \
    X(BUSY, "busy", RESOURCE_CONSTRAINT) /* the core has answered too late */  \
    X(CORE_LOST, "core_lost", RECIPIENT_UNAVAILABLE) /* it ended */
/* clang-format on */

#define X(name, word, condition) JAT_WHY_##name,
enum jat_why { JAT_WHYS(X) JAT_WHY_COUNT };
#undef X

/* Static storage. */
const char *jat_condition_name(enum jat_condition c);
const char *jat_why_name(enum jat_why why);
enum jat_condition jat_why_condition(enum jat_why why);

#endif
