#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""A client (or component) that says what it is told to say and nothing else.

    puppet.py JID PASSWORD HOST PORT [presence | priority=N] [sm[=S]] [component]

Built on slixmpp; puppet.c is the same on libstrophe. The test that holds the
strings writes one line each to our stdin:

    <any stanza>   goes out as it is
    quit           clean logout (so does the end of stdin)
    die            drop the TCP connection without a word, and end
    drop, resume   (with `sm`) drop it, and take the session up again (XEP-0198);
                   `sm=S`: the server shall wait S seconds for that
    resume PORT    the same, at another node of the server's cluster

and reads one line each from our stdout: `ready FULL-JID` once online, then every
stanza that came in, `resumed FULL-JID`, and `closed` when the server ended it.
"""

import asyncio
import inspect
import logging
import os
import sys

logging.disable()  # slixmpp has opinions already while it is imported

import slixmpp
from slixmpp.plugins.xep_0198.stanza import Enable
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream import tostring

# Before 1.9 it was said by arguments of connect() whether TLS is used.
TLS_BY_CONNECT = "disable_starttls" in inspect.signature(
    slixmpp.ClientXMPP.connect).parameters


class Puppet:
    """What a client and a component have in common."""

    def attach(self, flags):
        self.flags = flags
        self.online = False
        self.dropped = False
        start = "sm_enabled" if sm(flags) else "session_start"
        self.add_event_handler(start, self.on_start)
        self.add_event_handler("session_resumed", self.on_resumed)
        self.add_event_handler("disconnected", self.on_disconnected)
        self.add_event_handler("failed_all_auth", lambda _: end("failed auth"))
        # Last of the filters, so XEP-0198 has counted the stanza before us.
        self.add_filter("in", self.on_stanza)

    def start_stream_handler(self, xml):
        super().start_stream_handler(xml)
        # slixmpp would write the stream's language into stanzas without one.
        self.peer_default_lang = None

    def on_start(self, _):
        self.online = True
        say("ready %s" % self.boundjid.full)
        for flag in self.flags:
            if flag == "presence":
                self.send_raw("<presence/>")
            elif flag.startswith("priority="):
                self.send_raw("<presence><priority>%s</priority></presence>"
                              % flag.split("=")[1])

    def on_resumed(self, _):
        say("resumed %s" % self.boundjid.full)

    def on_stanza(self, stanza):
        """Report it and end its way here: nothing of slixmpp may answer."""
        if not (self.online and isinstance(stanza, (Iq, Message, Presence))):
            return stanza
        say(tostring(stanza.xml, self.default_ns))
        return None

    def on_disconnected(self, _):
        if not self.dropped:
            end("closed", 0)

    def order(self, line):
        if line == "quit":
            self.disconnect()
        elif line == "die":
            self.transport.abort()
            end(code=0)
        elif line == "drop":
            self.dropped = True
            self.transport.abort()
        elif line.split(" ")[0] == "resume":
            self.dropped = False
            self.port = int((line.split(" ") + [self.port])[1])
            self.go()
        elif line:
            self.send_raw(line)


class Client(Puppet, slixmpp.ClientXMPP):
    def __init__(self, jid, password, host, port, flags):
        # Over a stream without TLS slixmpp 1.10 offers a channel binding to which
        # ejabberd 24.12 does not agree; so no SCRAM.
        slixmpp.ClientXMPP.__init__(
            self, jid, password, sasl_mech="PLAIN",
            plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
        self.host, self.port = host, int(port)
        if sm(flags):
            self.register_plugin("xep_0198")
            self.add_filter("out", self.enable)
        self.attach(flags)

    def enable(self, stanza):
        seconds = sm(self.flags)[0].partition("=")[2]
        if seconds and isinstance(stanza, Enable):
            stanza["max"] = seconds
        return stanza

    def go(self):
        if TLS_BY_CONNECT:
            self.connect((self.host, self.port), disable_starttls=True,
                         force_starttls=False)
        else:
            self.enable_direct_tls = False
            self.enable_starttls = False
            self.enable_plaintext = True
            self.connect(self.host, self.port)


class Component(Puppet, slixmpp.ComponentXMPP):
    def __init__(self, jid, password, host, port, flags):
        slixmpp.ComponentXMPP.__init__(self, jid, password, host, int(port))
        self.attach(flags)

    def go(self):
        self.connect()


def sm(flags):
    return [flag for flag in flags if flag.split("=")[0] == "sm"]


def say(line):
    line = line.replace("\r", "&#13;").replace("\n", "&#10;")
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def end(last_words=None, code=1):
    if last_words:
        say(last_words)
    # Not sys.exit(): it would wait for tasks, some of which would speak.
    os._exit(code)


async def main(arguments, client=Client):
    kind = Component if "component" in arguments[4:] else client
    puppet = kind(*arguments[:4], arguments[4:])
    puppet.go()
    orders = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while True:
        line = await orders.readline()
        puppet.order(line.decode().rstrip("\n") if line else "quit")
        if not line:
            await asyncio.sleep(5)
            end(code=0)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1:]))
