// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Says what is said to it.

import { Bot } from "./bot.js";

class Echo extends Bot {
  said(message, body) {
    this.reply(message, body);
  }
}

await new Echo().run();
