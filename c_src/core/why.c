/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "why.h"

const char *jat_condition_name(enum jat_condition c)
{
#define X(name, word) word,
    static const char *const names[] = {JAT_CONDITIONS(X)};
#undef X

    return names[c];
}

const char *jat_why_name(enum jat_why why)
{
#define X(name, word, condition) word,
    static const char *const names[] = {JAT_WHYS(X)};
#undef X

    return names[why];
}

enum jat_condition jat_why_condition(enum jat_why why)
{
#define X(name, word, condition) JAT_##condition,
    static const enum jat_condition conditions[] = {JAT_WHYS(X)};
#undef X

    return conditions[why];
}
