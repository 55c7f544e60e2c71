// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// The charts, as SVG: drawn from what the page holds, then at each look, and when the pointer
// moves over them.
import { NOTHING, byId, show, text, whole } from "./writing.js";

const LIMIT_NEAR = 5;  // times what is there: then a limit is on the chart
const TABLE_ROWS = 12; // of the numbers below a chart

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
const pointed = new Map(); // chart → pixels from its left, where the pointer is

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
    const at = pointed.has(chart.id)
        ? until - chart.span * (1 - (pointed.get(chart.id) - MARGIN.left) / (width - MARGIN.left - MARGIN.right))
        : undefined;
    const i = at === undefined ? points.length - 1 : nearest(points, at);
    if (at !== undefined && points.length) {
        picture.append(svg("line", { class: "grid", x1: x(points[i].at), x2: x(points[i].at), y1: MARGIN.top, y2: height - MARGIN.bottom }));
    }
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
export function drawCharts({ span, step, errors, names, points: rows }, limit) {
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

// The plot stays where it is when its picture is drawn anew.
function watchPlot(figure) {
    const plot = figure.querySelector(".plot");
    const again = () => { if (charts.has(idOf(figure))) draw(charts.get(idOf(figure))); };
    plot.addEventListener("pointermove", (event) => {
        pointed.set(idOf(figure), event.clientX - plot.getBoundingClientRect().left);
        again();
    });
    plot.addEventListener("pointerleave", () => { pointed.delete(idOf(figure)); again(); });
    figure.querySelector("details").addEventListener("toggle", again);
}

const idOf = (figure) => figure.id.replace("chart-", "");

export function watchCharts() {
    const section = byId("charts");
    if (!section) return;
    const { history, limit } = JSON.parse(section.dataset.first);
    show(section, true);
    drawCharts(history, limit);
    document.querySelectorAll("figure").forEach(watchPlot);
    new ResizeObserver(() => charts.forEach((chart) => draw(chart))).observe(document.body);
}
