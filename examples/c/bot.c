/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* A session: from login to SIGTERM or SIGINT. See bot.h. */
#include "bot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
}

static void on_disconnect(struct bot *bot, xmpp_stream_error_t *error)
{
    if (bot->state == OVER)
        return;
    bot->state = bot->state == LEFT ? OVER : LOST;
    if (error && error->type == XMPP_SE_CONFLICT)
        fprintf(stderr, "conflict: another one has logged in as %s\n",
                bot->jid);
    else if (bot->state == LOST)
        fprintf(stderr, bot->jid ? "The connection is lost\n" : "No login\n");
}

static void on_event(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                     xmpp_stream_error_t *stream_error, void *userdata)
{
    struct bot *bot = userdata;

    (void)error;
    if (event != XMPP_CONN_CONNECT) {
        on_disconnect(bot, stream_error);
        return;
    }
    bot->jid = xmpp_conn_get_bound_jid(conn);
    xmpp_handler_add(conn, bot_on_iq, NULL, "iq", NULL, bot);
    xmpp_handler_add(conn, bot_on_message, NULL, "message", NULL, bot);
    xmpp_handler_add(conn, bot_on_presence, NULL, "presence", NULL, bot);
    xmpp_send_raw_string(conn, "<presence/>");
    printf("online as %s\n", bot->jid);
    fflush(stdout);
}

/* Without stream management (XEP-0198) a session ends with its connection; with
 * it the server would wait minutes for us, though we do not come back. */
static int connect_to_server(struct bot *bot, char **address)
{
    xmpp_conn_set_flags(bot->conn,
                        XMPP_CONN_FLAG_DISABLE_SM |
                            (address ? XMPP_CONN_FLAG_DISABLE_TLS
                                     : XMPP_CONN_FLAG_MANDATORY_TLS));
    return xmpp_connect_client(bot->conn, address ? address[0] : NULL,
                               address ? (unsigned short)atoi(address[1]) : 0,
                               on_event, bot);
}

int bot_run(int argc, char **argv, const struct bot_part *part)
{
    struct bot bot = {.part = part, .state = STAYING};
    const char *password = getenv("PASSWORD");

    if ((argc != 2 && argc != 4) || !password) {
        fprintf(stderr, "PASSWORD=... %s JID/RESOURCE [HOST PORT]\n", argv[0]);
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);

    xmpp_initialize();
    bot.ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_ERROR));
    bot.conn = xmpp_conn_new(bot.ctx);
    xmpp_conn_set_jid(bot.conn, argv[1]);
    xmpp_conn_set_pass(bot.conn, password);
    if (connect_to_server(&bot, argc == 4 ? argv + 2 : NULL) != XMPP_EOK)
        bot.state = LOST;
    while (bot.state != OVER && bot.state != LOST) {
        if (told_to_stop && !bot.jid)
            bot.state = OVER;
        else if (told_to_stop && bot.state == STAYING)
            bot_leave(&bot);
        xmpp_run_once(bot.ctx, 100);
    }
    xmpp_conn_release(bot.conn);
    xmpp_ctx_free(bot.ctx);
    xmpp_shutdown();
    /* Whoever started us may start us again; that is all there is to
     * reconnect. */
    return bot.state == OVER ? 0 : 1;
}
