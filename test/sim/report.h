/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What each strategy does with endpoints that are slow or fail. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "sim.h"

/* Prints the table. False: something was wrong. */
bool sim_report(FILE *to);

#endif
