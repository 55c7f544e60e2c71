// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Pictures of text are a fifth smaller without the filters of PNG, which are made for
// photographs. For 8 bits a colour, without interlacing, as Chromium writes them.
import { deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = 8;

export function plain(png) {
    const chunks = [...chunksOf(png)];
    const head = chunks.find(({ type }) => type === "IHDR").data;
    const width = head.readUInt32BE(0);
    const size = head[9] === 6 ? 4 : 3;
    const lines = inflateSync(Buffer.concat(chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data)));
    unfilter(lines, width * size, size);
    return Buffer.concat([png.subarray(0, SIGNATURE), chunk("IHDR", head),
        chunk("IDAT", deflateSync(lines, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

function* chunksOf(png) {
    for (let at = SIGNATURE; at < png.length;) {
        const length = png.readUInt32BE(at);
        yield { type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) };
        at += length + 12;
    }
}

// (Node 18 has none.)
function crc32(octets) {
    let crc = ~0;
    for (const octet of octets) {
        crc ^= octet;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const frame = Buffer.alloc(8 + body.length);
    frame.writeUInt32BE(data.length, 0);
    body.copy(frame, 4);
    frame.writeUInt32BE(crc32(body), 4 + body.length);
    return frame;
}

// What each filter adds to an octet: from the left, from above, from both.
const FILTERS = [
    () => 0,
    (left) => left,
    (left, up) => up,
    (left, up) => (left + up) >> 1,
    (left, up, corner) => {
        const [a, b, c] = [left, up, corner].map((n) => Math.abs(left + up - corner - n));
        return a <= b && a <= c ? left : b <= c ? up : corner;
    },
];

function unfilter(lines, width, size) {
    const at = (line, x) => (line < 0 || x < 0 ? 0 : lines[line * (width + 1) + 1 + x]);
    for (let line = 0; line * (width + 1) < lines.length; line++) {
        const added = FILTERS[lines[line * (width + 1)]];
        for (let x = 0; x < width; x++) {
            lines[line * (width + 1) + 1 + x] += added(at(line, x - size), at(line - 1, x), at(line - 1, x - size));
        }
        lines[line * (width + 1)] = 0;
    }
}
