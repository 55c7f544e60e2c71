// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// @xmpp/client, or what to do to have it.

export const { client, jid, xml } = await import("@xmpp/client").catch(
  (error) => {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error("@xmpp/client is not there yet. Type: npm ci");
    process.exit(2);
  },
);
