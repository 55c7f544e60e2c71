/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Options of the proxy host, each one of a few values; the first one is what
 * most runs have. A new option of the core is one more row in options.c. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "jat.h"
#include "luck.h"

#define SIM_HOST "proxy.example.org"
#define SIM_LOCAL "example.org" /* the server's own domain */
#define SIM_ROOMS "urn:example:rooms"

enum sim_option {
    SIM_BALANCE,
    SIM_ENCODING,
    SIM_STICKY_BY,
    SIM_DRAIN_SHOW,
    SIM_KEYS,
    SIM_SESSIONS, /* attribute and kind */
    SIM_SESSION_TIMEOUT,
    SIM_STICKY_TTL,
    SIM_PRIORITY,
    SIM_OUTLIER_EJECTION,
    SIM_SLOW_START,
    SIM_PING_INTERVAL,
    SIM_MAX_PENDING_PER_ENDPOINT,
    SIM_RETRY_SETS,
    SIM_RESUME_WAIT,
    SIM_RETRIES,
    SIM_TIMEOUT,
    SIM_MAX_PENDING,
    SIM_MAX_PENDING_PER_USER,
    SIM_MAX_PENDING_PER_DOMAIN,
    SIM_MAX_OUTBOUND_PER_ENDPOINT,
    SIM_MAX_ENDPOINTS,
    SIM_MAX_RETRY_MEMORY,
    SIM_WAIT_FOR_ENDPOINT,
    SIM_TAG,
    SIM_HOLD_TIMEOUT,
    SIM_OPTION_COUNT
};

/* Which value each has. */
struct sim_options {
    uint8_t pick[SIM_OPTION_COUNT];
};

/* Most have their first value. */
void sim_options_draw(struct luck *l, struct sim_options *out);
/* A configuration of the core; the caller's. */
struct jat_config *sim_options_config(const struct sim_options *o);

const char *sim_option_word(const struct sim_options *o, enum sim_option which);
int64_t sim_option_number(const struct sim_options *o, enum sim_option which);
bool sim_option_is(const struct sim_options *o, enum sim_option which,
                   const char *word);
/* Sets it to this value, which is one of its. False: it is none. */
bool sim_option_set(struct sim_options *o, const char *name, const char *value);
/* Those that differ from `from`, "name: value, ..."; NULL: from the first
 * values. */
void sim_options_tell(FILE *to, const struct sim_options *o,
                      const struct sim_options *from);

#endif
