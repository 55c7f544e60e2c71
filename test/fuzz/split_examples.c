/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* split_examples FOLDER OUT: writes each stanza of the XEPs' examples to a file
 * of its own, so that a fuzz target can begin with them. */
#include "examples.h"

static const char *out;

static void write_example(xmlNodePtr stanza, struct jat_str text)
{
    static unsigned n;
    char path[4096];
    FILE *f;

    (void)stanza;
    (void)snprintf(path, sizeof path, "%s/%u", out, n++);
    f = fopen(path, "w");
    if (f == NULL || fwrite(text.p, 1, text.n, f) != text.n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    int n;

    if (argc != 3)
        return 2;
    out = argv[2];
    n = examples_each(argv[1], write_example);
    if (n < 0)
        (void)printf("skipped: no XEP examples in %s\n", argv[1]);
    else
        (void)printf("%d stanzas of the XEPs' examples\n", n);
    return 0;
}
