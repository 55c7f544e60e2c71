# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""What user.py and provider.py have in common: each is a puppet (puppet.py), but
lets slixmpp and its plugins do their work.

The first word of an order of theirs is a method's name. It ends with one line that
begins with that word, or with `failed`."""

import asyncio
import hashlib
import sys

import puppet


class Party(puppet.Client):
    plugins = {}  # with their options

    def __init__(self, *arguments):
        super().__init__(*arguments)
        for plugin, options in self.plugins.items():
            self.register_plugin(plugin, options)

    def on_stanza(self, stanza):
        super().on_stanza(stanza)
        return stanza

    def order(self, line):
        word, *arguments = line.split(" ")
        method = getattr(self, word, None)
        if asyncio.iscoroutinefunction(method):
            self.loop.create_task(self.carry_out(method, arguments))
        else:
            super().order(line)

    async def carry_out(self, method, arguments):
        try:
            report(method.__name__, *(await method(*arguments) or ()))
        except Exception as error:  # whatever it was, the test has to know
            puppet.say("failed %s: %r" % (method.__name__, error))


def report(*words):
    puppet.say(" ".join(map(str, words)))


def digest(octets):
    return hashlib.sha256(octets).hexdigest()


def run(kind):
    asyncio.run(puppet.main(sys.argv[1:], kind))
