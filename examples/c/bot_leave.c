/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* An orderly end. See bot.h. */
#include "bot.h"

#include <unistd.h>

static int on_caught_up(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata);

/* When the server has answered, it has had all that we sent before, and we have
 * had all that it sent before. An error is an answer, too. */
static void catch_up(struct bot *bot)
{
    char *id = xmpp_uuid_gen(bot->ctx);
    xmpp_stanza_t *ping = xmpp_iq_new(bot->ctx, "get", id);

    bot_add(ping, "ping", "urn:xmpp:ping", NULL);
    xmpp_id_handler_add(bot->conn, on_caught_up, id, bot);
    bot_send(bot, ping);
    xmpp_free(bot->ctx, id);
}

static int on_caught_up(xmpp_conn_t *conn, xmpp_stanza_t *iq, void *userdata)
{
    struct bot *bot = userdata;

    (void)iq;
    if (bot->state == LEAVING) {
        if (bot->part->leaving)
            bot->part->leaving(bot);
        bot->state = LEFT;
        catch_up(bot);
    } else {
        xmpp_disconnect(conn);
    }
    return 0;
}

void bot_leave(struct bot *bot)
{
    bot->state = LEAVING;
    alarm(60); /* in case that the server says nothing any more */
    xmpp_send_raw_string(bot->conn, "<presence type='unavailable'/>");
    catch_up(bot);
}
