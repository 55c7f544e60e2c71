# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""The tickets of help_desk.py.

Everybody may write: so it is bounded what is kept. The oldest goes first.
"""

import uuid

MAX_TICKETS = 1000
MAX_NOTES = 2000


class Ticket:
    def __init__(self, number=None, messages=0, notes=""):
        self.number = number or str(uuid.uuid4())[:8]
        self.messages = int(messages)
        self.notes = notes[-MAX_NOTES:]

    def add(self, messages, notes):
        self.messages += messages
        self.notes = (self.notes + notes)[-MAX_NOTES:]


class Tickets(dict):
    """By the address that was written from, oldest first."""

    def keep(self, address, ticket):
        self.pop(address, None)
        self[address] = ticket
        if len(self) > MAX_TICKETS:
            del self[next(iter(self))]

    def take(self, address, ticket):
        """Another instance had it: what was noted here before it came is added."""
        meanwhile = self.get(address)
        if meanwhile:
            ticket.add(meanwhile.messages, meanwhile.notes)
        self.keep(address, ticket)
