#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Says what is said to it."""

import bot


class Echo(bot.Bot):
    def said(self, message):
        message.reply(message["body"]).send()


bot.run(Echo)
