// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// What is behind proxy.example.org while somebody looks: three services that differ,
// one of which lets requests time out, and requests that come and go.
import { requester, service } from "./clients.js";

const password = "secret";
const wobble = (ms) => ms * (0.6 + 0.8 * Math.random()) * (Math.random() < 0.02 ? 6 : 1);

export async function busy(port, rate) {
    const names = ["ares/kitchen", "ares/cellar", "ares/attic"].map((n) => n.split("/")[1]);
    const takes = [() => wobble(12), () => wobble(20), () => (Math.random() < 0.01 ? null : wobble(45))];
    const clients = await Promise.all([
        ...names.map((name, i) => service(port, `svc@example.org/${name}`, password, takes[i])),
        ...["romeo", "juliet"].map((user) => requester(port, `${user}@example.org/garden`, password, "proxy.example.org",
            (t) => rate / 2 * (1 + 0.35 * Math.sin(t / 7) + 0.2 * Math.sin(t / 2.3)))),
    ]);
    return { close: () => clients.forEach((client) => client.close()) };
}
