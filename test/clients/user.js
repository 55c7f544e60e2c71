#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Somebody who chats, on @xmpp/client: held by puppet.erl as puppet.py is.
//
//     user.js JID PASSWORD HOST PORT
//
// Its orders: `chat TO WORDS` and `quit`.

import { randomUUID, webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Where `make example EXAMPLE=help_desk.js` has it.
const built = new URL("../../_build/examples/", import.meta.url);
const { client, jid, xml } = await import(
  createRequire(built).resolve("@xmpp/client")
);
globalThis.crypto ??= webcrypto;

const [address, password, host, port] = process.argv.slice(2);
const { local, domain, resource } = jid(address);
const xmpp = client({
  domain,
  resource,
  service: `xmpp://${host}:${port}`,
  credentials: (authenticate, mechanisms) =>
    authenticate({ username: local, password }, mechanisms[0]),
});

function say(text) {
  const line = text.replaceAll("\r", "&#13;").replaceAll("\n", "&#10;");
  process.stdout.write(`${line}\n`);
}

function order(line) {
  const [word, to, ...words] = line.split(" ");
  if (word === "quit") return xmpp.stop();
  const body = xml("body", {}, words.join(" "));
  return xmpp
    .send(xml("message", { to, type: "chat", id: randomUUID() }, body))
    .then(() => say("chat"));
}

xmpp.reconnect.stop();
xmpp.on("error", (error) => say(`failed ${error}`));
xmpp.on("disconnect", () => process.exit(0));
await xmpp.start();
xmpp.on("stanza", (stanza) => say(`${stanza}`));
say(`ready ${xmpp.jid}`);
createInterface({ input: process.stdin })
  .on("line", order)
  .on("close", () => xmpp.stop());
