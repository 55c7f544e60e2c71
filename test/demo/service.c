/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * An example service: an ordinary XMPP client that answers requests.
 *
 *     service JID/RESOURCE PASSWORD [HOST PORT]
 *
 * Nothing in here knows of mod_client_proxy. Start it as often as you like,
 * each time with another resource: the proxy host in front of the account
 * spreads the requests. All that a service has to do is what any client does:
 * answer every request (RFC 6120, 8.2.3), and send the answer to where it came
 * from.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strophe.h>

#define NS_ECHO "urn:example:echo"
#define NS_PING "urn:xmpp:ping"
#define NS_VERSION "jabber:iq:version"

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void show(const char *what, xmpp_stanza_t *stanza)
{
    char *text;
    size_t length;

    if (xmpp_stanza_to_text(stanza, &text, &length) != XMPP_EOK)
        return;
    printf("%s %s\n", what, text);
    fflush(stdout);
    xmpp_free(xmpp_stanza_get_context(stanza), text);
}

/* Appends <name>text</name>. */
static void add_text(xmpp_stanza_t *parent, const char *name, const char *text)
{
    xmpp_ctx_t *ctx = xmpp_stanza_get_context(parent);
    xmpp_stanza_t *child = xmpp_stanza_new(ctx);
    xmpp_stanza_t *content = xmpp_stanza_new(ctx);

    xmpp_stanza_set_name(child, name);
    xmpp_stanza_set_text(content, text);
    xmpp_stanza_add_child_ex(child, content, 0);
    xmpp_stanza_add_child_ex(parent, child, 0);
}

/*
 * The answers. Each gets the request's payload and the empty result that will
 * be sent, and adds to it what there is to say.
 */
static void answer_ping(xmpp_stanza_t *payload, xmpp_stanza_t *result)
{
    (void)payload;
    (void)result;
}

static void answer_version(xmpp_stanza_t *payload, xmpp_stanza_t *result)
{
    xmpp_stanza_t *query = xmpp_stanza_new(xmpp_stanza_get_context(payload));

    xmpp_stanza_set_name(query, "query");
    xmpp_stanza_set_ns(query, NS_VERSION);
    add_text(query, "name", "example service");
    add_text(query, "version", "1.0");
    xmpp_stanza_add_child_ex(result, query, 0);
}

static void answer_echo(xmpp_stanza_t *payload, xmpp_stanza_t *result)
{
    xmpp_stanza_add_child(result, payload);
}

static const struct {
    const char *ns;
    void (*answer)(xmpp_stanza_t *payload, xmpp_stanza_t *result);
} services[] = {
    {NS_PING, answer_ping},
    {NS_VERSION, answer_version},
    {NS_ECHO, answer_echo},
};

static xmpp_stanza_t *reply_to(xmpp_stanza_t *request)
{
    xmpp_stanza_t *payload = xmpp_stanza_get_children(request);
    const char *ns = payload ? xmpp_stanza_get_ns(payload) : NULL;

    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (ns && strcmp(ns, services[i].ns) == 0) {
            xmpp_stanza_t *result = xmpp_stanza_reply(request);

            xmpp_stanza_set_type(result, "result");
            services[i].answer(payload, result);
            return result;
        }
    }
    return xmpp_stanza_reply_error(request, "cancel", "service-unavailable",
                                   NULL);
}

static int on_iq(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata)
{
    const char *type = xmpp_stanza_get_type(iq);
    xmpp_stanza_t *reply;

    (void)userdata;
    /* A result or error is never answered. */
    if (!type || (strcmp(type, "get") != 0 && strcmp(type, "set") != 0))
        return 1;
    reply = reply_to(iq);
    show("<-", iq);
    show("->", reply);
    xmpp_send(conn, reply);
    xmpp_stanza_release(reply);
    return 1;
}

static void on_event(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                     xmpp_stream_error_t *stream_error, void *userdata)
{
    int *over = userdata;

    (void)error;
    (void)stream_error;
    if (event != XMPP_CONN_CONNECT) {
        *over = 1;
        return;
    }
    xmpp_handler_add(conn, on_iq, NULL, "iq", NULL, NULL);
    /* From now on there is something to spread requests over. */
    xmpp_send_raw_string(conn, "<presence/>");
    printf("online as %s\n", xmpp_conn_get_bound_jid(conn));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;
    int over = 0;

    if (argc != 3 && argc != 5) {
        fprintf(stderr, "service JID/RESOURCE PASSWORD [HOST PORT]\n");
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);

    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_ERROR));
    conn = xmpp_conn_new(ctx);
    xmpp_conn_set_jid(conn, argv[1]);
    xmpp_conn_set_pass(conn, argv[2]);
    /* Without stream management (XEP-0198) a session ends with its connection,
     * and what was asked of it is answered at once or asked of another
     * instance. With it the server keeps the session and the requests for
     * minutes, for a client that may have died. A server named by hand is one
     * for trying things out, without TLS. */
    xmpp_conn_set_flags(conn, argc == 5 ? XMPP_CONN_FLAG_DISABLE_SM |
                                              XMPP_CONN_FLAG_DISABLE_TLS
                                        : XMPP_CONN_FLAG_DISABLE_SM);
    if (xmpp_connect_client(conn, argc == 5 ? argv[3] : NULL,
                            argc == 5 ? (unsigned short)atoi(argv[4]) : 0,
                            on_event, &over) != XMPP_EOK) {
        fprintf(stderr, "service: cannot connect\n");
        return 1;
    }

    while (!over) {
        if (stopping == 1) {
            stopping = 2;
            xmpp_disconnect(conn);
        }
        xmpp_run_once(ctx, 100);
    }
    xmpp_conn_release(conn);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return stopping ? 0 : 1;
}
