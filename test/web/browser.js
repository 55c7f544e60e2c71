// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Debian's Chromium, logged in at the web page.
import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const LOOKS = {
    light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
    dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
    phone: { colorScheme: "light", viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
};

export async function launch(base) {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    });
    const open = async (look, path, options = {}) => {
        const context = await browser.newContext({
            ...look, ...options, baseURL: base,
            httpCredentials: { username: "admin@example.org", password: "secret" },
        });
        const page = await context.newPage();
        page.complaints = [];
        page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
        page.on("pageerror", (error) => page.complaints.push(String(error)));
        await page.goto(path);
        return page;
    };
    return { open, close: () => browser.close() };
}

// What axe-core finds that is serious, in words. The page's policy lets no script of
// others in, so it is evaluated from outside.
export async function axeFinds(page) {
    await page.evaluate(`${axe}; undefined`);
    const { violations } = await page.evaluate(() => window.axe.run());
    return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => `${id}: ${nodes.map((n) => `${n.target} ${n.failureSummary}`).slice(0, 3).join(" | ")}`);
}
