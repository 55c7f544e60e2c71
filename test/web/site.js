// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// What is behind proxy.example.org while somebody looks: three services that differ,
// one of which lets a request time out at times, and requests that come and go.
import { requester, service } from "./clients.js";

const wobble = (ms) => ms * (0.6 + 0.8 * Math.random()) * (Math.random() < 0.02 ? 6 : 1);

// rate: requests a second.
export async function busy(port, rate) {
    const site = { hangs: false };
    const services = {
        kitchen: () => wobble(12),
        cellar: () => wobble(20),
        attic: () => (site.hangs || Math.random() < 0.01 ? null : wobble(45)),
    };
    const users = ["romeo", "juliet", "tybalt", "stranger"];
    const waves = (t) => rate / users.length * (1 + 0.35 * Math.sin(t / 7) + 0.2 * Math.sin(t / 2.3));
    const clients = await Promise.all([
        ...Object.entries(services).map(([name, takes]) => service(port, `svc@example.org/${name}`, "secret", takes)),
        ...users.map((user) => requester(port, `${user}@example.org/garden`, "secret", "proxy.example.org", waves)),
    ]);
    site.close = () => clients.forEach((client) => client.close());
    return site;
}
