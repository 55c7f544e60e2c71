# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""What every bot does: echo.py and help_desk.py say what they are for.

A bot is an ordinary XMPP client on slixmpp, and knows of no proxy. It keeps to
two rules: each request gets an answer (RFC 6120, 8.2.3), and an answer goes to
the very address that was written from.

    PASSWORD=... BOT.py JID/RESOURCE [HOST PORT]

A server named by hand is one for trying things out: no TLS, any mechanism.
"""

import sys

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

import session

# What slixmpp answers for us: disco#info, version, receipts, pings.
PLUGINS = ["xep_0030", "xep_0092", "xep_0184", "xep_0199"]


def answer(iq):
    """slixmpp itself says feature-not-implemented, against RFC 6120, 8.4."""
    if iq["type"] in ("get", "set"):
        reply = iq.reply()
        result = iq.stream.asked(iq, iq.xml[0]) if len(iq.xml) else None
        if result is None:
            reply["error"]["condition"] = "service-unavailable"
        else:
            reply.xml.append(result)
        reply.send()


slixmpp.Iq.unhandled = answer


class Bot(slixmpp.ClientXMPP):
    def __init__(self, jid, password, **more):
        super().__init__(jid, password, **more)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self["xep_0030"].add_identity(category="client", itype="bot")
        self["xep_0092"].software_name = "example bot"
        self.auto_authorize = None  # nobody gets into the roster by asking
        self.online = False
        self.staying = True
        self.add_filter("in", self.without_strange_presence)
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("stream_error", self.on_stream_error)
        self.add_event_handler("presence", self.colleague)
        self.register_handler(  # the event `message` is of those with a body only
            Callback("any", MatchXPath("{jabber:client}message"), self.on_message))

    def said(self, message):
        """Somebody has written this message, which has a body."""

    def asked(self, iq, query):
        """Somebody asks what slixmpp does not know, in this element of XML. Returns
        that of the answer; None makes it an error."""

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
        self.online = True
        print("online as", self.boundjid.full, flush=True)

    def on_stream_error(self, error):
        why = error["condition"]
        if why == "conflict":
            why = f"conflict: another one has logged in as {self.boundjid.full}"
        print(why, file=sys.stderr)

    def on_message(self, message):
        if self.is_own(message):
            self.colleague(message)
        elif message["type"] in ("chat", "normal") and message["body"]:
            self.said(message)

    async def caught_up(self):
        """The server has had all that we sent, and we have had all that it sent."""
        await self["xep_0199"].ping(self.boundjid.host, timeout=60)

    def stop(self):
        if not self.online:
            sys.exit(0)
        if self.staying:
            self.staying = False
            self.loop.create_task(self.leave())

    async def leave(self):
        try:
            self.send_presence(ptype="unavailable")
            await self.caught_up()
            self.leaving()
            await self.caught_up()
        finally:
            self.disconnect()


run = session.run
