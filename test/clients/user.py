#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Somebody who uses a service: see party.py for what its orders are like."""

import asyncio
import os

import jingle
import party


class User(party.Party):
    plugins = {"xep_0004": {}, "xep_0047": {"auto_accept": True}, "xep_0050": {},
               "xep_0055": {"provide_search": False}, "xep_0199": {}}

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.actions = asyncio.Queue()
        jingle.listen(self, self.on_jingle)

    async def on_jingle(self, sender, element):
        await self.actions.put((sender, element))

    async def action(self, wanted):
        sender, element = await asyncio.wait_for(self.actions.get(), 10)
        assert element.get("action") == wanted, element.get("action")
        return sender, element

    async def jingle(self, to):
        """A whole session. Reports from whom the other one accepted, what he said
        whose session it is, and who offers the candidate."""
        sid, me = "a73sjjvkla37jfea", self.boundjid.full
        await jingle.act(self, to, "session-initiate", sid,
                         jingle.content(jingle.candidate(self, "hft54dqy")),
                         initiator=me)
        peer, accepted = await self.action("session-accept")
        offered = accepted.find(".//{%s}candidate" % jingle.S5B)
        await jingle.act(self, peer, "transport-info", sid,
                         jingle.content(jingle.used(offered.get("cid"))),
                         initiator=me)
        await self.action("transport-info")
        await jingle.act(self, peer, "session-terminate", sid,
                         jingle.reason("success"), initiator=me)
        return (peer, accepted.get("initiator"), accepted.get("responder"),
                offered.get("jid"))

    async def search(self, to):
        """XEP-0055 with a form (XEP-0004). Reports the addresses that were found."""
        iq = self.make_iq_get(ito=to)
        iq.enable("search")
        form = (await iq.send(timeout=10))["search"]["form"]
        iq = self["xep_0055"].make_search_iq(ito=to)
        for var in form.get_fields():
            if form.get_fields()[var]["type"] == "jid-single":
                iq["search"]["form"].add_field(var, value=self.boundjid.full)
        found = (await iq.send(timeout=10))["search"]["form"]
        return [item[var] for item in found["items"] for var in sorted(item)]

    async def command(self, to, node):
        """XEP-0050 in two steps. Reports the addresses in the form of the first,
        which goes back as it came, and the note of the second."""
        commands = self["xep_0050"]
        first = (await commands.send_command(to, node, timeout=10))["command"]
        form, session = first["form"], first["sessionid"]
        values = form.get_values()
        form["type"] = "submit"
        done = (await commands.send_command(
            to, node, action="complete", payload=form, sessionid=session,
            timeout=10))["command"]
        assert done["status"] == "completed", done
        return (*values["staff"], values["you"], done["notes"][0][1])

    async def chat(self, to, *words):
        self.send_message(mto=to, mtype="chat", mbody=" ".join(words))

    async def send_octets(self, to, count):
        """An in-band bytestream (XEP-0047) to him. Reports the sum of what was sent,
        and of what came back over a stream that he opened, and his address."""
        octets = os.urandom(int(count))
        streams = asyncio.Queue()
        self.add_event_handler("ibb_stream_start", streams.put_nowait)
        stream = await self["xep_0047"].open_stream(to, block_size=8192, timeout=10)
        assert await streams.get() is stream
        await stream.sendall(octets, timeout=10)
        await stream.close()
        back = await streams.get()
        returned = await back.gather(timeout=30)
        return party.digest(octets), party.digest(returned), back.peer_jid


if __name__ == "__main__":
    party.run(User)
