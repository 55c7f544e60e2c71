// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// A help desk: whoever writes has a ticket, and what he said is kept.
//
// Run several, each with a resource of its own. One that is told to stop (SIGTERM,
// Ctrl-C) hands its tickets to the others: as ordinary messages from one session
// of the account to another.

import { randomUUID } from "node:crypto";

import { Bot } from "./bot.js";
import { jid, xml } from "./xmpp.js";

// Everybody may write: so it is bounded what is kept. The oldest goes first.
const MAX_TICKETS = 1000;
const MAX_NOTES = 2000;

const NS = "urn:example:help-desk";
const HELP = `\
history: what you have told us
close: ends your ticket
Anything else is noted.`;

class HelpDesk extends Bot {
  tickets = new Map(); // by the address that was written from, oldest first
  colleagues = new Set(); // full JIDs

  // What is said to whom has this address and this ticket, if any.
  commands = {
    help: () => HELP,
    history: (_address, ticket) => ticket?.notes ?? "You have no ticket.",
    close: (address, ticket) => {
      this.tickets.delete(address);
      return ticket
        ? `Ticket ${ticket.number} is closed. Goodbye.`
        : "You have no ticket.";
    },
  };

  said(message, body) {
    const address = message.attrs.from;
    const text = body.trim();
    const ticket = this.tickets.get(address);
    const command = Object.hasOwn(this.commands, text.toLowerCase());
    const answer = command
      ? this.commands[text.toLowerCase()](address, ticket)
      : this.note(address, ticket, text);
    if (this.staying) this.reply(message, answer); // else a colleague will speak
  }

  note(address, ticket, text) {
    const greeting = ticket
      ? ""
      : "Welcome. I have no notes about you, so we begin anew. " +
        "(help: what I understand)\n";
    ticket ??= { number: randomUUID().slice(0, 8), messages: 0, notes: "" };
    ticket.messages += 1;
    ticket.notes += `${text}\n`;
    this.keep(address, ticket);
    const { resource } = this.xmpp.jid;
    return `${greeting}Ticket ${ticket.number}, message ${ticket.messages}: noted by ${resource}.`;
  }

  keep(address, ticket) {
    ticket.notes = ticket.notes.slice(-MAX_NOTES);
    this.tickets.delete(address);
    this.tickets.set(address, ticket);
    if (this.tickets.size > MAX_TICKETS)
      this.tickets.delete(this.tickets.keys().next().value);
  }

  // Those who serve beside us.

  colleague(stanza) {
    const { from, type } = stanza.attrs;
    const given = stanza.getChild("ticket", NS);
    if (given && type !== "error") this.takeOver(given, jid(from).resource);
    if (stanza.name !== "presence" || from === `${this.xmpp.jid}`) return;
    if (type === "unavailable") this.colleagues.delete(from);
    else this.colleagues.add(from);
  }

  leaving() {
    const colleagues = [...this.colleagues];
    if (colleagues.length === 0) return;
    [...this.tickets].forEach(([address, { number, messages, notes }], i) =>
      this.send(
        colleagues[i % colleagues.length],
        "normal",
        xml("ticket", { xmlns: NS, with: address, number, messages }, notes),
      ),
    );
  }

  // We speak first: so the next message comes to us.
  takeOver(given, before) {
    const { with: address, number, messages } = given.attrs;
    const ticket = { number, messages: Number(messages), notes: given.text() };
    const meanwhile = this.tickets.get(address);
    if (meanwhile) {
      // It was noted here before the ticket came.
      ticket.messages += meanwhile.messages;
      ticket.notes += meanwhile.notes;
    }
    this.keep(address, ticket);
    const text =
      `Ticket ${number} goes on with ${this.xmpp.jid.resource}, in place of ` +
      `${before}: ${ticket.messages} messages so far.`;
    this.send(address, "chat", xml("body", {}, text));
  }
}

await new HelpDesk().run();
