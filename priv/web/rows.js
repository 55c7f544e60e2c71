// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// The rows of a table that the page writes again at each look.
import { byId } from "./writing.js";

const HAND = 30000; // ms, for which a pointer that rests may be about to click

// Rows have keys. One that stays stays the same element, so the focus is not lost.
// What is not there any more goes first, or those behind it would have to move.
export function writeRows(body, items, keyOf, make, fill, stays = () => false) {
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

export function watchHand(body) {
    body.addEventListener("pointermove", () => hands.set(body, performance.now()));
    body.addEventListener("pointerleave", () => hands.delete(body));
}

function isUnderHand(body) {
    return performance.now() < hands.get(body) + HAND;
}

export function makeRow(template, key) {
    const row = byId(template).content.firstElementChild.cloneNode(true);
    row.dataset.key = key;
    return row;
}
