/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is done with a stanza, as rows of data: read rules.c beside the two
 * tables of doc/behaviour.md, "Table of stanzas". */
#ifndef JAT_RULES_H
#define JAT_RULES_H

#include "place.h"

/* For a stanza of such a place, and where `when` says yes, the action decides;
 * arg is the action's own. */
struct jat_rule {
    uint16_t what, whom; /* of enum jat_what, enum jat_to */
    uint32_t arg;
    bool (*when)(const struct jat_call *c); /* NULL: always */
    enum jat_err (*action)(struct jat_call *c, unsigned arg);
};

/* For test_rules.c, which compares the rules with doc/behaviour.md: the first
 * two columns of the row, words of the third one, and the test case that shows
 * it in a server. Neighbouring rules may share a row. NULL: the rule asks the
 * caller something; the page has no row for it. */
struct jat_rule_words {
    const char *stanza, *to, *says, *shown_by;
};

extern const struct jat_rule *const jat_rules[JAT_SENDER_COUNT];
extern const struct jat_rule_words *const jat_rules_words[JAT_SENDER_COUNT];
extern const size_t jat_rules_n[JAT_SENDER_COUNT];

/* The first rule of a sender that is for this place, opening the address if the
 * rules need that. Never NULL on success. */
enum jat_err jat_rule_for(struct jat_call *c, const struct jat_rule **out);

#endif
