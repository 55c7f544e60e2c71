// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Says what is said to it, and answers in urn:example:echo what is asked.

import { Bot } from "./bot.js";

class Echo extends Bot {
  said(message, body) {
    this.reply(message, body);
  }

  asked(iq, query) {
    return query.getNS() === "urn:example:echo" && query;
  }
}

await new Echo().run();
