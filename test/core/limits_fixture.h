/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* One proxy host for the tests of its limits: how much is taken until one is
 * reached. */
#ifndef LIMITS_FIXTURE_H
#define LIMITS_FIXTURE_H

#include "jat_fixture.h"

#define FULL "error resource-constraint"

static unsigned serial; /* makes ids */

/* How many requests of this user are taken before one is refused. */
static inline unsigned room(const char *user, const char *to)
{
    for (unsigned n = 0; n < 100; n++) {
        const char *says = get(line("%u", serial++), user, to);
        if (strncmp(says, "request", 7) != 0 &&
            strncmp(says, "outbound", 8) != 0) {
            assert_words(says, FULL);
            return n;
        }
    }
    return 100;
}

#endif
