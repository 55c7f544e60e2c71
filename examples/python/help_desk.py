#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""A help desk: whoever writes has a ticket, and what he said is kept.

Run several, each with a resource of its own. One that is told to stop (SIGTERM,
Ctrl-C) hands its tickets to the others: as ordinary messages from one session of
the account to another.
"""

from xml.etree import ElementTree

import bot
from tickets import Ticket, Tickets

NS = "urn:example:help-desk"
HELP = """\
history: what you have told us
close: ends your ticket
Anything else is noted."""


class HelpDesk(bot.Bot):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.tickets = Tickets()
        self.colleagues = []  # full JIDs
        self.commands = {"help": self.help, "history": self.history,
                         "close": self.close}

    def said(self, message):
        address, text = message["from"].full, message["body"].strip()
        ticket = self.tickets.get(address)
        command = self.commands.get(text.lower())
        if command:
            answer = command(address, ticket)
        else:
            answer = self.note(address, ticket, text)
        if self.staying:  # else a colleague will speak
            message.reply(answer).send()

    # What is said to whom has this address and this ticket, if any.

    def note(self, address, ticket, text):
        greeting = ""
        if not ticket:
            ticket = Ticket()
            greeting = ("Welcome. I have no notes about you, so we begin anew. "
                        "(help: what I understand)\n")
        ticket.add(1, text + "\n")
        self.tickets.keep(address, ticket)
        return (f"{greeting}Ticket {ticket.number}, message {ticket.messages}: "
                f"noted by {self.boundjid.resource}.")

    def help(self, _address, _ticket):
        return HELP

    def history(self, _address, ticket):
        return ticket.notes if ticket else "You have no ticket."

    def close(self, address, ticket):
        self.tickets.pop(address, None)
        return (f"Ticket {ticket.number} is closed. Goodbye." if ticket
                else "You have no ticket.")

    # Those who serve beside us.

    def colleague(self, stanza):
        sender = stanza["from"].full
        if stanza.name == "message":
            given = stanza.xml.find(f"{{{NS}}}ticket")
            if given is not None and stanza["type"] != "error":
                self.take_over(given, stanza["from"].resource)
            return
        if sender in self.colleagues:
            self.colleagues.remove(sender)
        if stanza["type"] != "unavailable" and sender != self.boundjid.full:
            self.colleagues.append(sender)

    def leaving(self):
        for i, (address, ticket) in enumerate(self.tickets.items()):
            if self.colleagues:
                message = self.make_message(self.colleagues[i % len(self.colleagues)])
                ElementTree.SubElement(message.xml, f"{{{NS}}}ticket", {
                    "with": address, "number": ticket.number,
                    "messages": str(ticket.messages)}).text = ticket.notes
                message.send()

    def take_over(self, given, before):
        """We speak first: so the next message comes to us."""
        address = given.get("with")
        ticket = Ticket(given.get("number"), given.get("messages"), given.text or "")
        self.tickets.take(address, ticket)
        self.send_message(mtype="chat", mto=address, mbody=(
            f"Ticket {ticket.number} goes on with {self.boundjid.resource}, in "
            f"place of {before}: {ticket.messages} messages so far."))


bot.run(HelpDesk)
