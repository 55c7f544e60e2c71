/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The two tables of doc/behaviour.md, "Table of stanzas", row by row: what the
 * page says, then what it means here. The first rule that fits is the one.
 *
 *   RULE(stanza, to, what the page says of it,
 *        what it is, whom it is for, a condition,
 *        the action, its argument,
 *        the test case that shows it in a server)
 *
 * To find out whose address P/... is takes time (it is "opened"). A rule for
 * RESOURCE is for all such addresses, unopened. Only a rule for one kind of
 * them (ENDPOINT, REQUESTER ...) has the address opened first (place.h).
 */
#include "rules.h"

#include "exchange.h"
#include "talk.h"

/* Actions that need no more than this */

static enum jat_err refuse(struct jat_call *c, unsigned why)
{
    return jat_refuse(c->out, (enum jat_why)why);
}

static enum jat_err drop(struct jat_call *c, unsigned reason)
{
    return jat_drop(c->out, (enum jat_reason)reason);
}

static enum jat_err local(struct jat_call *c, unsigned what)
{
    return jat_local(c->out, (enum jat_local)what);
}

static enum jat_err ask_whom(struct jat_call *c, unsigned what)
{
    return jat_ask_text(c->out, (enum jat_ask)what, c->to.resource, c->buf);
}

/* Conditions */

static bool access_denied(const struct jat_call *c)
{
    return (c->hints & JAT_HINT_ACCESS_DENIED) != 0;
}

static bool from_host(const struct jat_call *c)
{
    return jat_str_eq(c->from.server, c->j->host);
}

static bool too_fast(const struct jat_call *c)
{
    return c->pace != JAT_PACE_OK;
}

/* ... and it has not been said for a second. */
static bool too_fast_now(const struct jat_call *c)
{
    return c->pace == JAT_PACE_TELL;
}

static bool long_id(const struct jat_call *c)
{
    return c->stanza->id.n > JAT_ID_MAX;
}

/* A request has one child (RFC 6120, 8.2.3). */
static bool not_one_child(const struct jat_call *c)
{
    return c->stanza->n_children != 1;
}

static bool is_query(const struct jat_call *c, struct jat_str ns,
                     struct jat_str name)
{
    const struct jat_child *child = &c->stanza->children[0];

    return c->stanza->type == JAT_TYPE_GET && jat_str_eq(child->ns, ns) &&
           jat_str_eq(child->name, name);
}

static bool disco(const struct jat_call *c)
{
    return is_query(c, JAT_STR("http://jabber.org/protocol/disco#info"),
                    JAT_STR("query"));
}

static bool disco_items(const struct jat_call *c)
{
    return is_query(c, JAT_STR("http://jabber.org/protocol/disco#items"),
                    JAT_STR("query"));
}

static bool ping(const struct jat_call *c)
{
    return is_query(c, JAT_STR("urn:xmpp:ping"), JAT_STR("ping"));
}

/* The node (XEP-0030, 3.2) that a query is about; empty: the entity itself. */
static struct jat_str node(const struct jat_call *c)
{
    return jat_child_attr(c->stanza, &c->stanza->children[0], JAT_STR("node"));
}

static bool no_endpoint(const struct jat_call *c)
{
    return jat_endpoints_count(c->j->endpoints) == 0;
}

static bool is_self(const struct jat_call *c)
{
    return c->config->disco == JAT_DISCO_SELF;
}

/* Only P knows what its capabilities stand for (XEP-0115, 6.2). */
static bool own_caps(const struct jat_call *c)
{
    return c->config->caps.n > 0 && disco(c) &&
           jat_list_has(&c->config->caps, node(c));
}

static bool own_disco(const struct jat_call *c)
{
    return disco(c) && (no_endpoint(c) || (is_self(c) && node(c).n == 0));
}

static bool own_items(const struct jat_call *c)
{
    return is_self(c) && disco_items(c) && node(c).n == 0;
}

static bool own_ping(const struct jat_call *c)
{
    return ping(c) && (no_endpoint(c) || is_self(c));
}

/* The tables */

#define ALWAYS NULL
#define MESSAGES (MESSAGE | HEADLINE | GROUPCHAT)
#define ANSWERED (REQUEST | MESSAGE | GROUPCHAT) /* with an error */
#define UNANSWERED (HEADLINE | MESSAGE_ERROR)
#define PRESENCES                                                              \
    (AVAILABLE | UNAVAILABLE | SUBSCRIBE | UNSUBSCRIBE | SUBSCRIBED | PROBE |  \
     PRESENCE_ERROR)
#define OTHERS (NODE | RESOURCE) /* all but P itself */

/* clang-format off */
#define FROM_A_REQUESTER(RULE)                                                 \
    RULE("message, presence beyond `message_rate`", "any", "`resource-constraint`", \
         MESSAGE, ANYBODY, too_fast_now,                                       \
         refuse, JAT_WHY_MESSAGE_RATE,                                         \
         "messages_beyond_the_rate_get_one_error_a_second")                    \
    RULE("message, presence beyond `message_rate`", "any", "dropped",          \
         MESSAGES | MESSAGE_ERROR | PRESENCES, ANYBODY, too_fast,              \
         drop, JAT_REASON_LIMITED,                                             \
         "messages_beyond_the_rate_get_one_error_a_second")                    \
    RULE("iq get/set, message that `access` denies", "any", "`forbidden`",     \
         ANSWERED, ANYBODY, access_denied,                                     \
         refuse, JAT_WHY_ACCESS,                                               \
         "access_refuses_who_is_not_allowed")                                  \
    RULE("iq get/set, message that `access` denies", "any", "headlines and errors dropped", \
         UNANSWERED, ANYBODY, access_denied,                                   \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "a_message_that_access_denies_gets_forbidden")                        \
    RULE("iq get/set, message from an address at `P`", "any", "`not-allowed`", \
         ANSWERED, ANYBODY, from_host,                                         \
         refuse, JAT_WHY_LOOP,                                                 \
         "a_request_from_an_address_at_p_is_refused")                          \
    RULE("iq get/set, message from an address at `P`", "any", "headlines and errors dropped", \
         UNANSWERED, ANYBODY, from_host,                                       \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "a_message_from_an_address_at_p_is_refused")                          \
    RULE("iq get/set with an id over 1024 octets", "any", "`policy-violation`", \
         REQUEST, ANYBODY, long_id,                                            \
         refuse, JAT_WHY_ID_TOO_LONG,                                          \
         "a_request_with_an_id_too_long_gets_policy_violation")                \
    RULE("iq get/set with 0 or 2+ children", "any", "`bad-request`",           \
         REQUEST, ANYBODY, not_one_child,                                      \
         refuse, JAT_WHY_CHILDREN,                                             \
         "a_request_without_exactly_one_child_gets_bad_request")               \
    RULE("iq disco#info at P's own `node#ver`", "`P`", "answered by P itself", \
         REQUEST, HOST, own_caps,                                              \
         local, JAT_LOCAL_DISCO_INFO,                                          \
         "p_answers_for_its_capabilities_whatever_disco_says")                  \
    RULE("iq disco#items", "`P`, with `disco: self`", "answered by P itself",  \
         REQUEST, HOST, own_items,                                             \
         local, JAT_LOCAL_DISCO_ITEMS,                                         \
         "with_disco_self_p_lists_the_nodes_that_localparts_names")            \
    RULE("iq disco#info, ping", "`P`, no endpoint online", "answered by P itself", \
         REQUEST, HOST, own_disco,                                             \
         local, JAT_LOCAL_DISCO_INFO,                                          \
         "without_an_endpoint_p_answers_ping_and_disco_itself")                \
    RULE("iq disco#info, ping", "`P`, no endpoint online", "answered by P itself", \
         REQUEST, HOST, own_ping,                                              \
         local, JAT_LOCAL_PING,                                                \
         "without_an_endpoint_p_answers_ping_and_disco_itself")                \
    RULE("iq get/set", "`P`", "choose E; forward; record",                     \
         REQUEST, HOST, ALWAYS,                                                \
         jat_request_any, 0,                                                   \
         "an_iq_get_to_p_reaches_an_endpoint_and_its_answer_comes_from_p")     \
    RULE("iq get/set", "`P/enc(E)`", "to that E if online",                    \
         REQUEST, ENDPOINT, ALWAYS,                                            \
         jat_request_one, 0,                                                   \
         "an_iq_to_the_address_of_an_endpoint_reaches_that_endpoint")          \
    RULE("iq get/set", "`P/enc(E)`", "else `recipient-unavailable`",           \
         REQUEST, GONE, ALWAYS,                                                \
         jat_request_gone, 0,                                                  \
         "a_request_to_an_endpoint_that_left_gets_recipient_unavailable")      \
    RULE("iq get/set", "`P/other`, `node@P...`", "`item-not-found`",           \
         REQUEST, OTHERS, ALWAYS,                                              \
         refuse, JAT_WHY_NO_SUCH_ADDRESS,                                      \
         "a_request_to_another_resource_of_p_gets_item_not_found")             \
    RULE("iq result/error", "`P/enc(E)`", "forwarded; else dropped",           \
         ANSWER, ENDPOINT, ALWAYS,                                             \
         jat_answer_out, 0,                                                    \
         "an_answer_to_the_endpoint_is_taken_once_and_from_whom_it_asked")     \
    RULE("iq result/error", "else", "dropped, counted",                        \
         ANSWER, ANYBODY, ALWAYS,                                              \
         jat_answer_elsewhere, 0,                                              \
         "an_answer_to_nothing_is_dropped_and_never_answered")                 \
    RULE("message groupchat", "any", "`not-acceptable`",                       \
         GROUPCHAT, ANYBODY, ALWAYS,                                           \
         refuse, JAT_WHY_NOT_A_ROOM,                                           \
         "a_groupchat_message_gets_not_acceptable")                            \
    RULE("message chat/normal", "`P`", "to the endpoint that the last message", \
         MESSAGE, HOST, ALWAYS,                                                \
         jat_message_any, 0,                                                   \
         "a_conversation_stays_with_its_endpoint")                             \
    RULE("message chat/normal", "`P/enc(E)`", "to that E while it is online",  \
         MESSAGE, ENDPOINT, ALWAYS,                                            \
         jat_message_one, 0,                                                   \
         "a_message_to_the_address_of_an_endpoint_reaches_that_endpoint")      \
    RULE("message chat/normal", "`P/enc(E)`", "else as to `P`",                \
         MESSAGE, GONE, ALWAYS,                                                \
         jat_message_any, 0,                                                   \
         "a_message_to_an_endpoint_that_left_goes_to_another_one")             \
    RULE("message chat/normal", "`P/other`, `node@P...`", "`item-not-found`",  \
         MESSAGE, OTHERS, ALWAYS,                                              \
         refuse, JAT_WHY_NO_SUCH_ADDRESS,                                      \
         "a_message_to_what_cannot_be_opened_gets_item_not_found")             \
    RULE("message headline", "any", "as chat",                                 \
         HEADLINE, HOST, ALWAYS,                                               \
         jat_message_any, 0,                                                   \
         "a_headline_reaches_an_endpoint_or_nobody")                           \
    RULE("message headline", "any", "as chat",                                 \
         HEADLINE, ENDPOINT, ALWAYS,                                           \
         jat_message_one, 0,                                                   \
         "a_headline_reaches_an_endpoint_or_nobody")                           \
    RULE("message headline", "any", "as chat",                                 \
         HEADLINE, GONE, ALWAYS,                                               \
         jat_message_any, 0,                                                   \
         "a_headline_reaches_an_endpoint_or_nobody")                           \
    RULE("message headline", "any", "dropped",                                 \
         HEADLINE, ANYBODY, ALWAYS,                                            \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "a_headline_reaches_an_endpoint_or_nobody")                           \
    RULE("message error", "any", "forwarded to E",                             \
         MESSAGE_ERROR, ENDPOINT, ALWAYS,                                      \
         jat_error_in, 0,                                                      \
         "an_error_of_the_requester_reaches_the_endpoint_that_wrote")          \
    RULE("message error", "any", "else dropped",                               \
         MESSAGE_ERROR, ANYBODY, ALWAYS,                                       \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "a_message_error_to_p_is_dropped")                                    \
    RULE("presence", "a node that is not allowed", "subscribe, probe: `unsubscribed`", \
         SUBSCRIBE | PROBE, NODE, ALWAYS,                                      \
         local, JAT_LOCAL_DECLINE,                                             \
         "a_node_that_is_not_allowed_declines")                                \
    RULE("presence", "a node that is not allowed", "the rest dropped",         \
         PRESENCES, NODE, ALWAYS,                                              \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "a_node_that_is_not_allowed_declines")                                \
    RULE("presence subscribe", "`P`, nodes", "`subscribed` if `access` allows", \
         SUBSCRIBE, ANYBODY, ALWAYS,                                           \
         local, JAT_LOCAL_SUBSCRIBE,                                           \
         "a_subscription_is_accepted_and_then_presence_comes")                 \
    RULE("presence unsubscribe", "`P`", "`unsubscribed` + unavailable",        \
         UNSUBSCRIBE, ANYBODY, ALWAYS,                                         \
         local, JAT_LOCAL_UNSUBSCRIBE,                                         \
         "who_unsubscribes_is_told_so_and_hears_no_more")                      \
    RULE("presence probe", "`P`", "P's presence to subscribers",               \
         PROBE, ANYBODY, ALWAYS,                                               \
         local, JAT_LOCAL_PROBE,                                               \
         "a_probe_is_answered_to_subscribers_and_whom_access_allows")          \
    RULE("presence available, directed", "`P`, `P/enc(E)`", "P's presence if `access` allows", \
         AVAILABLE, ANYBODY, ALWAYS,                                           \
         local, JAT_LOCAL_AVAILABLE,                                           \
         "directed_presence_is_answered_once_and_not_kept")                    \
    RULE("presence error, subscribed, unsubscribed, unavailable", "any", "dropped", \
         SUBSCRIBED | UNAVAILABLE, ANYBODY, ALWAYS,                            \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "other_presence_to_p_is_dropped")                                     \
    RULE("presence error, subscribed, unsubscribed, unavailable", "any", "removes the subscriber", \
         PRESENCE_ERROR, ANYBODY, ALWAYS,                                      \
         local, JAT_LOCAL_PRESENCE_ERROR,                                      \
         "an_error_of_type_cancel_removes_the_subscriber")

#define FROM_A_TARGET(RULE)                                                    \
    RULE("iq get/set with an id over 1024 octets", "any", "`policy-violation`", \
         REQUEST, ANYBODY, long_id,                                            \
         refuse, JAT_WHY_ID_TOO_LONG,                                          \
         "a_request_with_an_id_too_long_gets_policy_violation")                \
    RULE("iq get/set with 0 or 2+ children", "any", "`bad-request`",           \
         REQUEST, ANYBODY, not_one_child,                                      \
         refuse, JAT_WHY_CHILDREN,                                             \
         "a_request_without_exactly_one_child_gets_bad_request")               \
    RULE("iq result/error", "`P/enc(U)`", "taken (one winner), forwarded to U", \
         ANSWER, RESOURCE, ALWAYS,                                             \
         jat_answer_in, 0,                                                     \
         "a_result_sent_twice_is_delivered_once")                              \
    RULE("iq result/error", "`P`, `node@P...`", "else dropped",                \
         ANSWER, HOST | NODE, ALWAYS,                                          \
         drop, JAT_REASON_UNSOLICITED,                                         \
         "an_answer_of_the_target_to_p_is_dropped")                            \
    RULE("iq get/set", "`P/enc(U)`", "client-initiated request",               \
         REQUEST, REQUESTER, ALWAYS,                                           \
         jat_request_out, 0,                                                   \
         "a_request_of_the_endpoint_reaches_the_requester_and_is_answered")    \
    RULE(NULL, NULL, NULL,                                                     \
         REQUEST | MESSAGES | MESSAGE_ERROR | AVAILABLE | UNAVAILABLE,         \
         UNPREPARED, ALWAYS,                                                   \
         ask_whom, JAT_ASK_JID,                                                 \
         "outbound_any_allows_everybody_that_the_access_rule_does")            \
    RULE(NULL, NULL, NULL,                                                     \
         REQUEST | MESSAGES | MESSAGE_ERROR | AVAILABLE | UNAVAILABLE,         \
         UNKNOWN, ALWAYS,                                                      \
         ask_whom, JAT_ASK_HANDLE,                                             \
         "a_handle_of_one_node_is_good_at_another")                            \
    RULE("iq get/set, message", "a plain JID at `P`, with `sealed`", "`forbidden`", \
         REQUEST | MESSAGES, HIDDEN, ALWAYS,                                              \
         refuse, JAT_WHY_PLAIN_ADDRESS,                                        \
         "a_sealed_target_may_not_write_to_a_plain_jid")                       \
    RULE("iq get/set, message", "`P/X`, X at `P`", "`not-allowed`",            \
         REQUEST | MESSAGES, AT_HOST, ALWAYS,                                                \
         refuse, JAT_WHY_TO_SELF,                                              \
         "a_request_from_p_to_itself_is_refused")                              \
    RULE("iq get/set", "`P`", "disco#info answered by P itself",               \
         REQUEST, HOST, disco,                                                 \
         local, JAT_LOCAL_DISCO_INFO,                                          \
         "a_ping_or_disco_of_the_target_is_answered_by_p_itself")              \
    RULE("iq get/set", "`P`", "answered by P itself",                          \
         REQUEST, HOST, ping,                                                  \
         local, JAT_LOCAL_PING,                                                \
         "a_ping_or_disco_of_the_target_is_answered_by_p_itself")              \
    RULE("iq get/set", "`P`", "else `service-unavailable`",                    \
         REQUEST, HOST, ALWAYS,                                                \
         refuse, JAT_WHY_TO_HOST,                                              \
         "another_iq_of_the_target_to_p_gets_service_unavailable")             \
    RULE("iq get/set, message", "`P/enc(E2)`, an endpoint", "`not-allowed`",   \
         REQUEST | MESSAGES, ENDPOINT | GONE, ALWAYS,                          \
         refuse, JAT_WHY_TO_ENDPOINT,                                          \
         "an_endpoint_may_not_write_to_another_endpoint")                      \
    RULE("iq get/set, message", "`P/enc(E2)`, an endpoint", "`not-allowed`",   \
         REQUEST | MESSAGES, ACCOUNT, ALWAYS,                                  \
         refuse, JAT_WHY_TO_TARGET,                                            \
         "an_endpoint_may_not_write_to_another_endpoint")                      \
    RULE("message", "`P/enc(U)`", "to U from `P/enc(E)`",                      \
         MESSAGE | HEADLINE, REQUESTER, ALWAYS,                                \
         jat_message_out, 0,                                                   \
         "a_message_of_an_endpoint_reaches_the_requester_from_its_own_address") \
    RULE("message", "`P/enc(U)`", "groupchat: `not-acceptable`",               \
         GROUPCHAT, REQUESTER, ALWAYS,                                         \
         refuse, JAT_WHY_NOT_A_ROOM,                                           \
         "a_groupchat_message_of_an_endpoint_gets_not_acceptable")             \
    RULE("message error", "`P/enc(U)`", "to U if",                             \
         MESSAGE_ERROR, REQUESTER, ALWAYS,                                     \
         jat_error_out, 0,                                                     \
         "an_error_of_the_endpoint_reaches_the_requester")                     \
    RULE("message", "`P`", "`not-allowed`",                                    \
         MESSAGES, HOST, ALWAYS,                                               \
         refuse, JAT_WHY_MESSAGE_TO_HOST,                                      \
         "a_message_of_the_target_to_p_gets_not_allowed")                      \
    RULE("presence available", "`P`", "endpoint added or updated",             \
         AVAILABLE, HOST, ALWAYS,                                              \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "a_remote_target_is_asked_and_serves_when_it_has_confirmed")          \
    RULE("presence unavailable", "`P`", "endpoint removed",                    \
         UNAVAILABLE, HOST, ALWAYS,                                            \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "an_unavailable_of_a_remote_target_removes_it_and_nobody_is_probed")  \
    RULE("presence error", "`P`", "see \"Endpoints\"",                         \
         PRESENCE_ERROR, HOST, ALWAYS,                                         \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "a_presence_error_of_a_resource_removes_it_alone")                    \
    RULE("presence subscribe / probe", "`P`", "the target is ours",            \
         SUBSCRIBE | PROBE, HOST, ALWAYS,                                      \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "a_target_that_subscribes_is_accepted_and_sees_presence")             \
    RULE("presence unsubscribe", "`P`", "`unsubscribed`, logged",              \
         UNSUBSCRIBE, HOST, ALWAYS,                                            \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "a_target_that_unsubscribes_is_noted_and_serves_all_the_same")        \
    RULE("presence subscribed / unsubscribed", "`P`", "state noted",           \
         SUBSCRIBED, HOST, ALWAYS,                                             \
         local, JAT_LOCAL_TARGET_PRESENCE,                                     \
         "a_remote_target_that_declines_does_not_serve")                       \
    RULE("presence directed", "`P/enc(U)`", "to U from `P/enc(E)`",            \
         AVAILABLE | UNAVAILABLE, REQUESTER, ALWAYS,                           \
         jat_presence_out, 0,                                                  \
         "directed_presence_of_an_endpoint_reaches_the_requester")             \
    RULE("anything else", "unopenable resource, `node@P...`", "`item-not-found`", \
         REQUEST, NOBODY | NODE, ALWAYS,                                       \
         refuse, JAT_WHY_NO_SUCH_ADDRESS,                                      \
         "a_request_to_what_cannot_be_opened_gets_item_not_found")             \
    RULE("anything else", "unopenable resource, `node@P...`", "dropped otherwise", \
         ANYTHING, ANYBODY, ALWAYS,                                            \
         drop, JAT_REASON_UNROUTABLE,                                          \
         "other_presence_to_p_is_dropped")
/* clang-format on */

/* Short names, for the tables alone. */
enum {
    REQUEST = JAT_IS_REQUEST,
    ANSWER = JAT_IS_ANSWER,
    MESSAGE = JAT_IS_MESSAGE,
    HEADLINE = JAT_IS_HEADLINE,
    GROUPCHAT = JAT_IS_GROUPCHAT,
    MESSAGE_ERROR = JAT_IS_MESSAGE_ERROR,
    AVAILABLE = JAT_IS_AVAILABLE,
    UNAVAILABLE = JAT_IS_UNAVAILABLE,
    SUBSCRIBE = JAT_IS_SUBSCRIBE,
    UNSUBSCRIBE = JAT_IS_UNSUBSCRIBE,
    SUBSCRIBED = JAT_IS_SUBSCRIBED,
    PROBE = JAT_IS_PROBE,
    PRESENCE_ERROR = JAT_IS_PRESENCE_ERROR,
    ANYTHING = JAT_IS_ANYTHING,

    HOST = JAT_TO_HOST,
    NODE = JAT_TO_NODE,
    ENDPOINT = JAT_TO_ENDPOINT,
    GONE = JAT_TO_GONE,
    NOBODY = JAT_TO_NOBODY,
    REQUESTER = JAT_TO_REQUESTER,
    ACCOUNT = JAT_TO_ACCOUNT,
    AT_HOST = JAT_TO_AT_HOST,
    UNPREPARED = JAT_TO_UNPREPARED,
    HIDDEN = JAT_TO_HIDDEN,
    UNKNOWN = JAT_TO_UNKNOWN,
    RESOURCE = JAT_TO_RESOURCE,
    ANYBODY = JAT_TO_ANYBODY
};

#define RULE(stanza, to, says, what, whom, when, action, arg, shown_by)        \
    {what, whom, arg, when, action},
static const struct jat_rule from_requester[] = {FROM_A_REQUESTER(RULE)};
static const struct jat_rule from_target[] = {FROM_A_TARGET(RULE)};
#undef RULE

#define RULE(stanza, to, says, what, whom, when, action, arg, shown_by)        \
    {stanza, to, says, shown_by},
static const struct jat_rule_words requester_words[] = {FROM_A_REQUESTER(RULE)};
static const struct jat_rule_words target_words[] = {FROM_A_TARGET(RULE)};
#undef RULE

const struct jat_rule *const jat_rules[JAT_SENDER_COUNT] = {
    [JAT_REQUESTER] = from_requester, [JAT_TARGET] = from_target};
const struct jat_rule_words *const jat_rules_words[JAT_SENDER_COUNT] = {
    [JAT_REQUESTER] = requester_words, [JAT_TARGET] = target_words};
const size_t jat_rules_n[JAT_SENDER_COUNT] = {
    [JAT_REQUESTER] = sizeof(from_requester) / sizeof(*from_requester),
    [JAT_TARGET] = sizeof(from_target) / sizeof(*from_target)};

enum jat_err jat_rule_for(struct jat_call *c, const struct jat_rule **out)
{
    const struct jat_rule *r = jat_rules[c->sender];
    const struct jat_rule *end = r + jat_rules_n[c->sender];
    enum jat_err err;

    while (r < end) {
        unsigned common = (r->what & c->what) != 0 ? r->whom & c->whom : 0;

        if (common == 0 ||
            (common == c->whom && r->when != NULL && !r->when(c))) {
            r++;
        } else if (common == c->whom) {
            *out = r;
            return JAT_OK;
        } else { /* it may fit: open the address, try again */
            if ((err = jat_place_open(c)) != JAT_OK)
                return err;
        }
    }
    return JAT_EBADARG; /* every place has a rule: test_rules.c */
}
