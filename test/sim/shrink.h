/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The shortest history that fails. */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "sim.h"

/* w has just played p, which failed: prints the seed, what was broken, and the
 * shortest history found in which the same is broken. */
void sim_shrink(struct sim_world *w, const struct sim_plan *p, FILE *to);

#endif
