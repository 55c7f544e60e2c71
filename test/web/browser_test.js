// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// browser_test.js WEB_PORT C2S_PORT    clicks through the page while it is busy
import assert from "node:assert/strict";
import { axeFinds, launch, LOOKS } from "./browser.js";
import { busy } from "./site.js";

const [web, c2s] = process.argv.slice(2);
const PAGE = "example.org/?host=proxy.example.org";
const browser = await launch(`http://127.0.0.1:${web}/client_proxy/`);
const clients = await busy(c2s, 60);

const row = (page, name) => page.locator("#rows tr", { hasText: `svc@example.org/${name}` });
const number = async (locator) => Number((await locator.textContent()).replace(/[^0-9.]/g, ""));

// A part of the page's script, as the page has it.
const of = (name) => `import("/client_proxy/files/${name}.js")`;

// Waits until the charts are drawn.
const drawn = (page) => page.locator("#chart-share path").first().waitFor({ state: "attached" });

async function until(what, isSo) {
    for (let tries = 300; tries > 0; tries--) {
        if (await isSo()) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`in vain: ${what}`);
}

// What has changed by itself, without a reload.
async function moves(page) {
    await page.evaluate(() => { window.isSame = true; });
    const requests = page.locator("#host-rows tr", { hasText: "proxy.example.org" }).locator("[data-cell=requests]");
    const before = await number(requests);
    const line = () => page.locator("#chart-requests path").first().getAttribute("d");
    await until("three resources", async () => await page.locator("#rows tr").count() === 3);
    await drawn(page);
    const first = await line();
    await until("more requests", async () => await number(requests) > before);
    await until("another picture", async () => await line() !== first);
    await until("a rate", async () => await number(row(page, "cellar").locator("[data-cell=rate]")) > 1);
    assert.equal(await page.evaluate(() => window.isSame), true);
}

async function buttons(page) {
    const button = row(page, "kitchen").locator("button");
    await button.focus();
    await page.keyboard.press("Enter");
    await page.locator("#said", { hasText: "svc@example.org/kitchen is drained" }).waitFor();
    await row(page, "kitchen").locator(".state.draining", { hasText: "drained" }).waitFor();
    assert.equal(await button.textContent(), "Undrain svc@example.org/kitchen");
    assert.equal(await button.evaluate((element) => element === document.activeElement), true, "the focus is lost");
    await button.click();
    await page.locator("#said", { hasText: "gets new requests again" }).waitFor();
    await row(page, "kitchen").locator(".state.up").waitFor();
}

// By the keyboard alone. What is marked, and the focus, stay where they are when the page
// looks again. Enter at a mark does nothing: it would press the button of the first row.
async function marked(page) {
    let presses = 0;
    page.on("request", (request) => { presses += request.method() === "POST"; });
    const marks = page.locator("#rows input:checked");
    const all = page.locator("#mark_all");
    const hasFocus = (locator) => locator.evaluate((element) => element === document.activeElement);
    await all.focus();
    await page.keyboard.press("Space");
    const when = await page.locator("#when").textContent();
    await until("another look", async () => await page.locator("#when").textContent() !== when);
    assert.equal(await marks.count(), 3);
    assert.ok(await hasFocus(all), "the focus is lost");
    await page.keyboard.press("Tab");
    assert.ok(await hasFocus(row(page, "attic").locator("input")), "the marks are not next to each other");
    await page.keyboard.press("Space");
    assert.equal(await all.isChecked(), false);
    await page.keyboard.press("Enter");
    const button = page.getByRole("button", { name: "Undrain the marked resources" });
    await button.focus();
    await page.keyboard.press("Enter");
    await page.locator("#said", { hasText: "undrain: 2 of 2 resources" }).waitFor();
    assert.equal(presses, 1);
    await until("no marks", async () => await marks.count() === 0);
    assert.ok(await hasFocus(button), "the focus is lost");
    await until("sums", async () => await number(page.locator("#sums [data-cell=answered]")) > 0);
    assert.match(await row(page, "attic").locator("[data-cell=lasts]").textContent(), /^for [0-9]/);
}

async function spans(page) {
    await page.getByRole("link", { name: "10 min" }).click();
    await page.locator("#chart-requests text", { hasText: "−10 min" }).waitFor();
    assert.match(page.url(), /span=600/);
    assert.equal(await page.locator("#find_form [name=span]").inputValue(), "600");
    assert.equal(await page.evaluate(() => window.isSame), true);
    await page.locator("#chart-share summary").click();
    await page.locator("#chart-share thead", { hasText: "cellar" }).waitFor();
    for (const id of ["requests", "in_flight"]) {
        await page.locator(`#chart-${id} .legend`, { hasText: /highest [0-9]/ }).waitFor();
    }
    // the numbers below a pointer, until it leaves
    const past = page.locator("#chart-requests .legend", { hasText: /at [0-9:]{8}/ });
    await page.locator("#chart-requests .plot").hover();
    await past.waitFor();
    await page.mouse.move(0, 0);
    await past.waitFor({ state: "detached" });
    assert.match(await page.locator("#chart-requests .plot svg").getAttribute("aria-label"), /Requests.*Now: .*answered [0-9]/);
}

async function rests(page) {
    let looks = 0;
    page.on("request", (request) => { looks += request.url().includes("/data?"); });
    await until("a look", async () => looks > 0);
    const still = async () => {
        await until("the last answer", async () => !(await page.evaluate(`${of("looks")}.then((m) => m.isLooking)`)));
        const before = looks;
        await page.waitForTimeout(2500);
        assert.equal(looks, before, "it looks though nobody sees it");
    };
    await page.getByRole("button", { name: "Pause" }).click();
    // what a button has changed is seen all the same
    for (const state of [".draining", ".up"]) {
        await row(page, "kitchen").locator("button").click();
        await row(page, "kitchen").locator(`.state${state}`).waitFor();
    }
    assert.equal(await page.locator("#when").textContent(), "paused");
    await page.getByRole("link", { name: "1 h" }).click();
    await page.locator("#chart-requests text", { hasText: "−60 min" }).waitFor();
    await still();
    await page.getByRole("button", { name: "Pause" }).click();
    await until("it goes on", async () => looks > 1);
    await page.evaluate(() => {
        Object.defineProperty(document, "hidden", { configurable: true, value: true });
        document.dispatchEvent(new Event("visibilitychange"));
    });
    await still();
    await page.evaluate(() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
    });
    const before = looks;
    await until("it goes on when it is seen again", async () => looks > before);
}

async function tellsWhenItIsLost(page) {
    await page.route("**/data?*", (route) => route.abort());
    await page.locator("#pulse.lost").waitFor();
    const [title, pulse] = await Promise.all(["h1", "#pulse"].map((name) => page.locator(name).boundingBox()));
    assert.ok(pulse.y >= title.y + title.height, "the error lies over the title");
    // also while it pauses; and a button says so, too
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#pulse.still").waitFor();
    await page.route("**/example.org/", (route) => route.abort());
    await row(page, "kitchen").locator("button").click();
    await page.locator("#said.down", { hasText: "No answer has come" }).waitFor();
    await page.locator("#pulse.lost").waitFor();
    await page.unrouteAll({ behavior: "wait" });
    assert.ok(page.complaints.splice(0).every((text) => text.includes("ERR_FAILED")));
}

// Of many resources others are shown at each look: what is marked stays, and so does the
// focus. What has come of a button is seen from there.
async function staysMarked() {
    const page = await browser.open({ ...LOOKS.light, viewport: { width: 1280, height: 300 } }, PAGE);
    await row(page, "kitchen").waitFor();
    const [attic, kitchen] = ["attic", "kitchen"].map((name) => row(page, name));
    await attic.locator("input").check();
    await page.mouse.move(0, 0);
    await kitchen.locator("button").focus();
    await page.route("**/data?*", async (route) => {
        const view = await (await fetched(route)).json();
        view.detail.rows = view.detail.rows.filter(({ jid }) => jid.endsWith("kitchen"));
        await route.fulfill({ json: view });
    });
    await row(page, "cellar").waitFor({ state: "detached" });
    assert.ok(await kitchen.locator("button").evaluate((element) => element === document.activeElement), "the focus is lost");
    assert.equal(await attic.locator("input").isChecked(), true);
    await page.getByRole("button", { name: "Undrain the marked resources" }).click();
    const said = page.locator("#said", { hasText: "svc@example.org/attic gets" });
    await said.waitFor();
    const { y, height } = await said.boundingBox();
    assert.ok(y >= 0 && y + height <= 300, "what has come of it is not seen");
}

// The charts are drawn before the first answer comes. So the answer does not move the table
// below them, just when somebody is about to click.
async function staysInPlace() {
    const page = await browser.open(LOOKS.light, "about:blank");
    let answer;
    const held = new Promise((resolve) => { answer = resolve; });
    await page.route("**/data?*", async (route) => {
        const view = await (await fetched(route)).json();
        await held;
        const first = JSON.parse(await page.locator("#charts").getAttribute("data-first"));
        await route.fulfill({ json: { ...view, detail: { ...view.detail, ...first } } });
    });
    await page.goto(PAGE);
    await drawn(page);
    const place = async () => (await row(page, "attic").boundingBox()).y;
    const before = await place();
    answer();
    await page.locator("#when", { hasText: "as of" }).waitFor();
    assert.equal(await place(), before);
}

// Below a pointer nothing comes, goes or moves, and what has the focus does not go.
async function staysUnderTheHand() {
    const page = await browser.open(LOOKS.light, PAGE);
    await drawn(page);
    const names = () => page.locator("#rows [data-cell=name]").allTextContents();
    const are = async (...rows) => assert.deepEqual(await names(), rows.map((name) => `svc@example.org/${name}`));
    await until("three resources", async () => (await names()).length === 3);
    const gone = page.locator("#rows tr.stale", { hasText: "attic" });
    await row(page, "attic").locator("button").focus();
    await row(page, "cellar").hover();
    await page.route("**/data?*", async (route) => {
        const view = await (await fetched(route)).json();
        const kept = view.detail.rows.filter(({ jid }) => !jid.endsWith("attic"));
        view.detail.rows = [{ ...kept[0], jid: "svc@example.org/aft", name: "svc@example.org/aft" }, ...kept];
        await route.fulfill({ json: view });
    });
    await gone.waitFor();
    await are("attic", "cellar", "kitchen");
    await page.mouse.move(0, 0);
    await row(page, "aft").waitFor();
    await are("attic", "aft", "cellar", "kitchen");
    await page.locator("#pause").focus();
    await gone.waitFor({ state: "detached" });
    await are("aft", "cellar", "kitchen");
}

// A second proxy host comes and goes, and so does the last one.
async function listComes() {
    const page = await browser.open(LOOKS.light, PAGE);
    const list = page.locator("#list");
    const links = page.locator("#host-rows a");
    const have = async (count, shown) => {
        await page.unrouteAll({ behavior: "wait" });
        await page.route("**/data?*", async (route) => {
            const view = await (await fetched(route)).json();
            const hosts = view.hosts.filter(({ name }) => name === "proxy.example.org").slice(0, count);
            await route.fulfill({ json: { ...view, hosts, shown: { ...view.shown, ...shown } } });
        });
    };
    await have(0, { list: false, no_hosts: true });
    await page.locator("#no_hosts").waitFor();
    await list.waitFor({ state: "hidden" });
    await have(1, { list: false, no_hosts: false });
    await page.locator("#no_hosts").waitFor({ state: "hidden" });
    await page.unrouteAll({ behavior: "wait" });
    await list.waitFor();
    await links.nth(1).waitFor();
    assert.equal(await page.locator("#host-rows a[aria-current]").textContent(), "proxy.example.org");
    await page.getByRole("link", { name: "second.example.org" }).click();
    await page.locator("#name", { hasText: "second.example.org" }).waitFor();
    assert.deepEqual(page.complaints, []);
}

// Which proxy host is shown by itself may be another one at the next look.
async function stays() {
    const page = await browser.open(LOOKS.light, "example.org/");
    const request = await page.waitForRequest("**/data?*");
    assert.equal(new URL(request.url()).searchParams.get("host"), await page.locator("#name").textContent());
}

// A clock that is put back, a node with another clock, and a node that is silent for a while.
async function rate(page) {
    const grown = (looks) => page.evaluate(`${of("rates")}.then(({ rates }) => ${JSON.stringify(looks)}.map(([node, missing, at, n]) => (
        rates("test", { node, missing, at }, { n })?.n ?? null)))`);
    assert.deepEqual(
        await grown([["a", [], 9000, 10], ["a", [], 11000, 20], ["b", [], 3000, 30], ["a", ["b"], 12000, 5],
            ["a", [], 13000, 40], ["a", [], 5000, 50], ["a", [], 7000, 60], ["a", [], 99000, 70]]),
        [null, 10, null, null, 30, null, 10, null]);
}

// As in a bookmark. The browser keeps both in the address of the page.
async function nameInAddress() {
    const page = await browser.open(LOOKS.light, `http://admin%40example.org:secret@127.0.0.1:${web}/client_proxy/${PAGE}`);
    await drawn(page);
    await row(page, "attic").locator("button").click();
    await page.locator("#said", { hasText: "svc@example.org/attic is drained" }).waitFor();
    await row(page, "attic").locator("button", { hasText: "Undrain" }).click();
    await page.locator("#said", { hasText: "gets new requests again" }).waitFor();
}

async function policy(page) {
    await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.isForeign = true";
        document.body.append(script);
    });
    assert.equal(await page.evaluate(() => window.isForeign), undefined);
    assert.match(page.complaints.splice(0).join(), /Content Security Policy/);
}

async function withoutScript() {
    const page = await browser.open(LOOKS.light, PAGE, { javaScriptEnabled: false });
    assert.equal(await page.locator("#rows tr").count(), 3);
    await row(page, "cellar").locator("input").press("Enter");
    await page.getByText("Which button").waitFor();
    await page.goBack();
    await row(page, "attic").locator("button").click();
    await page.locator("p.note.up", { hasText: "svc@example.org/attic is drained" }).waitFor();
    await page.getByRole("link", { name: "Back to proxy.example.org" }).click();
    await row(page, "attic").locator("button", { hasText: "Undrain" }).click();
    await page.locator("p.note.up", { hasText: "gets new requests again" }).waitFor();
}

async function looks(name) {
    const page = await browser.open(LOOKS[name], PAGE, { reducedMotion: "reduce" });
    await drawn(page);
    assert.deepEqual(await axeFinds(page), []);
    await row(page, "attic").locator("input").check({ timeout: 5000 });
    assert.equal(await page.locator(".beat").evaluate((element) => getComputedStyle(element).animationName), "none");
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= LOOKS[name].viewport.width, `it is ${width} wide`);
    assert.deepEqual(page.complaints, []);
}

// (What is fetched in the browser's place has no password of itself.)
const fetched = (route) => route.fetch({
    headers: { ...route.request().headers(), authorization: `Basic ${btoa("admin@example.org:secret")}` },
});

// The list is still new, and what was known of the proxy host stays until it is known again.
async function withoutDetail() {
    const page = await browser.open(LOOKS.light, PAGE);
    await page.route("**/data?*", async (route) => {
        const view = await (await fetched(route)).json();
        await route.fulfill({ json: { ...view, detail: null, no_detail: "It hangs." } });
    });
    await page.locator("#no_detail", { hasText: "It hangs." }).waitFor();
    assert.equal(await page.locator("#rows tr").count(), 3);
    await page.unrouteAll({ behavior: "wait" });
    await page.locator("#no_detail").waitFor({ state: "hidden" });
    // it is there no more
    await page.evaluate(`${of("looks")}.then((m) => m.query.set("host", "none.example.org"))`);
    await page.locator("#detail").waitFor({ state: "hidden" });
    await page.locator("#no_detail", { hasText: "not any more" }).waitFor();
    // a page that the server has made without it gets it
    await page.route("**/?host=*", async (route) => {
        const response = await fetched(route);
        const body = (await response.text()).replace(/<section id="detail".*<\/section>/s, "");
        await route.fulfill({ response, body });
    }, { times: 1 });
    await page.reload({ waitUntil: "commit" });
    await page.locator("#rows tr").nth(2).waitFor();
    assert.deepEqual(page.complaints, []);
}

let status = 0;
try {
    const page = await browser.open(LOOKS.light, PAGE);
    for (const step of [moves, buttons, marked, spans, rate, rests]) {
        await step(page);
        assert.deepEqual(page.complaints, []);
        console.log(`ok: ${step.name}`);
    }
    await tellsWhenItIsLost(page);
    await stays();
    await staysMarked();
    await staysInPlace();
    await staysUnderTheHand();
    await listComes();
    await nameInAddress();
    await policy(page);
    await withoutScript();
    await withoutDetail();
    for (const name of Object.keys(LOOKS)) await looks(name);
    console.log("ok: all");
} catch (error) {
    console.log(error.stack);
    status = 1;
}
await browser.close();
clients.close();
process.exit(status);
