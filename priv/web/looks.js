// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Looking again and again at what the server says, but not while nobody sees it.
import { byId, show, write } from "./writing.js";

const EVERY = 2000;     // ms, between two looks
const LATER = 10000;    // ms, after one that has failed
const PATIENCE = 30000; // ms, for one look: a server that hangs would look well for minutes

export const query = new URLSearchParams(location.search);
// Which one is shown by itself may change, but the page around it has been made for this one.
const made = byId("detail")?.dataset.host;
if (made) query.set("host", made);

// Without name and password: fetch refuses an address that has them, as that of a bookmark may.
export const here = location.origin + location.pathname;

export const patience = () => AbortSignal.timeout?.(PATIENCE);

let draw;
let timer;
let isPaused = false;
export let isLooking = false;
let isAskedAgain = false; // while it is looking

function look() {
    if (!isPaused && !document.hidden) lookOnce();
}

export async function lookOnce() {
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
        draw(view);
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

// Draw is given what the server says.
export function watch(drawing) {
    draw = drawing;
    byId("pause").addEventListener("click", (event) => {
        isPaused = !isPaused;
        event.target.setAttribute("aria-pressed", isPaused);
        if (isPaused) pulse("");
        else look();
    });
    document.addEventListener("visibilitychange", look);
    look();
}
