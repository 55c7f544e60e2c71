// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// What every bot does: echo.js and help_desk.js say what they are for.
//
// A bot is an ordinary XMPP client on @xmpp/client, and knows of no proxy. It
// keeps to two rules: each request gets an answer (RFC 6120, 8.2.3), and an
// answer goes to the very address that was written from.
//
//     PASSWORD=... node BOT.js JID/RESOURCE [HOST PORT]
//
// A server named by hand is one for trying things out: it needs no TLS.

import { randomUUID } from "node:crypto";

import { caughtUp, session } from "./session.js";
import { xml } from "./xmpp.js";

const NS_RECEIPTS = "urn:xmpp:receipts";

export class Bot {
  staying = true;

  // What a bot may be good for.

  // Somebody has written this message, which has this body.
  said(message, body) {}

  // Somebody asks what not every bot knows, in this element. Returns that of the
  // answer; nothing makes it an error.
  asked(iq, query) {}

  // Another session of this account says that it is here, or gone, or something
  // else.
  colleague(stanza) {}

  // Nobody writes to us any more; after this we go.
  leaving() {}

  // What all have in common.

  async run() {
    const [, program, ...args] = process.argv;
    if (![1, 3].includes(args.length) || !process.env.PASSWORD) {
      console.error(`PASSWORD=... node ${program} JID/RESOURCE [HOST PORT]`);
      process.exit(2);
    }
    this.xmpp = session(...args);
    this.xmpp.on("disconnect", () => process.exit(this.staying ? 1 : 0));
    this.xmpp.middleware.use(
      ({ stanza, element }, next) =>
        (element && this.asked(stanza, element)) || next(),
    );
    for (const signal of ["SIGTERM", "SIGINT"])
      process.on(signal, () => this.#leave());
    await this.xmpp.start().catch(() => {
      console.error("No login"); // why is said already
      process.exit(1);
    });
    this.xmpp.on("stanza", (stanza) => this.#sort(stanza));
    await this.xmpp.send(xml("presence"));
    console.log(`online as ${this.xmpp.jid}`);
  }

  send(to, type, ...children) {
    const id = randomUUID();
    return this.xmpp.send(xml("message", { to, type, id }, ...children));
  }

  // In the thread of the message, if it has one (RFC 6121, 5.2.5).
  reply(message, text) {
    const { from, type } = message.attrs;
    const thread = message.getChild("thread") ?? "";
    return this.send(from, type, thread, xml("body", {}, text));
  }

  #sort(stanza) {
    const { from, type = "normal", id } = stanza.attrs;
    const body = stanza.getChildText("body");
    // The server vouches for the sender.
    if (from?.split("/")[0] === `${this.xmpp.jid.bare()}`) {
      if (stanza.name !== "iq") this.colleague(stanza);
    } else if (stanza.name === "message" && ["chat", "normal"].includes(type)) {
      if (id && stanza.getChild("request", NS_RECEIPTS))
        this.send(from, type, xml("received", { xmlns: NS_RECEIPTS, id }));
      if (body) this.said(stanza, body);
    }
  }

  async #leave() {
    if (this.xmpp.status !== "online") process.exit(0);
    if (!this.staying) return;
    this.staying = false;
    await this.xmpp.send(xml("presence", { type: "unavailable" }));
    await caughtUp(this.xmpp);
    this.leaving();
    await caughtUp(this.xmpp);
    await this.xmpp.stop();
  }
}
