// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Marks, the buttons that drain resources, and what has come of them.
import { here, lookOnce, patience } from "./looks.js";
import { byId, show, write } from "./writing.js";

const SAID = 30000; // ms, for which it is said that a button has done its work

export function watchButtons() {
    markAll();
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
}

function unmark() {
    for (const mark of document.querySelectorAll(".resources input")) mark.checked = false;
}

// It stands for all that are shown, also for those that have come since.
export function markAll() {
    const rows = byId("rows");
    show(byId("mark_all"), rows?.rows.length > 1);
    if (rows) byId("mark_all").checked = rows.rows.length > 0 && !rows.querySelector("input:not(:checked)");
}

let silence;

function say(words, isDone) {
    clearTimeout(silence);
    byId("said").className = `note lines ${isDone ? "up" : "down"}`;
    write(byId("said"), words);
    // it lies over other things, and only what has failed is worth that
    if (isDone) silence = setTimeout(() => write(byId("said"), ""), SAID);
}
