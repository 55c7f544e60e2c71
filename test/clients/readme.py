#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Runs the service that stands in a guide, against a server of the tests.

    PASSWORD=... readme.py GUIDE HOST PORT

It is the first block of text that imports slixmpp and calls connect(). It is run
as it stands there: only where it finds its server is another matter."""

import inspect
import re
import sys

import slixmpp

guide, *server = sys.argv[1:]


class ClientXMPP(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password, sasl_mech="PLAIN", plugin_config={
            "feature_mechanisms": {"unencrypted_plain": True}})
        self.add_event_handler(
            "session_start", lambda _: print("online as", jid, flush=True))

    def connect(self):
        connect = super().connect
        if "disable_starttls" in inspect.signature(connect).parameters:
            connect(tuple(server), disable_starttls=True, force_starttls=False)
        else:  # slixmpp 1.9
            self.enable_direct_tls = self.enable_starttls = False
            self.enable_plaintext = True
            connect(*server)


slixmpp.ClientXMPP = ClientXMPP
with open(guide, encoding="utf-8") as file:
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", file.read(), re.M)
service = next(re.sub("^    ", "", block, flags=re.M) for block in blocks
               if "import" in block and ".connect()" in block)
exec(compile(service, guide, "exec"))
