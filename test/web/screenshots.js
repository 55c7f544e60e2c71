// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// screenshots.js WEB_PORT C2S_PORT FOLDER    see screenshots
import { launch, LOOKS } from "./browser.js";
import { busy } from "./site.js";
import { writeFileSync } from "node:fs";
import { plain } from "./png.js";

const [web, c2s, folder] = process.argv.slice(2);
const HISTORY = Number(process.env.HISTORY ?? 115); // s, before the first look
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const PAGE = "example.org/?host=proxy.example.org";

async function shot(page, name) {
    // of the phone as much as one scrolls through before one looks elsewhere
    const clip = name === "phone" ? { x: 0, y: 0, width: 360, height: 1250 } : undefined;
    const png = await page.screenshot({ fullPage: true, clip });
    writeFileSync(`${folder}/web-${name}.png`, plain(png));
}

const site = await busy(c2s, 60);
const browser = await launch(`http://127.0.0.1:${web}/client_proxy/`);
await pause(HISTORY);
const pages = {};
for (const [name, look] of Object.entries(LOOKS)) pages[name] = await browser.open(look, PAGE);
await pause(12);
for (const [name, page] of Object.entries(pages)) await shot(page, name);

site.hangs = true;
const page = pages.dark;
await page.locator("#rows tr", { hasText: "attic" }).locator(".state.down").waitFor({ timeout: 60000 });
await page.locator("#rows tr", { hasText: "kitchen" }).locator("button").click();
await page.locator("#rows tr", { hasText: "kitchen" }).locator(".state.draining").waitFor();
await pause(6);
await shot(page, "wrong");

await browser.close();
site.close();
process.exit(0);
