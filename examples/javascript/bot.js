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

import { randomUUID, webcrypto } from "node:crypto";

import { client, jid, xml } from "@xmpp/client";

// @xmpp/client looks for it here, where Node 18 does not have it.
globalThis.crypto ??= webcrypto;

const NS_INFO = "http://jabber.org/protocol/disco#info";
const NS_PING = "urn:xmpp:ping";
const NS_RECEIPTS = "urn:xmpp:receipts";
const NS_STREAM = "http://etherx.jabber.org/streams";
const NS_VERSION = "jabber:iq:version";

export class Bot {
  staying = true;

  // What a bot may be good for.

  // Somebody has written this message, which has this body.
  said(message, body) {}

  // Another session of this account says that it is here, or gone, or something
  // else.
  colleague(stanza) {}

  // Nobody writes to us any more; after this we go.
  leaving() {}

  // What all have in common.

  async run() {
    const [address, host, port] = process.argv.slice(2);
    const { local, domain, resource } = jid(address);
    const xmpp = client({
      domain,
      resource,
      service: host && `xmpp://${host}:${port}`,
      credentials: async (authenticate, mechanisms) => {
        if (!host && !xmpp.isSecure()) throw new Error("The server has no TLS");
        const password = process.env.PASSWORD;
        await authenticate({ username: local, password }, mechanisms[0]);
      },
    });
    this.xmpp = xmpp;
    // Whoever started us may start us again; that is all there is to reconnect.
    // So the server need not wait for us (XEP-0198, by itself or in XEP-0388).
    xmpp.reconnect.stop();
    xmpp.prependListener("element", (element) => {
      if (element.is("features", NS_STREAM))
        for (const name of ["sm", "authentication"]) element.remove(name);
    });
    xmpp.on("disconnect", () => process.exit(this.staying ? 1 : 0));
    xmpp.on("error", (error) => console.error(error.message));
    this.#answer(NS_INFO, () => [
      xml("identity", { category: "client", type: "bot" }),
      ...[NS_INFO, NS_PING, NS_RECEIPTS, NS_VERSION].map((ns) =>
        xml("feature", { var: ns }),
      ),
    ]);
    this.#answer(NS_VERSION, () => [xml("name", {}, "example bot")]);
    process.on("SIGTERM", () => this.#leave());
    await xmpp.start();
    xmpp.on("stanza", (stanza) => this.#sort(stanza));
    await xmpp.send(xml("presence"));
    console.log(`online as ${xmpp.jid}`);
  }

  send(to, type, ...children) {
    const id = randomUUID();
    return this.xmpp.send(xml("message", { to, type, id }, ...children));
  }

  reply(message, text) {
    const { from, type } = message.attrs;
    const thread = message.getChild("thread") ?? "";
    return this.send(from, type, thread, xml("body", {}, text));
  }

  // @xmpp/client itself answers pings, and refuses what it does not know.
  #answer(ns, content) {
    this.xmpp.iqCallee.get(ns, "query", () => xml("query", ns, ...content()));
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

  // When the server has answered, it has had all that we sent before, and we have
  // had all that it sent before. An error is an answer, too.
  #caughtUp() {
    const ping = xml("iq", { type: "get" }, xml("ping", NS_PING));
    return this.xmpp.iqCaller.request(ping, 60_000).catch(() => {});
  }

  async #leave() {
    this.staying = false;
    await this.xmpp.send(xml("presence", { type: "unavailable" }));
    await this.#caughtUp();
    this.leaving();
    await this.#caughtUp();
    await this.xmpp.stop();
  }
}
