/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the fuzz targets share: checks that hold whatever the input is, and the
 * input read as a sequence of choices. An input is played from the same state
 * each time: what a target makes, it frees, and it asks neither the clock nor
 * for random numbers. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "str.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* JAT_STR for static storage. */
#define FUZZ_STR(lit)                                                          \
    {                                                                          \
        "" lit, sizeof(lit) - 1                                                \
    }

#define CHECK(that)                                                            \
    do {                                                                       \
        if (!(that)) {                                                         \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__,   \
                          #that);                                              \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* What is left of an input. */
struct input {
    const uint8_t *p;
    size_t n;
};

/* The next octet; 0 when there is none. */
static inline unsigned input_octet(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

/* A number below n, n <= 256. */
static inline unsigned input_below(struct input *in, unsigned n)
{
    return input_octet(in) % n;
}

/* Up to n octets. */
static inline struct jat_str input_str(struct input *in, size_t n)
{
    struct jat_str s = {(const char *)in->p, n < in->n ? n : in->n};

    if (s.n > 0)
        in->p += s.n;
    in->n -= s.n;
    return s;
}

#endif
