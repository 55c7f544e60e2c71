# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""The stanzas of a Jingle session (XEP-0166) that offers a file (XEP-0234) over
SOCKS5 (XEP-0260). slixmpp has none of these."""

from xml.etree import ElementTree

from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

JINGLE = "urn:xmpp:jingle:1"
FILE = "urn:xmpp:jingle:apps:file-transfer:5"
S5B = "urn:xmpp:jingle:transports:s5b:1"


def listen(client, came):
    """Each action is acknowledged; then came(sender, element) is called."""
    async def on_action(iq):
        if iq["type"] == "set":
            iq.reply().send()
            await came(iq["from"].full, iq.xml.find("{%s}jingle" % JINGLE))

    client.register_handler(CoroutineCallback(
        "Jingle", MatchXPath("{jabber:client}iq/{%s}jingle" % JINGLE), on_action))


async def act(client, to, action, sid, *content, **attributes):
    """Returns when the other one has acknowledged it."""
    iq = client.make_iq_set(ito=to)
    jingle = ElementTree.SubElement(iq.xml, "{%s}jingle" % JINGLE, {
        "action": action, "sid": sid, **attributes})
    jingle.extend(content)
    await iq.send(timeout=10)


def content(*in_transport):
    part = element("content", JINGLE, creator="initiator", name="a-file")
    part.append(element("description", FILE))
    transport = element("transport", S5B, sid="vj3hs98y")
    transport.extend(in_transport)
    part.append(transport)
    return part


def candidate(client, cid):
    """It names the address that it is offered by."""
    return element("candidate", S5B, cid=cid, jid=client.boundjid.full,
                   host="192.0.2.1", port="5086", priority="8257636",
                   type="direct")


def used(cid):
    return element("candidate-used", S5B, cid=cid)


def reason(name):
    part = element("reason", JINGLE)
    part.append(element(name, JINGLE))
    return part


def element(name, namespace, /, **attributes):
    return ElementTree.Element("{%s}%s" % (namespace, name), attributes)
