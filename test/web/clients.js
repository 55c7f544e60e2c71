// SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
//
// Clients that keep a proxy host busy: enough XMPP for that, and no library.
import { connect } from "node:net";

// Logs in, and gives each IQ stanza to onIq (kind, id, from, send).
export function login(port, jid, password, onIq) {
    const [bare, resource] = jid.split("/");
    const [user, host] = bare.split("@");
    const socket = connect(port, "127.0.0.1");
    const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='${host}'>`;
    const send = (xml) => socket.writable && socket.write(xml);
    let buffer = "";
    return new Promise((resolve, reject) => {
        const steps = [
            [/<\/stream:features>/, () => send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${btoa(`\0${user}\0${password}`)}</auth>`)],
            [/<success[^>]*>/, () => send(header)],
            [/<\/stream:features>/, () => send(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`)],
            [/<\/bind><\/iq>/, () => { send("<presence/>"); resolve({ send, close: () => socket.end("</stream:stream>") }); }],
        ];
        socket.setEncoding("utf8");
        socket.on("error", reject);
        socket.on("connect", () => send(header));
        socket.on("data", (data) => {
            buffer += data;
            while (steps.length && steps[0][0].test(buffer)) {
                buffer = buffer.replace(new RegExp(`[^]*?${steps[0][0].source}`), "");
                steps.shift()[1]();
            }
            if (steps.length) return;
            const last = buffer.lastIndexOf(">") + 1;
            for (const [tag] of buffer.slice(0, last).matchAll(/<iq [^>]*>/g)) {
                const of = (name) => tag.match(new RegExp(`\\b${name}=['"]([^'"]*)`))?.[1];
                onIq(of("type"), of("id"), of("from"), send);
            }
            buffer = buffer.slice(last);
        });
    });
}

// Answers after as many ms as `takes` says; null: never.
export function service(port, jid, password, takes) {
    return login(port, jid, password, (type, id, from, send) => {
        const ms = takes();
        if (type === "get" && ms !== null) setTimeout(() => send(`<iq type='result' id='${id}' to='${from}'/>`), ms);
    });
}

// Asks so many times a second: perSecond is called with the seconds since the start.
export async function requester(port, jid, password, to, perSecond) {
    const client = await login(port, jid, password, () => {});
    const began = Date.now();
    let n = 0, due = 0, last = began;
    const timer = setInterval(() => {
        const now = Date.now();
        due += perSecond((now - began) / 1000) * (now - last) / 1000;
        last = now;
        for (; due >= 1; due--) client.send(`<iq type='get' id='r${n++}' to='${to}'><q xmlns='urn:example:test'/></iq>`);
    }, 50);
    return { close: () => { clearInterval(timer); client.close(); } };
}
