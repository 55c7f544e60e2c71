/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Arguments of test programs, name=value. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Where a value goes: it is a text or a number. */
struct argument {
    const char *name;
    const char **text;
    long *number;
};

static inline bool take_argument(const char *arg, const struct argument *known,
                                 size_t count)
{
    size_t n = strcspn(arg, "=");

    for (size_t i = 0; arg[n] && i < count; i++) {
        if (strncmp(known[i].name, arg, n) != 0 || known[i].name[n])
            continue;
        if (known[i].text)
            *known[i].text = arg + n + 1;
        else
            *known[i].number = strtol(arg + n + 1, NULL, 10);
        return true;
    }
    return false;
}

/* Returns the first one that is not known, or NULL. */
static inline const char *take_arguments(int argc, char **argv,
                                         const struct argument *known,
                                         size_t count)
{
    for (int i = 1; i < argc; i++)
        if (!take_argument(argv[i], known, count))
            return argv[i];
    return NULL;
}

#endif
