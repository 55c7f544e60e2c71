/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Says what is said to it, and answers in urn:example:echo what is asked. */
#include "bot.h"

#include <string.h>

static int asked(struct bot *bot, xmpp_stanza_t *iq, xmpp_stanza_t *result)
{
    xmpp_stanza_t *query = xmpp_stanza_get_children(iq);

    (void)bot;
    if (strcmp(xmpp_stanza_get_ns(query), "urn:example:echo") != 0)
        return 0;
    xmpp_stanza_add_child_ex(result, xmpp_stanza_copy(query), 0);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct bot_part echo = {.said = bot_reply, .asked = asked};

    return bot_run(argc, argv, &echo);
}
