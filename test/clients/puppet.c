/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * A client that says what it is told to say and nothing else.
 *
 *     puppet JID PASSWORD HOST PORT [presence | priority=N] [sm]
 *
 * Built on libstrophe; puppet.py is the same on slixmpp (component, drop and
 * resume besides), and explains the orders on stdin and reports on stdout.
 * libstrophe 0.12 strips the prefix of attributes: xml:lang is reported as
 * lang.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <strophe.h>

struct puppet {
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;
    const char *host;
    unsigned short port;
    char **flags; /* up to a NULL */
    enum { OFFLINE, ONLINE, OVER } state;
};

/* libstrophe gives away its socket only while it makes it. */
static int wire = -1;

static int on_socket(xmpp_conn_t *conn, void *socket)
{
    (void)conn;
    wire = *(int *)socket;
    return 0;
}

/* A stanza is one line: line ends within become character references. */
static void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("&#10;", stdout);
        else if (*text == '\r')
            fputs("&#13;", stdout);
        else
            putchar(*text);
    }
    putchar('\n');
    fflush(stdout);
}

static void report(const char *word, const char *detail)
{
    printf("%s%s%s\n", word, detail ? " " : "", detail ? detail : "");
    fflush(stdout);
}

static int on_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    struct puppet *puppet = userdata;
    const char *name = xmpp_stanza_get_name(stanza);
    const char *id = xmpp_stanza_get_id(stanza);
    char *text;
    size_t length;

    (void)conn;
    if (strcmp(name, "iq") != 0 && strcmp(name, "message") != 0 &&
        strcmp(name, "presence") != 0)
        return 1;
    /* The answer to resource binding, which made us ready, comes by, too. */
    if (id && strcmp(id, "_xmpp_bind1") == 0)
        return 1;
    if (xmpp_stanza_to_text(stanza, &text, &length) == XMPP_EOK) {
        say(text);
        xmpp_free(puppet->ctx, text);
    }
    return 1;
}

static int flag(const struct puppet *puppet, const char *wanted)
{
    char **flags = puppet->flags;

    while (*flags && strcmp(*flags, wanted) != 0)
        flags++;
    return *flags != NULL;
}

static void send_presence(const struct puppet *puppet)
{
    static const char priority[] = "priority=";

    for (char **flags = puppet->flags; *flags; flags++) {
        if (strcmp(*flags, "presence") == 0)
            xmpp_send_raw_string(puppet->conn, "<presence/>");
        else if (strncmp(*flags, priority, strlen(priority)) == 0)
            xmpp_send_raw_string(puppet->conn,
                                 "<presence><priority>%s</priority></presence>",
                                 *flags + strlen(priority));
    }
}

static void on_event(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                     xmpp_stream_error_t *stream_error, void *userdata)
{
    struct puppet *puppet = userdata;

    (void)stream_error;
    if (event == XMPP_CONN_CONNECT) {
        puppet->state = ONLINE;
        report("ready", xmpp_conn_get_bound_jid(conn));
        xmpp_handler_add(conn, on_stanza, NULL, NULL, NULL, puppet);
        send_presence(puppet);
    } else {
        report("closed", error > 0 ? strerror(error) : NULL);
        puppet->state = OVER;
    }
}

static void connect_to_server(struct puppet *puppet)
{
    xmpp_conn_set_flags(
        puppet->conn, XMPP_CONN_FLAG_DISABLE_TLS |
                          (flag(puppet, "sm") ? 0 : XMPP_CONN_FLAG_DISABLE_SM));
    xmpp_conn_set_sockopt_callback(puppet->conn, on_socket);
    if (xmpp_connect_client(puppet->conn, puppet->host, puppet->port, on_event,
                            puppet) != XMPP_EOK) {
        report("failed", "connect");
        exit(1);
    }
}

static void obey(struct puppet *puppet, char *order)
{
    if (strcmp(order, "quit") == 0) {
        puppet->state = OFFLINE;
        xmpp_disconnect(puppet->conn);
    } else if (strcmp(order, "die") == 0) {
        /* No </stream:stream>, and a reset instead of a goodbye. */
        struct linger none = {.l_onoff = 1, .l_linger = 0};

        setsockopt(wire, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        _exit(0);
    } else if (*order) {
        xmpp_send_raw(puppet->conn, order, strlen(order));
    }
}

/* Takes complete lines off stdin; its end is an order to quit. */
static void read_orders(struct puppet *puppet)
{
    static char *orders;
    static size_t used, size;
    char *line, *end;
    ssize_t got;

    if (size - used < 4096) {
        size = size * 2 + 65536;
        orders = realloc(orders, size);
        if (!orders)
            abort();
    }
    got = read(STDIN_FILENO, orders + used, size - used);
    if (got <= 0) {
        obey(puppet, (char[]){"quit"});
        return;
    }
    used += (size_t)got;
    for (line = orders; (end = memchr(line, '\n', used)); line = end + 1) {
        *end = '\0';
        used -= (size_t)(end + 1 - line);
        obey(puppet, line);
    }
    memmove(orders, line, used);
}

static void wait_for_something(struct puppet *puppet)
{
    struct pollfd ready[] = {
        {.fd = wire, .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };

    if (xmpp_conn_send_queue_len(puppet->conn) > 0)
        ready[0].events |= POLLOUT;
    poll(ready, 2, -1);
    if (ready[1].revents)
        read_orders(puppet);
}

int main(int argc, char **argv)
{
    struct puppet puppet = {0};

    if (argc < 5) {
        fprintf(stderr, "puppet JID PASSWORD HOST PORT [FLAG...]\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN); /* the server may close while libstrophe writes */
    xmpp_initialize();
    puppet.ctx = xmpp_ctx_new(NULL, NULL);
    puppet.conn = xmpp_conn_new(puppet.ctx);
    puppet.host = argv[3];
    puppet.port = (unsigned short)atoi(argv[4]);
    puppet.flags = argv + 5;
    xmpp_conn_set_jid(puppet.conn, argv[1]);
    xmpp_conn_set_pass(puppet.conn, argv[2]);
    connect_to_server(&puppet);

    while (puppet.state != OVER) {
        if (puppet.state == ONLINE)
            wait_for_something(&puppet);
        /* Logging in and out is libstrophe's own business, which it does not
         * show in xmpp_conn_send_queue_len(): it waits by itself. */
        xmpp_run_once(puppet.ctx, puppet.state == ONLINE ? 0 : 10);
    }
    xmpp_conn_release(puppet.conn);
    xmpp_ctx_free(puppet.ctx);
    xmpp_shutdown();
    return 0;
}
