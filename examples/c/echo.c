/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Says what is said to it. */
#include "bot.h"

int main(int argc, char **argv)
{
    static const struct bot_part echo = {.said = bot_reply};

    return bot_run(argc, argv, &echo);
}
