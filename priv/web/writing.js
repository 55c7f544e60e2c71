// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Numbers for people, and texts that are written into the page. Nothing is ever parsed as
// HTML, since others have chosen the names.

export const byId = (id) => document.getElementById(id);

export const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });

export const NOTHING = "–";
export const text = {
    number: (n) => (n === null ? NOTHING : short.format(n)),
    ms: (n) => (n === null ? NOTHING : n < 1000 ? `${short.format(n)} ms` : `${short.format(n / 1000)} s`),
    percent: (n) => (n === null ? NOTHING : `${n > 0 && n < 10 ? n.toFixed(1) : Math.round(n)} %`),
    clock: (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB"),
};

// What has not changed is not written: a screen reader would read it again.
export function write(element, value) {
    const string = String(value);
    if (element.textContent !== string) element.textContent = string;
}

export function cell(root, name) {
    return root.querySelector(`[data-cell="${name}"]`);
}

export function show(element, isShown) {
    if (element) element.hidden = !isShown;
}

export function writeState(element, word, state) {
    element.className = `state ${word}`;
    write(element, state);
}
