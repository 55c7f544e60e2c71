/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(2);
}

/* Buffers */

char *room(struct buffer *b, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n);
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            die("no memory");
    }
    return b->p + b->n;
}

void add(struct buffer *b, const char *p, size_t n)
{
    memcpy(room(b, n), p, n);
    b->n += n;
}

void print(struct buffer *b, const char *format, ...)
{
    va_list arguments;
    char line[4096];
    int n;

    va_start(arguments, format);
    n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof line)
        die("the head of a stanza is too long");
    add(b, line, (size_t)n);
}

/* The wire */

void client_flush(struct client *c)
{
    ssize_t n;

    if (c->out.n == 0)
        return;
    n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        die("%s was disconnected", c->jid);
    if (n > 0) {
        c->out.n -= (size_t)n;
        memmove(c->out.p, c->out.p + n, c->out.n);
    }
}

void client_receive(struct client *c)
{
    ssize_t n = recv(c->fd, room(&c->in, 65536), 65536, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("%s was disconnected", c->jid);
    if (n > 0)
        c->in.n += (size_t)n;
}

/* '<' and '>' are nowhere but in tags: ejabberd escapes both. */
bool client_next(struct client *c, struct text *stanza)
{
    size_t start = c->read;

    while (c->read < c->in.n) {
        const char *p = c->in.p + c->read, *end = c->in.p + c->in.n, *close;

        if (c->depth == 0)
            start = c->read;
        p = memchr(p, '<', (size_t)(end - p));
        close = p ? memchr(p, '>', (size_t)(end - p)) : NULL;
        if (!close)
            break;
        c->read = (size_t)(close + 1 - c->in.p);
        if (p[1] == '?' || strncmp(p, "<stream:stream", 14) == 0)
            continue;
        if (p[1] == '/')
            c->depth--;
        else if (close[-1] != '/')
            c->depth++;
        if (c->depth < 0)
            die("%s was disconnected", c->jid);
        if (c->depth == 0) {
            *stanza = (struct text){c->in.p + start, c->read - start};
            return true;
        }
    }
    /* what is left moves to the front, and is looked at again when there is
     * more of it */
    c->in.n -= start;
    memmove(c->in.p, c->in.p + start, c->in.n);
    c->read = 0;
    c->depth = 0;
    return false;
}

/* Stanzas */

bool is(struct text text, const char *s)
{
    return text.n == strlen(s) && memcmp(text.p, s, text.n) == 0;
}

bool is_a(struct text stanza, const char *name)
{
    size_t n = strlen(name);

    return stanza.n > n && memcmp(stanza.p + 1, name, n) == 0;
}

static const char *tag_end(struct text stanza)
{
    return memchr(stanza.p, '>', stanza.n);
}

struct text attribute(struct text stanza, const char *name)
{
    char key[32];
    size_t n = (size_t)snprintf(key, sizeof key, " %s='", name);
    const char *end = tag_end(stanza);
    const char *p = memmem(stanza.p, (size_t)(end - stanza.p), key, n);

    if (!p)
        return (struct text){"", 0};
    p += n;
    end = memchr(p, '\'', (size_t)(end - p));
    return (struct text){p, (size_t)(end - p)};
}

struct text content(struct text stanza)
{
    const char *start = tag_end(stanza) + 1;
    const char *end = memrchr(stanza.p, '<', stanza.n);

    if (start > end)
        return (struct text){"", 0};
    return (struct text){start, (size_t)(end - start)};
}

/* Login */

/* The next stanza, whose name begins with this, that is no presence of others
 * on the way. */
static struct text expect(struct client *c, const char *name)
{
    struct text stanza;

    for (;;) {
        while (!client_next(c, &stanza))
            client_receive(c);
        if (is_a(stanza, name))
            return stanza;
        if (!is_a(stanza, "presence"))
            die("%s wants %s and got %.*s", c->jid, name, (int)stanza.n,
                stanza.p);
    }
}

static void open_stream(struct client *c)
{
    print(&c->out,
          "<?xml version='1.0'?><stream:stream to='%s' version='1.0' "
          "xmlns='jabber:client' "
          "xmlns:stream='http://etherx.jabber.org/streams'>",
          strchr(c->jid, '@') + 1);
    client_flush(c);
    (void)expect(c, "stream:features");
}

static void add_base64(struct buffer *b, const char *p, size_t n)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = 0;

        for (size_t j = i; j < i + 3; j++)
            bits = bits << 8 | (j < n ? (unsigned char)p[j] : 0);
        for (size_t j = 0; j < 4; j++)
            add(b, i + j > n ? "=" : &digits[bits >> (18 - 6 * j) & 63], 1);
    }
}

/* RFC 4616: NUL, name, NUL, password. */
static void authenticate(struct client *c, const char *password)
{
    struct buffer plain = {NULL, 0, 0};

    print(&plain, "%c%.*s%c%s", 0, (int)strcspn(c->jid, "@"), c->jid, 0,
          password);
    print(&c->out,
          "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>");
    add_base64(&c->out, plain.p, plain.n);
    print(&c->out, "</auth>");
    free(plain.p);
    client_flush(c);
    (void)expect(c, "success");
}

static void bind_resource(struct client *c, const char *resource)
{
    size_t n = strlen(c->jid);

    print(&c->out,
          "<iq type='set' id='bind'>"
          "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
          "<resource>%s</resource></bind></iq>",
          resource);
    client_flush(c);
    (void)expect(c, "iq");
    (void)snprintf(c->jid + n, sizeof c->jid - n, "/%s", resource);
}

void client_log_in(struct client *c, long port, const char *account,
                   const char *password, const char *resource)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    (void)snprintf(c->jid, sizeof c->jid, "%s", account);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("port %ld: %s", port, strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    open_stream(c);
    authenticate(c, password);
    open_stream(c);
    bind_resource(c, resource);
    print(&c->out, "<presence/>");
    client_flush(c);
    /* comes back to its sender when it has gone everywhere */
    while (!is(attribute(expect(c, "presence"), "from"), c->jid))
        ;
}
