// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// How fast a counter has grown lately.

const RATE_OVER = 10000; // ms, over which rates are taken
const RATE_GAP = 60000;  // ms, between two looks: then it begins anew
const RATES = 2000;      // that are kept

const seen = new Map();

// Sums of other nodes are other counters, and another node has another clock.
export function rates(name, { node, missing, at }, counters) {
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
