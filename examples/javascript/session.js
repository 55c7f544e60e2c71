// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// The session of a bot, and the requests that it answers. See bot.js.

import { webcrypto } from "node:crypto";

import { client, jid, xml } from "./xmpp.js";

// @xmpp/client looks for it here, where Node 18 does not have it.
globalThis.crypto ??= webcrypto;

const NS_INFO = "http://jabber.org/protocol/disco#info";
const NS_PING = "urn:xmpp:ping";
const NS_RECEIPTS = "urn:xmpp:receipts";
const NS_STREAM = "http://etherx.jabber.org/streams";
const NS_VERSION = "jabber:iq:version";

export function session(address, host, port) {
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
  // Whoever started us may start us again; that is all there is to reconnect.
  xmpp.reconnect.stop();
  // Its stream management (XEP-0198, by itself or in XEP-0388) counts wrong in
  // version 0.14: the server would end the stream, or send messages twice.
  xmpp.prependListener("element", (element) => {
    if (element.is("features", NS_STREAM))
      for (const name of ["sm", "authentication"]) element.remove(name);
  });
  xmpp.on("error", ({ condition, message }) =>
    console.error(
      condition === "conflict"
        ? `conflict: another one has logged in as ${xmpp.jid}`
        : message,
    ),
  );
  // @xmpp/client itself answers pings, and refuses what it does not know.
  xmpp.iqCallee.get(NS_INFO, "query", () => {
    const features = [NS_INFO, NS_PING, NS_RECEIPTS, NS_VERSION];
    return xml(
      "query",
      NS_INFO,
      xml("identity", { category: "client", type: "bot" }),
      ...features.map((ns) => xml("feature", { var: ns })),
    );
  });
  xmpp.iqCallee.get(NS_VERSION, "query", () =>
    xml("query", NS_VERSION, xml("name", {}, "example bot")),
  );
  return xmpp;
}

// When the server has answered, it has had all that we sent before, and we have
// had all that it sent before. An error is an answer, too.
export function caughtUp(xmpp) {
  const ping = xml("iq", { type: "get" }, xml("ping", NS_PING));
  return xmpp.iqCaller.request(ping, 60_000).catch(() => {});
}
