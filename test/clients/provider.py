#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""A service that does what user.py asks for, and writes its own address and the
requester's wherever a protocol has a place for one. It knows of no proxy. Each
thing that it has done is reported by a line."""

import jingle
import party


class Provider(party.Party):
    plugins = {"xep_0004": {}, "xep_0030": {}, "xep_0047": {"auto_accept": True},
               "xep_0050": {}, "xep_0055": {}, "xep_0199": {}}

    def __init__(self, *arguments):
        super().__init__(*arguments)
        jingle.listen(self, self.on_jingle)
        search = self["xep_0055"].api
        search.register(self.search_form, "search_get_form")
        search.register(self.search_results, "search_query")
        self.add_event_handler("session_start", lambda _: self.offer())
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("ibb_stream_start", self.on_stream)

    def offer(self):
        self["xep_0050"].add_command(node="staff", name="Who is here?",
                                     handler=self.command_begins)

    def on_message(self, message):
        """Whoever writes learns from whom the answer comes."""
        if message["type"] == "chat" and message["body"]:
            message.reply("You said: " + message["body"]).send()

    # Jingle: who is called accepts, and says what it heard.

    async def on_jingle(self, sender, element):
        me, sid = self.boundjid.full, element.get("sid")
        action = element.get("action")
        if action == "session-initiate":
            offered = element.find(".//{%s}candidate" % jingle.S5B)
            party.report("called", sender, element.get("initiator"),
                         offered.get("jid"))
            await jingle.act(self, sender, "session-accept", sid,
                             jingle.content(jingle.candidate(self, "hutr46fe")),
                             initiator=element.get("initiator"), responder=me)
        elif action == "transport-info":
            await jingle.act(self, sender, action, sid,
                             jingle.content(jingle.used("hft54dqy")), responder=me)
        elif action == "session-terminate":
            party.report("ended", sender)

    # XEP-0055

    async def search_form(self, _jid, _node, _sender, iq):
        reply = iq.reply()
        reply["search"]["form"].add_field("you", ftype="jid-single",
                                          value=iq["from"].full)
        return reply

    async def search_results(self, _jid, _node, _sender, iq):
        party.report("sought", iq["from"],
                     iq["search"]["form"].get_values().get("you"))
        reply = iq.reply()
        form = reply["search"]["form"]
        form["type"] = "result"
        for var in ("account", "session", "you"):
            form.add_reported(var, ftype="jid-single")
        form.add_item({"account": self.boundjid.bare, "session": self.boundjid.full,
                       "you": iq["from"].full})
        return reply

    # XEP-0050

    def command_begins(self, iq, session):
        form = self["xep_0004"].make_form(title="Who is here?")
        form.add_field("staff", ftype="jid-multi",
                       value=[self.boundjid.bare, self.boundjid.full])
        form.add_field("you", ftype="jid-single", value=iq["from"].full)
        return {**session, "payload": form, "next": self.command_ends}

    def command_ends(self, form, session):
        values = form.get_values()
        party.report("ordered", session["from"], values["you"], *values["staff"])
        session.update(payload=None, next=None, notes=[("info", "Done")])
        return session

    # XEP-0047: what comes goes back over a stream of ours.

    async def on_stream(self, stream):
        if stream.sid.startswith("back-"):
            return
        octets = await stream.gather(timeout=30)
        party.report("got", stream.peer_jid, party.digest(octets))
        back = await self["xep_0047"].open_stream(
            stream.peer_jid, sid="back-" + stream.sid,
            block_size=stream.block_size, timeout=10)
        await back.sendall(octets, timeout=10)
        await back.close()


if __name__ == "__main__":
    party.run(Provider)
