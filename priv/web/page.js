// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Keeps the page up to date and draws its charts. The page is whole without it: here
// texts are written into elements that the server has made. Others have chosen the
// names, so nothing is ever parsed as HTML.
import { markAll, watchButtons } from "./buttons.js";
import { drawCharts, watchCharts } from "./charts.js";
import { lookOnce, query, watch } from "./looks.js";
import { watchTables, writeHosts, writeResources } from "./tables.js";
import { byId, cell, show, whole, write, writeState } from "./writing.js";

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
    writeResources(detail);
    show(document.querySelector(".marked"), detail.rows.length > 0);
    markAll();
    byId("act").elements.token.value = token;
    drawCharts(detail.history, detail.limit);
}

function watchSpans() {
    byId("charts")?.addEventListener("click", (event) => {
        const link = event.target.closest("a[data-span]");
        if (!link) return;
        event.preventDefault();
        query.set("span", link.dataset.span);
        byId("find_form").elements.span.value = link.dataset.span;
        history.replaceState(null, "", `?${query}`);
        for (const other of link.parentElement.children) other.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
        lookOnce();
    });
}

watchTables();
watchCharts();
watchButtons();
watchSpans();
watch((view) => {
    for (const [id, isShown] of Object.entries(view.shown)) show(byId(id), isShown);
    writeHosts(view);
    writeDetail(view);
});
