# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""What every bot does: echo.py and help_desk.py say what they are for.

A bot is an ordinary XMPP client on slixmpp, and knows of no proxy. It keeps to
two rules: each request gets an answer (RFC 6120, 8.2.3), and an answer goes to
the very address that was written from.

    PASSWORD=... BOT.py JID/RESOURCE [HOST PORT]

A server named by hand is one for trying things out: no TLS, any mechanism.
"""

import asyncio
import inspect
import logging
import os
import signal
import sys

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

# What slixmpp answers for us: disco#info, version, receipts, pings.
PLUGINS = ["xep_0030", "xep_0092", "xep_0184", "xep_0199"]


def refuse(iq):
    """slixmpp itself says feature-not-implemented, against RFC 6120, 8.4."""
    if iq["type"] in ("get", "set"):
        reply = iq.reply()
        reply["error"]["condition"] = "service-unavailable"
        reply.send()


slixmpp.Iq.unhandled = refuse


class Bot(slixmpp.ClientXMPP):
    def __init__(self, jid, password, **more):
        super().__init__(jid, password, **more)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self["xep_0030"].add_identity(category="client", itype="bot")
        self["xep_0092"].software_name = "example bot"
        self.auto_authorize = None  # nobody gets into the roster by asking
        self.staying = True
        self.add_filter("in", self.without_strange_presence)
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("presence", self.colleague)
        self.register_handler(  # the event `message` is of those with a body only
            Callback("any", MatchXPath("{jabber:client}message"), self.on_message))

    def said(self, message):
        """Somebody has written this message, which has a body."""

    def colleague(self, stanza):
        """Another session of this account is here, or gone, or says something."""

    def leaving(self):
        """Nobody writes to us any more; after this we go."""

    def is_own(self, stanza):
        """The server vouches for the sender."""
        return stanza["from"].bare == self.boundjid.bare

    def without_strange_presence(self, stanza):
        """slixmpp would remember each stranger who shows his presence."""
        if isinstance(stanza, slixmpp.Presence) and not self.is_own(stanza):
            return None
        return stanza

    def on_start(self, _):
        self.send_presence()
        print("online as", self.boundjid.full, flush=True)

    def on_message(self, message):
        if self.is_own(message):
            self.colleague(message)
        elif message["type"] in ("chat", "normal") and message["body"]:
            self.said(message)

    async def caught_up(self):
        """The server has had all that we sent, and we have had all that it sent."""
        await self["xep_0199"].ping(self.boundjid.host, timeout=60)

    async def leave(self):
        self.staying = False
        try:
            self.send_presence(ptype="unavailable")
            await self.caught_up()
            self.leaving()
            await self.caught_up()
        finally:
            self.disconnect()


async def serve(kind, jid, *server):
    by_hand = {"sasl_mech": "PLAIN", "plugin_config": {
        "feature_mechanisms": {"unencrypted_plain": True}}} if server else {}
    bot = kind(jid, os.environ["PASSWORD"], **by_hand)
    bot.loop.add_signal_handler(
        signal.SIGTERM, lambda: bot.loop.create_task(bot.leave()))
    if not server:
        bot.connect()
    elif "disable_starttls" in inspect.signature(bot.connect).parameters:
        bot.connect(server, disable_starttls=True, force_starttls=False)
    else:  # slixmpp 1.9
        bot.enable_direct_tls = bot.enable_starttls = False
        bot.enable_plaintext = True
        bot.connect(*server)
    await bot.disconnected
    # Whoever started us may start us again; that is all there is to reconnect.
    sys.exit(bot.staying)


def run(kind):
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(kind, *sys.argv[1:]))
