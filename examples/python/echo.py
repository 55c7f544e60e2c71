#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Says what is said to it, and answers in urn:example:echo what is asked."""

import bot


class Echo(bot.Bot):
    def said(self, message):
        message.reply(message["body"]).send()

    def asked(self, iq, query):
        return query if query.tag.startswith("{urn:example:echo}") else None


bot.run(Echo)
