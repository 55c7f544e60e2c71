// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Keeps the page up to date and draws its charts. The page is whole without it: here
// texts are written into elements that the server has made. Nothing is ever parsed as
// HTML, since others have chosen the names.
"use strict";

const EVERY = 2000;       // ms, between two looks
const LATER = 10000;      // ms, after one that has failed
const PATIENCE = 30000;   // ms, for one look: a server that hangs would look well for minutes
const RATE_OVER = 10000;  // ms, over which rates are taken
const RATE_GAP = 60000;   // ms, between two looks: then it begins anew
const SAID = 30000;       // ms, for which it is said that a button has done its work
const RATES = 2000;       // that are kept
const HAND = 30000;       // ms, for which a pointer that rests may be about to click
const LIMIT_NEAR = 5;     // times what is there: then a limit is on the chart
const TABLE_ROWS = 12;    // of the numbers below a chart

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
// Which one is shown by itself may change, but the page around it has been made for this one.
const made = byId("detail")?.dataset.host;
if (made) query.set("host", made);

// -- Numbers for people

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });

const NOTHING = "–";
const text = {
    number: (n) => (n === null ? NOTHING : short.format(n)),
    ms: (n) => (n === null ? NOTHING : n < 1000 ? `${short.format(n)} ms` : `${short.format(n / 1000)} s`),
    percent: (n) => (n === null ? NOTHING : `${n > 0 && n < 10 ? n.toFixed(1) : Math.round(n)} %`),
    clock: (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB"),
};

// -- Writing into the page

// What has not changed is not written: a screen reader would read it again.
function write(element, value) {
    const string = String(value);
    if (element.textContent !== string) element.textContent = string;
}

function cell(root, name) {
    return root.querySelector(`[data-cell="${name}"]`);
}

function show(element, isShown) {
    if (element) element.hidden = !isShown;
}

function writeState(element, word, state) {
    element.className = `state ${word}`;
    write(element, state);
}

// Rows have keys. One that stays stays the same element, so the focus is not lost.
// What is not there any more goes first, or those behind it would have to move.
function writeRows(body, items, keyOf, make, fill, stays = () => false) {
    const keys = new Set(items.map(keyOf));
    const isHeld = isUnderHand(body);
    for (const row of [...body.rows]) {
        row.classList.toggle("stale", !keys.has(row.dataset.key));
        const isLeft = row.classList.contains("stale") && !isHeld && !stays(row);
        if (isLeft && !row.contains(document.activeElement)) row.remove();
    }
    const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
    if (isHeld) {
        for (const item of items) if (old.has(keyOf(item))) fill(old.get(keyOf(item)), item);
        return;
    }
    let place = body.firstElementChild;
    for (const item of items) {
        while (place?.classList.contains("stale")) place = place.nextElementSibling;
        const row = old.get(keyOf(item)) ?? make(keyOf(item));
        if (row === place) place = place.nextElementSibling;
        else body.insertBefore(row, place);
        fill(row, item);
    }
}

// Whoever is about to click finds below the pointer what was there: while it moves over a
// table, and for a while after, no row comes, goes or moves. Those that have gone are pale.
const hands = new Map(); // body of a table → ms, when the pointer moved there

function watchHand(body) {
    body.addEventListener("pointermove", () => hands.set(body, performance.now()));
    body.addEventListener("pointerleave", () => hands.delete(body));
}

function isUnderHand(body) {
    return performance.now() < hands.get(body) + HAND;
}

// -- Rates: how fast a counter has grown lately

const seen = new Map();

// Sums of other nodes are other counters, and another node has another clock.
function rates(name, { node, missing, at }, counters) {
    const key = [name, node, ...missing].join(" ");
    const samples = seen.get(key) ?? [];
    const last = samples.at(-1);
    const isOther = last && (at < last.at || at > last.at + RATE_GAP
        || Object.keys(counters).some((counter) => counters[counter] < last[counter]));
    if (isOther) samples.length = 0;
    if (!samples.length || at > last.at) samples.push({ at, ...counters });
    while (samples.length > 2 && samples[1].at <= at - RATE_OVER) samples.shift();
    // those that are not asked for any more come first
    seen.delete(key);
    seen.set(key, samples);
    if (seen.size > RATES) seen.delete(seen.keys().next().value);
    const first = samples[0];
    if (first.at === at) return null;
    const grown = { seconds: (at - first.at) / 1000 };
    for (const counter of Object.keys(counters)) grown[counter] = counters[counter] - first[counter];
    return grown;
}

// -- Tables

function fillHost(row, host) {
    writeState(cell(row, "state"), host.word, host.text);
    for (const name of ["endpoints", "pending", "requests", "failed"]) {
        write(cell(row, name), host[name] === null ? NOTHING : whole.format(host[name]));
    }
    const grown = host.requests === null ? null : rates(`host ${host.name}`, host, { requests: host.requests });
    write(cell(row, "rate"), grown ? text.number(grown.requests / grown.seconds) : NOTHING);
}

function makeHost(name) {
    const row = makeRow("host-row", name);
    const link = row.querySelector("a");
    if (name === made) link.setAttribute("aria-current", "true");
    link.href = `./?${new URLSearchParams({ host: name })}`;
    write(link, name);
    return row;
}

function fillRow(row, item, detail) {
    const name = cell(row, "name");
    write(name, item.name);
    name.title = item.shown;
    writeState(cell(row, "state"), item.word, item.state);
    write(cell(row, "lasts"), item.lasts);
    write(cell(row, "weight"), whole.format(item.weight));
    fillNumbers(row, item, `row ${item.jid}`, detail);
    const button = row.querySelector("button");
    button.name = item.is_drained ? "undrain" : "drain";
    button.value = item.jid;
    write(button.firstChild, item.is_drained ? "Undrain" : "Drain");
    write(button.lastElementChild, ` ${item.name}`);
    const mark = row.querySelector("input");
    mark.value = item.jid;
    mark.setAttribute("aria-label", `Mark ${item.name}`);
}

// Those that the sums have, too.
function fillNumbers(row, item, name, detail) {
    for (const column of ["requests", "outbound", "answered"]) {
        write(cell(row, column), whole.format(item[column]));
    }
    for (const column of ["p50", "p99"]) write(cell(row, column), text.ms(item[column]));
    const grown = rates(name, detail, { answered: item.answered, failed: item.failed });
    write(cell(row, "rate"), grown ? text.number(grown.answered / grown.seconds) : NOTHING);
    const count = grown ?? item;
    const all = count.answered + count.failed;
    const failed = cell(row, "failed");
    write(failed, all ? text.percent(100 * count.failed / all) : NOTHING);
    failed.classList.toggle("hot", all > 0 && count.failed / all >= 0.05);
}

// Of many resources others are shown at each look. Whoever has been marked is not lost.
function isMarked(row) {
    return row.querySelector("input:checked") !== null;
}

function makeRow(template, key) {
    const row = byId(template).content.firstElementChild.cloneNode(true);
    row.dataset.key = key;
    return row;
}

// -- Charts

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 8, top: 8, bottom: 20 };

function svg(name, attributes, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
}

// The next number that looks well at an axis and is not less.
function nice(n) {
    const unit = 10 ** Math.floor(Math.log10(n));
    return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].map((m) => m * unit).find((m) => m >= n * 0.999);
}

// From a gap on it is another line.
function pieces(points, step) {
    const found = [];
    points.forEach((point, i) => {
        if (i === 0 || point.at - points[i - 1].at > 1.5 * step) found.push([]);
        found.at(-1).push(point);
    });
    return found;
}

function path(list) {
    return list.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// chart: {id, series: [{name, look, values}], points: [{at}], step, span, format, stacked,
// limit, max}. One value of each series for each point; null: not known.
const charts = new Map();
const pointed = new Map(); // chart → seconds that the pointer is at

function draw(chart) {
    charts.set(chart.id, chart);
    const figure = byId(`chart-${chart.id}`);
    const plot = figure.querySelector(".plot");
    const width = Math.max(plot.clientWidth, 200);
    const height = 176;
    const { points, series } = chart;
    const sums = points.map((_, i) => series.reduce((sum, s) => sum + (s.values[i] ?? 0), 0));
    const highest = Math.max(0, ...(chart.stacked ? sums : series.flatMap((s) => s.values)));
    const needed = Math.max(highest * 1.08, chart.least ?? 1);
    const isLimitNear = chart.limit > 0 && chart.limit <= LIMIT_NEAR * needed;
    const top = chart.max ?? nice(isLimitNear ? Math.max(needed, chart.limit * 1.08) : needed);
    const until = points.length ? points.at(-1).at : Math.floor(Date.now() / 1000);
    const x = (at) => MARGIN.left + (width - MARGIN.left - MARGIN.right) * (1 - (until - at) / chart.span);
    const y = (value) => MARGIN.top + (height - MARGIN.top - MARGIN.bottom) * (1 - Math.min(value / top, 1));

    const picture = svg("svg", { role: "img", viewBox: `0 0 ${width} ${height}`, "aria-label": spoken(chart, highest) });
    for (const part of [0, 0.5, 1]) {
        picture.append(
            svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(part * top), y2: y(part * top) }),
            svg("text", { x: MARGIN.left - 5, y: y(part * top) + 4, "text-anchor": "end" }, chart.format(part * top)));
    }
    for (const part of [0, 0.5, 1]) {
        const ago = chart.span * (1 - part);
        picture.append(svg("text", { x: x(until - ago), y: height - 5, "text-anchor": ["start", "middle", "end"][part * 2] },
            ago ? `−${ago / 60} min` : "now"));
    }
    if (!points.length) {
        picture.append(svg("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "Nothing yet"));
    }
    const below = points.map(() => 0);
    const rare = [];
    for (const { look, values, dashed, isRare } of series) {
        if (isRare) {
            // thin, but there
            const bars = points.map(({ at }, i) => ({ at, value: values[i], low: below[i] })).filter(({ value }) => value > 0);
            rare.push(...bars.map(({ at, value, low }) => {
                const tall = Math.max(3, y(low) - y(low + value));
                return svg("rect", { class: look, x: x(at - chart.step), width: Math.max(2, x(at) - x(at - chart.step)), y: y(low) - tall, height: tall });
            }));
            values.forEach((value, i) => { below[i] += value; });
            continue;
        }
        const dots = points.map(({ at }, i) => ({ at, low: below[i], value: values[i] }));
        if (chart.stacked) values.forEach((value, i) => { below[i] += value ?? 0; });
        const known = dots.filter(({ value }) => value !== null);
        for (const piece of pieces(known, chart.step)) {
            // a single point would be nothing at all
            if (piece.length === 1) piece.unshift({ ...piece[0], at: piece[0].at - chart.step });
            const upper = piece.map((d) => [x(d.at), y(d.low + d.value)]);
            const lower = piece.map((d) => [x(d.at), y(d.low)]).reverse();
            if (chart.stacked) picture.append(svg("path", { class: `area ${look}`, d: `${path([...upper, ...lower])}Z` }));
            else picture.append(svg("path", { class: `line ${look}${dashed ? " dashed" : ""}`, "fill-opacity": 0, d: path(upper) }));
        }
    }
    picture.append(...rare);
    if (isLimitNear) {
        picture.append(svg("line", { class: "limit", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(chart.limit), y2: y(chart.limit) }));
    }
    const at = pointed.get(chart.id);
    const i = at === undefined ? points.length - 1 : nearest(points, at);
    if (at !== undefined && points.length) {
        picture.append(svg("line", { class: "grid", x1: x(points[i].at), x2: x(points[i].at), y1: MARGIN.top, y2: height - MARGIN.bottom }));
    }
    picture.addEventListener("pointermove", (event) => {
        const part = (event.offsetX - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
        pointed.set(chart.id, until - chart.span * (1 - part));
        draw(charts.get(chart.id));
    });
    picture.addEventListener("pointerleave", () => { pointed.delete(chart.id); draw(charts.get(chart.id)); });
    plot.replaceChildren(picture);
    writeLegend(figure.querySelector(".legend"), chart, i, at !== undefined, highest);
    if (figure.querySelector("details").open) writeNumbers(figure.querySelector("table"), chart);
}

function nearest(points, at) {
    return points.reduce((best, point, i) => (Math.abs(point.at - at) < Math.abs(points[best].at - at) ? i : best), 0);
}

// What one sees, in a sentence.
function spoken({ id, series, points, format, note }, highest) {
    const title = byId(`chart-${id}`).querySelector("figcaption").textContent;
    if (!points.length) return `${title}: nothing yet`;
    const now = series.map((s) => `${s.name} ${format(s.values.at(-1))}`).join(", ");
    return `${title}. Now: ${now}. Highest: ${format(highest)}. ${note ?? ""}`;
}

function writeLegend(list, { series, points, format, note, max }, i, isPast, highest) {
    const items = series.map(({ name, look, values, dashed }) => {
        const item = document.createElement("li");
        const number = document.createElement("b");
        number.textContent = i < 0 ? NOTHING : format(values[i]);
        const sign = dashed === undefined
            ? svg("rect", { class: look, x: 0, y: 0, width: 14, height: 11, rx: 2 })
            : svg("path", { class: `line ${look}`, d: "M0 6H14", "stroke-width": 3, "stroke-dasharray": dashed ? "4 3" : "none" });
        item.append(svg("svg", { viewBox: "0 0 14 11", "aria-hidden": "true" }, sign), `${name} `, number);
        return item;
    });
    const last = document.createElement("li");
    // of shares the highest says nothing
    const top = points.length && !max ? `highest ${format(highest)}` : "";
    last.textContent = isPast && points.length ? `at ${text.clock(points[i].at)}` : [top, note].filter(Boolean).join(", ");
    list.replaceChildren(...items, ...(last.textContent ? [last] : []));
}

function writeNumbers(table, { series, points, format }) {
    const line = (kind, values) => {
        const row = document.createElement("tr");
        row.append(...values.map((value, i) => {
            const element = document.createElement(kind === "th" || i === 0 ? "th" : "td");
            element.scope = kind === "th" ? "col" : "row";
            if (element.tagName === "TD") element.removeAttribute("scope");
            element.className = i ? "number" : "";
            element.textContent = value;
            return element;
        }));
        return row;
    };
    const every = Math.max(1, Math.floor(points.length / TABLE_ROWS));
    const chosen = points.map((_, i) => i).reverse().filter((_, i) => i % every === 0);
    const head = document.createElement("thead");
    head.append(line("th", ["Time", ...series.map((s) => s.name)]));
    const body = document.createElement("tbody");
    body.append(...chosen.map((i) => line("td", [text.clock(points[i].at), ...series.map((s) => format(s.values[i]))])));
    table.replaceChildren(head, body);
}

const ERRORS = ["bad", "s2", "s4", "s3", "s7", "s5", "s6", "s1", "s8"];

// The order within a point is that of mod_client_proxy_web_data.
function drawAll({ span, step, errors, names, points: rows }, limit) {
    const points = rows.map(([at, answers, failed, p50, p99, inFlight, shares]) => (
        { at, answers, failed, p50, p99, inFlight, shares }));
    const all = { points, span, step };
    const of = (f) => points.map(f);
    const happened = errors.map((name, e) => ({ name, e })).filter(({ e }) => points.some((p) => p.failed[e] > 0));
    draw({
        ...all, id: "requests", stacked: true, format: text.number,
        note: happened.length ? "" : "no errors",
        series: [...happened.map(({ name, e }, i) => (
            { name, look: ERRORS[i], isRare: true, values: of((p) => p.failed[e] / step) })),
        { name: "answered", look: "s0", values: of((p) => p.answers / step) }],
    });
    draw({
        ...all, id: "latency", format: text.ms, least: 0.1,
        series: [{ name: "half within", look: "s0", dashed: false, values: of((p) => p.p50) },
            { name: "99 % within", look: "s2", dashed: true, values: of((p) => p.p99) }],
    });
    draw({
        ...all, id: "in_flight", stacked: true, format: text.number, limit,
        note: `limit ${whole.format(limit)}`,
        series: [{ name: "in flight", look: "s1", values: of((p) => p.inFlight) }],
    });
    const total = of((p) => p.shares.reduce((sum, n) => sum + n, 0));
    const part = (e) => points.map((p, i) => (total[i] ? 100 * p.shares[e] / total[i] : null));
    const others = points.some((p) => p.shares.at(-1) > 0);
    draw({
        ...all, id: "share", stacked: true, format: text.percent, max: 100,
        series: [...names, ...(others ? ["others"] : [])].map((name, e) => (
            { name, look: e === names.length ? "s8" : `s${e}`, values: part(e) })),
    });
}

// -- What the server says

function writeHosts(view) {
    for (const [id, isShown] of Object.entries(view.shown)) show(byId(id), isShown);
    writeRows(byId("host-rows"), view.hosts, (host) => host.name, makeHost, fillHost);
    write(cell(document, "hosts_left"), `${view.hosts_left} more are not shown: find them by their names.`);
    show(cell(document, "hosts_left"), view.hosts_left > 0);
}

function writeDetail({ host, detail, no_detail: why, token }) {
    const section = byId("detail");
    // the server has to make the section
    if (detail && !section) location.reload();
    write(byId("no_detail"), why);
    // what is gone is not to look as if it were there
    show(section, host !== null);
    if (!section || !detail) return;
    writeState(cell(byId("state"), "state"), host.word, host.text);
    byId("state").className = `note ${host.word}`;
    const missing = [...new Set([...host.missing, ...detail.missing, ...detail.history.missing])];
    write(cell(section, "missing"), `Not in these numbers, for they do not answer: ${missing.join(", ")}`);
    show(cell(section, "missing"), missing.length > 0);
    write(cell(section, "targets"), host.targets);
    write(cell(section, "carrier"), host.carrier);
    write(cell(section, "flight"), `${whole.format(host.pending)} of ${whole.format(detail.limit)}`);
    write(cell(section, "why"), detail.why);
    show(cell(section, "why"), detail.why !== "");
    show(cell(section, "none"), detail.all === 0 && detail.why === "");
    write(cell(section, "count"), detail.found === detail.all ? detail.all : `${detail.found} of ${detail.all}`);
    write(cell(section, "left"), `${detail.left} more are not shown. client_proxy_endpoints shows all.`);
    show(cell(section, "left"), detail.left > 0);
    writeRows(byId("rows"), detail.rows, (item) => item.jid, (jid) => makeRow("row", jid), (row, item) => fillRow(row, item, detail), isMarked);
    fillNumbers(byId("sums"), detail.sums, "sums", detail);
    show(byId("sums"), detail.all > 1);
    show(document.querySelector(".marked"), detail.rows.length > 0);
    show(byId("mark_all"), detail.rows.length > 1);
    markAll();
    byId("act").elements.token.value = token;
    show(byId("charts"), true);
    drawAll(detail.history, detail.limit);
}

// -- Looking again and again, but not while nobody sees it

// Without name and password: fetch refuses an address that has them, as that of a bookmark may.
const here = location.origin + location.pathname;

const patience = () => AbortSignal.timeout?.(PATIENCE);

let timer;
let isPaused = false;
let isLooking = false;
let isAskedAgain = false; // while it is looking

function look() {
    if (!isPaused && !document.hidden) lookOnce();
}

async function lookOnce() {
    clearTimeout(timer);
    isAskedAgain = isLooking;
    if (isLooking) return;
    isLooking = true;
    let wait = LATER;
    try {
        const answer = await fetch(`${here}data?${query}`, {
            headers: { Accept: "application/json" },
            signal: patience(),
        });
        if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
        const view = await answer.json();
        writeHosts(view);
        writeDetail(view);
        pulse("", view.detail || view.hosts.length ? `as of ${new Date().toLocaleTimeString("en-GB")}` : "");
        wait = EVERY;
    } catch (error) {
        pulse("lost", `${error.message}, last try ${new Date().toLocaleTimeString("en-GB")}`);
    }
    isLooking = false;
    timer = setTimeout(isAskedAgain ? lookOnce : look, isAskedAgain ? 0 : wait);
    isAskedAgain = false;
}

function pulse(how, words) {
    const isStill = isPaused && how !== "lost";
    byId("pulse").className = `pulse ${isStill ? "still" : how}`;
    write(byId("when"), isStill ? "paused" : words);
    show(byId("pulse"), true);
}

function start() {
    byId("pause").addEventListener("click", (event) => {
        isPaused = !isPaused;
        event.target.setAttribute("aria-pressed", isPaused);
        if (isPaused) pulse("");
        else look();
    });
    document.addEventListener("visibilitychange", look);

    byId("charts")?.addEventListener("click", (event) => {
        const link = event.target.closest("a[data-span]");
        if (!link) return;
        event.preventDefault();
        query.set("span", link.dataset.span);
        history.replaceState(null, "", `?${query}`);
        for (const other of link.parentElement.children) other.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
        lookOnce();
    });
    byId("charts")?.addEventListener("toggle", (event) => {
        const chart = charts.get(event.target.closest("figure").id.replace("chart-", ""));
        if (chart) draw(chart);
    }, true);
    new ResizeObserver(() => charts.forEach(draw)).observe(document.body);

    for (const id of ["host-rows", "rows"]) if (byId(id)) watchHand(byId(id));

    byId("mark_all")?.addEventListener("change", (event) => {
        for (const mark of byId("rows").querySelectorAll("input")) mark.checked = event.target.checked;
    });
    byId("rows")?.addEventListener("change", markAll);
    byId("act")?.addEventListener("submit", async (event) => {
        event.preventDefault();
        const button = event.submitter;
        if (!button.name || button.getAttribute("aria-busy") === "true") return;
        button.setAttribute("aria-busy", "true");
        try {
            const answer = await fetch(here, {
                method: "POST",
                headers: { Accept: "application/json" },
                body: new URLSearchParams(new FormData(event.target, button)),
                signal: patience(),
            });
            const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
            say(isJson ? (await answer.json()).text : await answer.text(), answer.ok);
            if (answer.ok && button.value === "marked") unmark();
        } catch (error) {
            // what was asked for may be done all the same
            say(`No answer has come (${error.message}). The page shows soon whether it is done.`, false);
        }
        button.removeAttribute("aria-busy");
        lookOnce();
    });
    look();
}

function unmark() {
    for (const mark of document.querySelectorAll(".resources input")) mark.checked = false;
}

// It stands for all that are shown, also for those that have come since.
function markAll() {
    byId("mark_all").checked = byId("rows").querySelector("input:not(:checked)") === null
        && byId("rows").rows.length > 0;
}

let silence;

function say(words, isDone) {
    clearTimeout(silence);
    byId("said").className = `note lines ${isDone ? "up" : "down"}`;
    write(byId("said"), words);
    // it lies over other things, and only what has failed is worth that
    if (isDone) silence = setTimeout(() => write(byId("said"), ""), SAID);
}

start();
