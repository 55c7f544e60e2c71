/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* UTF-8 (RFC 3629). libxml2 2.9 lets some overlong forms pass. */
#ifndef JAT_UTF8_H
#define JAT_UTF8_H

#include "str.h"

/* True if s is well-formed UTF-8 without NUL. */
bool jat_utf8_is_valid(struct jat_str s);

#endif
