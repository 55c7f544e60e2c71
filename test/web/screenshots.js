// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// screenshots.js WEB_PORT C2S_PORT FOLDER    pictures of the page for the documents
import { launch, LOOKS } from "./browser.js";
import { busy } from "./site.js";

const [web, c2s, folder] = process.argv.slice(2);
const seconds = Number(process.env.SECONDS_BUSY ?? 125);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const clients = await busy(c2s, 60);
const browser = await launch(`http://127.0.0.1:${web}/client_proxy/`);
await pause(seconds * 1000 - 12000);
const pages = {};
for (const [name, look] of Object.entries(LOOKS)) pages[name] = await browser.open(look, "example.org/?host=proxy.example.org");
await pause(12000);
for (const [name, page] of Object.entries(pages)) {
    await page.screenshot({ path: `${folder}/web-${name}.png`, fullPage: true });
}
await browser.close();
clients.close();
process.exit(0);
