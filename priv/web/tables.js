// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// The table of proxy hosts, and that of the resources of one of them.
import { makeRow, watchHand, writeRows } from "./rows.js";
import { rates } from "./rates.js";
import { NOTHING, byId, cell, show, text, whole, write, writeState } from "./writing.js";

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
    if (name === byId("detail")?.dataset.host) link.setAttribute("aria-current", "true");
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

export function writeHosts(view) {
    writeRows(byId("host-rows"), view.hosts, (host) => host.name, makeHost, fillHost);
    write(cell(document, "hosts_left"), `${view.hosts_left} more are not shown: find them by their names.`);
    show(cell(document, "hosts_left"), view.hosts_left > 0);
}

export function writeResources(detail) {
    writeRows(byId("rows"), detail.rows, (item) => item.jid, (jid) => makeRow("row", jid), (row, item) => fillRow(row, item, detail), isMarked);
    fillNumbers(byId("sums"), detail.sums, "sums", detail);
    show(byId("sums"), detail.all > 1);
}

export function watchTables() {
    for (const id of ["host-rows", "rows"]) if (byId(id)) watchHand(byId(id));
}
