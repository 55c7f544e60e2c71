/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A client of a benchmark: just enough XMPP over plain TCP to log in (SASL
 * PLAIN, no TLS) and to take stanzas from the stream as they are. What a server
 * sends is believed; whatever is wrong ends the program. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    const char *p;
    size_t n;
};

struct buffer {
    char *p;
    size_t n, cap;
};

struct client {
    char jid[512];
    int fd;
    struct buffer in, out;
    size_t read; /* what of `in` has been looked at */
    int depth;   /* of the elements open there, below the stream */
};

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format,
                                                         ...);

/* Room for n octets at the end of b. */
char *room(struct buffer *b, size_t n);
void add(struct buffer *b, const char *p, size_t n);
__attribute__((format(printf, 2, 3))) void print(struct buffer *b,
                                                 const char *format, ...);

bool is(struct text text, const char *s);

/* Connects (loopback), logs in, and waits until everybody knows of it. c is
 * zeroed; its socket blocks. */
void client_log_in(struct client *c, long port, const char *account,
                   const char *password, const char *resource);

/* Sends what it can of c->out. */
void client_flush(struct client *c);
/* Receives what has come. */
void client_receive(struct client *c);
/* Takes the next whole stanza that has come, if there is one. Its text is good
 * until the next call. */
bool client_next(struct client *c, struct text *stanza);

/* The element's name begins with this. */
bool is_a(struct text stanza, const char *name);
/* As ejabberd writes it; empty where absent. */
struct text attribute(struct text stanza, const char *name);
/* What is inside of a stanza. */
struct text content(struct text stanza);

#endif
