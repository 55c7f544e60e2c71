/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Configurations that an input can choose. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "truth.h"

/* Once, before the others: makes a ring for each choice of keys. */
void options_init(void);
void options_choose(struct input *in, struct options *o);
/* Whatever must be there is. */
void options_complete(struct options *o);
/* The same for the core; the caller's. */
struct jat_config *options_config(const struct options *o);

#endif
