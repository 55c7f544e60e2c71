/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Clients: how they log in, leave and come back. Those of option `domain` share
 * one component (XEP-0114), the others have a connection each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "storm.h"

#define GOODBYE_MS 500
/* libstrophe listens so long, at the least, after it has said good-bye. */
#define LISTENS_MS 1500
#define PATIENCE_MS 10000
#define HANGS_MS 15000 /* so long at least, and at most three times that */

struct client clients[MAX_CLIENTS];
long client_count;
long comings, goings, naps, moods, hangs;
long losses[MAX_SERVERS];

static xmpp_ctx_t *ctx;
static struct {
    xmpp_conn_t *conn;
    bool online;
} component;

static bool is_remote(const struct client *client)
{
    return *client->from;
}

/* Who there is */

long count_online(bool requester)
{
    long count = 0;

    for (long i = 0; i < client_count; i++)
        count += clients[i].requester == requester &&
                 clients[i].state == ONLINE && !clients[i].bystander;
    return count;
}

struct client *someone(bool requester, const struct client *other)
{
    long first = chance(client_count);

    for (long i = 0; i < client_count; i++) {
        struct client *client = &clients[(first + i) % client_count];

        if (client != other && client->requester == requester &&
            client->state == ONLINE && !client->bystander)
            return client;
    }
    return NULL;
}

void see(struct client *client, const char *address)
{
    long place = client->seen_count++ % MAX_SEEN;

    free(client->seen[place]);
    client->seen[place] = strdup(address);
}

const char *seen(const struct client *client)
{
    long count = client->seen_count < MAX_SEEN ? client->seen_count : MAX_SEEN;

    return count ? client->seen[chance(count)] : NULL;
}

void say(struct client *client, const char *name, const char *rest)
{
    const char *stanza = text("<%s%s %s", name, client->from, rest);

    xmpp_send_raw(is_remote(client) ? component.conn : client->conn, stanza,
                  strlen(stanza));
}

/* Coming */

static int on_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    struct client *client = userdata;

    if (is(attribute(stanza, "id"), "_xmpp_bind1")) {
        /* The answer to resource binding comes by. Who has one instead of his
         * old session has lost what was on its way to that. */
        if (client->state == ONLINE) {
            ledger_abandon(client);
            client->state = COMING;
        }
        return 1;
    }
    /* Of what goes out before this, libstrophe does not know that the server
     * counts it (see came_online). */
    if (is(xmpp_stanza_get_name(stanza), "enabled"))
        xmpp_send_raw_string(conn, "<presence/>");
    /* Our own presence comes back to us: now everybody knows of it. */
    if (client->state == COMING &&
        is(xmpp_stanza_get_name(stanza), "presence") &&
        is(attribute(stanza, "from"), client->jid)) {
        client->state = ONLINE;
        talk_moved(client, false);
    }
    traffic_stanza(client, stanza);
    return 1;
}

/* To libstrophe 0.12 this is when it has a resource, and what follows comes by
 * in on_stanza. To later ones it is when stream management works (XEP-0198),
 * and they do not show whether an old session was resumed: so it may have lost
 * what was on its way. */
static void came_online(struct client *client)
{
    bool late = !xmpp_version_check(0, 12);

    xmpp_handler_add(client->conn, on_stanza, NULL, NULL, NULL, client);
    if (client->state == WAKING && late)
        ledger_abandon(client);
    if (client->state == WAKING) {
        client->state = late ? COMING : ONLINE;
        talk_moved(client, false);
    }
    if (client->state == COMING && (late || !client->resumable))
        xmpp_send_raw_string(client->conn, "<presence/>");
}

/* It is released in clients_run, not in here. */
static void lost(struct client *client)
{
    if (client->state == ONLINE)
        losses[client->server]++;
    if (option.returns && client->state != LEAVING)
        client->wake = now_ms() + option.returns;
    client->state = client->state == NAPPING ? ASLEEP : GONE;
}

static void on_event(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                     xmpp_stream_error_t *stream_error, void *userdata)
{
    struct client *client = userdata;

    (void)conn;
    if (event == XMPP_CONN_CONNECT) {
        came_online(client);
        return;
    }
    /* An endpoint may have been replaced: two of them can have one JID. */
    if (client->requester && !option.returns &&
        (client->state == COMING || client->state == ONLINE))
        die("%s was disconnected (error %d, stream error %d)", client->jid,
            error, stream_error ? (int)stream_error->type : -1);
    lost(client);
}

/* cppcheck-suppress constParameter ; libstrophe's prototype */
static int on_socket(xmpp_conn_t *conn, void *socket)
{
    for (long i = 0; i < client_count; i++)
        if (clients[i].conn == conn)
            clients[i].wire = *(int *)socket;
    return 0;
}

long server_count(void)
{
    long count = 1;

    for (const char *p = option.port; *p; p++)
        count += *p == ',';
    return count;
}

static unsigned short port_of(long server)
{
    const char *p = option.port;

    while (server-- > 0)
        p = strchr(p, ',') + 1;
    return (unsigned short)strtol(p, NULL, 10);
}

/* nap: what it was in (XEP-0198), or NULL. */
static void log_in(struct client *client, xmpp_sm_state_t *nap)
{
    unsigned long flags = XMPP_CONN_FLAG_DISABLE_TLS;

    client->conn = xmpp_conn_new(ctx);
    client->resumable = nap || (option.wild && !client->requester &&
                                !client->bystander && chance(3) == 0);
    if (!client->resumable)
        flags |= XMPP_CONN_FLAG_DISABLE_SM;
    xmpp_conn_set_flags(client->conn, (long)flags);
    if (nap)
        xmpp_conn_set_sm_state(client->conn, nap);
    xmpp_conn_set_jid(client->conn, client->jid);
    xmpp_conn_set_pass(client->conn, option.password);
    xmpp_conn_set_sockopt_callback(client->conn, on_socket);
    if (xmpp_connect_client(client->conn, option.host, port_of(client->server),
                            on_event, client) != XMPP_EOK) {
        if (!option.returns)
            die("cannot connect %s", client->jid);
        lost(client);
    }
}

static void come(struct client *client)
{
    client->withdrawn = false;
    client->left = 0;
    client->hangs = 0;
    comings++;
    talk_moved(client, false);
    if (is_remote(client)) {
        client->state = ONLINE;
        say_presence(client, NULL);
    } else {
        client->state = COMING;
        log_in(client, NULL);
    }
}

/* Leaving */

static void leave(struct client *client, bool politely)
{
    client->state = LEAVING;
    client->left = now_ms();
    goings++;
    talk_moved(client, !politely);
    if (is_remote(client)) {
        say_presence(client, "unavailable");
        client->state = GONE;
    } else if (politely) {
        xmpp_send_raw_string(client->conn, "<presence type='unavailable'/>");
        xmpp_disconnect(client->conn);
    } else {
        shutdown(client->wire, SHUT_RDWR);
    }
}

/* XEP-0198: it will resume. libstrophe and ejabberd do not always agree about
 * what has been handled, so some of what it has said comes twice after a nap,
 * or gets lost. */
static void nap(struct client *client)
{
    client->state = NAPPING;
    client->wake = now_ms() + 50 + chance(1000);
    naps++;
    talk_moved(client, false);
    shutdown(client->wire, SHUT_RDWR);
}

static void release(struct client *client)
{
    if (client->conn)
        xmpp_conn_release(client->conn);
    client->conn = NULL;
}

/* What the clients do by themselves. */
static void go_on(struct client *client)
{
    if (client->state == GONE) {
        talk_moved(client,
                   client->left && now_ms() - client->left > LISTENS_MS);
        ledger_abandon(client);
        talk_abandon(client);
        talk_sees_nobody(client);
        release(client);
        client->state = OFFLINE;
    } else if (client->state == OFFLINE && option.returns && client->wake &&
               now_ms() >= client->wake) {
        client->wake = 0;
        come(client);
    } else if (client->state == ASLEEP && now_ms() >= client->wake) {
        xmpp_sm_state_t *state = xmpp_conn_get_sm_state(client->conn);

        release(client);
        client->state = WAKING;
        log_in(client, state);
    }
}

/* Of the requesters every fourth comes and goes, the others stay to the end. */
static bool is_steady(const struct client *client)
{
    return client->requester && (client - clients) % 4 != 0;
}

void churn(bool requester)
{
    static long turns[2] = {0, 0};
    long first = requester ? 0 : option.requesters;
    long count = requester ? option.requesters : option.endpoints;

    for (long tries = 0; tries < count; tries++) {
        long turn = turns[requester]++;
        struct client *client = &clients[first + turn % count];

        if (is_steady(client))
            continue;
        if (client->state == OFFLINE)
            come(client);
        else if (client->state != ONLINE)
            continue;
        else if (option.wild && !requester && chance(2) == 0)
            change_mood(client);
        else if (client->resumable && chance(2) == 0)
            nap(client);
        else if (count_online(requester) > option.keep)
            leave(client, option.polite || turn / count / 2 % 2 == 0);
        else
            continue;
        return;
    }
}

/* Neither pings nor requests. A session of its own that comes later is well. */
void hang(void)
{
    struct client *client = someone(false, NULL);

    if (!client)
        return;
    client->hangs = now_ms() + HANGS_MS + chance(2L * HANGS_MS);
    hangs++;
}

/* The component: the server of a remote target and of remote requesters */

static struct client *find(const char *jid)
{
    for (long i = 0; i < client_count; i++)
        if (is_remote(&clients[i]) && is(clients[i].jid, jid))
            return &clients[i];
    return NULL;
}

void say_presence(struct client *client, const char *type)
{
    if (!client->requester)
        say(client, "presence",
            type ? text("to='%s' type='%s'/>", option.proxy, type)
                 : text("to='%s'/>", option.proxy));
}

static void on_remote_presence(const char *type)
{
    if (is(type, "subscribe")) {
        const char *answer =
            text("<presence type='subscribed' from='%s' to='%s'/>",
                 escaped(option.target), option.proxy);

        xmpp_send_raw(component.conn, answer, strlen(answer));
    } else if (is(type, "probe")) {
        for (long i = 0; i < client_count; i++)
            if (is_remote(&clients[i]) && clients[i].state == ONLINE &&
                !clients[i].withdrawn)
                say_presence(&clients[i], NULL);
    }
}

static int on_remote_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza,
                            void *userdata)
{
    const char *to = attribute(stanza, "to");
    struct client *client = find(to);

    (void)conn;
    (void)userdata;
    if (client)
        traffic_stanza(client, stanza);
    else if (is(to, option.target) &&
             is(xmpp_stanza_get_name(stanza), "presence"))
        on_remote_presence(attribute(stanza, "type"));
    return 1;
}

static void on_component_event(xmpp_conn_t *conn, xmpp_conn_event_t event,
                               int error, xmpp_stream_error_t *stream_error,
                               void *userdata)
{
    (void)userdata;
    component.online = event == XMPP_CONN_CONNECT;
    if (component.online)
        xmpp_handler_add(conn, on_remote_stanza, NULL, NULL, NULL, NULL);
    else if (client_count > 0)
        die("the component was disconnected (error %d, stream error %d: %s)",
            error, stream_error ? (int)stream_error->type : -1,
            stream_error && stream_error->text ? stream_error->text : "");
}

static void start_component(void)
{
    component.conn = xmpp_conn_new(ctx);
    xmpp_conn_set_jid(component.conn, option.domain);
    xmpp_conn_set_pass(component.conn, "component");
    /* libstrophe 0.12 forgets to make a state of XEP-0198 for components, and
     * looks into it: let it make one on a way that leads nowhere. */
    xmpp_connect_client(component.conn, "", 1, on_component_event, NULL);
    if (xmpp_connect_component(component.conn, option.host,
                               (unsigned short)option.component,
                               on_component_event, NULL) != XMPP_EOK)
        die("cannot connect %s", option.domain);
    while (!component.online)
        xmpp_run_once(ctx, 5);
}

/* All of them */

/* Resources of every kind: such as a proxy host shows as they are, such as it
 * has to seal, such as have to be escaped, and one too long even to be sealed.
 */
static const char *resource(char letter, long i)
{
    if (letter == 'r' && option.wild) {
        switch (i % 8) {
        case 3:
            return text("\xd7\x90%ld\xd7\x91", i); /* right to left */
        case 4:
            return text("it's <%ld> & \"\xc3\xa4\"", i);
        case 5:
            return text("%0700ld", i);
        case 6:
            return text("%01023ld", i);
        default:
            break;
        }
    }
    return text("%c%ld", letter, i);
}

static void add_client(const char *account, size_t length, char letter, long i)
{
    struct client *client = &clients[client_count++];
    const char *jid = text("%.*s/%s", (int)length, account,
                           letter == 'b' ? "bystander" : resource(letter, i));
    const char *domain = memchr(account, '@', length);
    bool remote =
        option.domain && domain &&
        length - (size_t)(domain + 1 - account) == strlen(option.domain) &&
        strncmp(domain + 1, option.domain, strlen(option.domain)) == 0;

    client->server = i % server_count();
    client->requester = letter == 'r';
    client->bystander = letter == 'b';
    client->jid = strdup(jid);
    client->from = strdup(remote ? text(" from='%s'", escaped(jid)) : "");
    come(client);
}

/* accounts: bare JIDs with commas between them; each gets its share. */
static void add_clients(const char *accounts, char letter, long count,
                        long names)
{
    const char *account = accounts;

    for (long i = 0; i < count; i++) {
        size_t length = strcspn(account, ",");

        add_client(account, length, letter, i % names);
        account = account[length] ? account + length + 1 : accounts;
    }
}

void clients_start(void)
{
    /* In the wild some endpoints come with the resource of another one. */
    long names = option.wild && !option.domain && option.endpoints > 4
                     ? option.endpoints - 2
                     : option.endpoints;

    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, NULL);
    if (option.domain)
        start_component();
    add_clients(option.requester, 'r', option.requesters, option.requesters);
    add_clients(option.target, 'e', option.endpoints, names);
    add_clients(option.target, 'b', option.bystander, 1);
}

struct client *clients_coming(void)
{
    for (long i = 0; i < client_count; i++)
        if (clients[i].state == COMING)
            return &clients[i];
    return NULL;
}

void clients_run(void)
{
    xmpp_run_once(ctx, 1);
    for (long i = 0; i < client_count; i++)
        go_on(&clients[i]);
}

static bool all_offline(bool requester)
{
    for (long i = 0; i < client_count; i++)
        if (clients[i].requester == requester && !clients[i].bystander &&
            clients[i].state != OFFLINE)
            return false;
    return true;
}

static void stop(bool requester, long patience)
{
    long until = now_ms() + patience;

    while (now_ms() < until && !all_offline(requester)) {
        for (long i = 0; i < client_count; i++)
            if (clients[i].requester == requester &&
                clients[i].state == ONLINE && !clients[i].bystander)
                leave(&clients[i], true);
        clients_run();
    }
}

/* Those that nap have to wake first. A server that is busy takes presence back
 * late. */
void endpoints_stop(void)
{
    long stopped;

    stop(false, PATIENCE_MS);
    stopped = now_ms();
    while (now_ms() < stopped + GOODBYE_MS ||
           (talk_shows_somebody() && now_ms() < stopped + PATIENCE_MS))
        clients_run();
}

void clients_stop(void)
{
    stop(true, GOODBYE_MS);
}
