/*
 * Many requests through a proxy host while its endpoints come and go.
 *
 *     storm port=5222 proxy=P target=svc@host requester=load@host
 *           [host=127.0.0.1] [password=secret] [requesters=8] [endpoints=8]
 *           [requests=100000] [window=16] [churn=50] [keep=2] [limit=300]
 *
 * Each requester (resources r0, r1, ... of one account) has up to `window` gets
 * and sets open. Every `churn` ms the next endpoint (resources e0, e1, ... of
 * the target) logs out, drops its connection or comes back; at least `keep`
 * stay. Prints one line of JSON and ends after `limit` seconds at the latest,
 * with 0 if each request got one answer, its own, from the address it went to.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <strophe.h>

#define NS_STORM "urn:example:storm"
#define NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"
#define MAX_CLIENTS 256
#define MAX_CONDITIONS 32
#define QUIET_MS 1000 /* how long to listen for second answers at the end */

static struct {
    const char *host, *proxy, *target, *requester, *password;
    long port, requesters, endpoints, requests, window, churn, keep, limit;
} option = {
    .host = "127.0.0.1",
    .password = "secret",
    .requesters = 8,
    .endpoints = 8,
    .requests = 100000,
    .window = 16,
    .churn = 50,
    .keep = 2,
    .limit = 300,
};

struct client {
    enum { OFFLINE, COMING, ONLINE, LEAVING, GONE } state;
    bool requester;
    char jid[1024];
    xmpp_conn_t *conn;
    int wire;
    long open;   /* requester: requests without an answer */
    long served; /* endpoint: requests answered, over all its sessions */
};

static struct client clients[MAX_CLIENTS];
static size_t client_count;
static xmpp_ctx_t *ctx;

static char *request_state; /* UNSENT, or what has become of each */
enum { UNSENT, OPEN, ANSWERED };

static long sent, answered, results, doubles, wrong, comings, goings;
static struct {
    char name[64];
    long count;
} conditions[MAX_CONDITIONS];

static long now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2), noreturn)) static void
die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("storm: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static const char *attribute(xmpp_stanza_t *stanza, const char *name)
{
    const char *value = xmpp_stanza_get_attribute(stanza, name);

    return value ? value : "";
}

static void count_condition(xmpp_stanza_t *iq)
{
    xmpp_stanza_t *error = xmpp_stanza_get_child_by_name(iq, "error");
    xmpp_stanza_t *child = error ? xmpp_stanza_get_children(error) : NULL;
    const char *name = "none";
    size_t i;

    for (; child; child = xmpp_stanza_get_next(child)) {
        const char *ns = xmpp_stanza_get_ns(child);

        if (ns && strcmp(ns, NS_STANZAS) == 0 &&
            strcmp(xmpp_stanza_get_name(child), "text") != 0)
            name = xmpp_stanza_get_name(child);
    }
    for (i = 0; i < MAX_CONDITIONS - 1; i++)
        if (!conditions[i].count || strcmp(conditions[i].name, name) == 0)
            break;
    snprintf(conditions[i].name, sizeof conditions[i].name, "%s", name);
    conditions[i].count++;
}

/* A requester's request n is its own if n modulo requesters says so. */
static void on_answer(struct client *client, xmpp_stanza_t *iq)
{
    bool result = strcmp(attribute(iq, "type"), "result") == 0;
    char *end;
    long n = strtol(attribute(iq, "id"), &end, 10);
    xmpp_stanza_t *work = xmpp_stanza_get_child_by_ns(iq, NS_STORM);

    if (end == attribute(iq, "id") || *end || n < 0 || n >= sent ||
        client != &clients[n % option.requesters] ||
        strcmp(attribute(iq, "from"), option.proxy) != 0 ||
        (result && (!work || strtol(attribute(work, "n"), NULL, 10) != n))) {
        wrong++;
    } else if (request_state[n] == ANSWERED) {
        doubles++;
    } else {
        request_state[n] = ANSWERED;
        answered++;
        client->open--;
        if (result)
            results++;
        else
            count_condition(iq);
    }
}

static void serve(struct client *client, xmpp_stanza_t *iq)
{
    xmpp_stanza_t *work = xmpp_stanza_get_child_by_ns(iq, NS_STORM);
    xmpp_stanza_t *reply = xmpp_stanza_reply(iq);

    xmpp_stanza_set_type(reply, "result");
    if (work) {
        xmpp_stanza_add_child(reply, work);
        client->served++;
    }
    xmpp_send(client->conn, reply);
    xmpp_stanza_release(reply);
}

static int on_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
    struct client *client = userdata;
    const char *type = attribute(stanza, "type");

    (void)conn;
    if (strcmp(xmpp_stanza_get_name(stanza), "presence") == 0) {
        /* Our own presence comes back to us: now everybody knows of it. */
        if (client->state == COMING &&
            strcmp(attribute(stanza, "from"), client->jid) == 0)
            client->state = ONLINE;
    } else if (strcmp(xmpp_stanza_get_name(stanza), "iq") != 0) {
        return 1;
    } else if (strcmp(type, "get") == 0 || strcmp(type, "set") == 0) {
        if (!client->requester)
            serve(client, stanza);
    } else if (client->requester &&
               strcmp(attribute(stanza, "id"), "_xmpp_bind1") != 0) {
        on_answer(client, stanza);
    }
    return 1;
}

static void on_event(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                     xmpp_stream_error_t *stream_error, void *userdata)
{
    struct client *client = userdata;

    (void)error;
    (void)stream_error;
    if (event == XMPP_CONN_CONNECT) {
        xmpp_handler_add(conn, on_stanza, NULL, NULL, NULL, client);
        xmpp_send_raw_string(conn, "<presence/>");
    } else {
        if (client->requester && client->state != LEAVING)
            die("%s was disconnected", client->jid);
        client->state = GONE; /* released in the main loop, not in here */
    }
}

/* cppcheck-suppress constParameter ; libstrophe's prototype */
static int on_socket(xmpp_conn_t *conn, void *socket)
{
    for (size_t i = 0; i < client_count; i++)
        if (clients[i].conn == conn)
            clients[i].wire = *(int *)socket;
    return 0;
}

static void come(struct client *client)
{
    client->state = COMING;
    client->conn = xmpp_conn_new(ctx);
    xmpp_conn_set_flags(client->conn,
                        XMPP_CONN_FLAG_DISABLE_TLS | XMPP_CONN_FLAG_DISABLE_SM);
    xmpp_conn_set_jid(client->conn, client->jid);
    xmpp_conn_set_pass(client->conn, option.password);
    xmpp_conn_set_sockopt_callback(client->conn, on_socket);
    if (xmpp_connect_client(client->conn, option.host,
                            (unsigned short)option.port, on_event,
                            client) != XMPP_EOK)
        die("cannot connect %s", client->jid);
    comings++;
}

static void leave(struct client *client, bool politely)
{
    client->state = LEAVING;
    if (politely) {
        xmpp_send_raw_string(client->conn, "<presence type='unavailable'/>");
        xmpp_disconnect(client->conn);
    } else {
        shutdown(client->wire, SHUT_RDWR);
    }
    goings++;
}

static void release_the_gone(void)
{
    for (size_t i = 0; i < client_count; i++) {
        if (clients[i].state == GONE) {
            xmpp_conn_release(clients[i].conn);
            clients[i].conn = NULL;
            clients[i].state = OFFLINE;
        }
    }
}

static long count_online(bool requester)
{
    long count = 0;

    for (size_t i = 0; i < client_count; i++)
        count +=
            clients[i].requester == requester && clients[i].state == ONLINE;
    return count;
}

/* One endpoint changes sides: the next one that is not about to already. */
static void churn(void)
{
    static long turn;

    for (long tries = 0; tries < option.endpoints; tries++, turn++) {
        struct client *client =
            &clients[option.requesters + turn % option.endpoints];
        bool politely = turn / option.endpoints / 2 % 2 == 0;

        if (client->state == OFFLINE)
            come(client);
        else if (client->state == ONLINE && count_online(false) > option.keep)
            leave(client, politely);
        else
            continue;
        turn++;
        return;
    }
}

static void send_requests(void)
{
    while (sent < option.requests) {
        struct client *client = &clients[sent % option.requesters];

        if (client->open >= option.window)
            break;
        xmpp_send_raw_string(client->conn,
                             "<iq type='%s' id='%ld' to='%s'>"
                             "<work xmlns='" NS_STORM "' n='%ld'/></iq>",
                             sent % 4 == 3 ? "set" : "get", sent, option.proxy,
                             sent);
        request_state[sent++] = OPEN;
        client->open++;
    }
}

static void add_clients(const char *account, char letter, long count)
{
    for (long i = 0; i < count; i++) {
        struct client *client = &clients[client_count++];

        client->requester = letter == 'r';
        snprintf(client->jid, sizeof client->jid, "%s/%c%ld", account, letter,
                 i);
        come(client);
    }
}

static void print_report(double seconds)
{
    long kinds = 0;

    printf("{\"requests\":%ld,\"results\":%ld,\"errors\":{", sent, results);
    for (; kinds < MAX_CONDITIONS && conditions[kinds].count; kinds++)
        printf("%s\"%s\":%ld", kinds ? "," : "", conditions[kinds].name,
               conditions[kinds].count);
    printf("},\"doubles\":%ld,\"unanswered\":%ld,\"wrong\":%ld,"
           "\"comings\":%ld,\"goings\":%ld,\"seconds\":%.1f,\"spread\":{",
           doubles, option.requests - answered, wrong, comings, goings,
           seconds);
    for (long i = 0; i < option.endpoints; i++)
        printf("%s\"e%ld\":%ld", i ? "," : "", i,
               clients[option.requesters + i].served);
    puts("}}");
}

static bool set_option(const char *name, size_t length, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        long *number;
    } known[] = {
        {"host", &option.host, NULL},
        {"proxy", &option.proxy, NULL},
        {"target", &option.target, NULL},
        {"requester", &option.requester, NULL},
        {"password", &option.password, NULL},
        {"port", NULL, &option.port},
        {"requesters", NULL, &option.requesters},
        {"endpoints", NULL, &option.endpoints},
        {"requests", NULL, &option.requests},
        {"window", NULL, &option.window},
        {"churn", NULL, &option.churn},
        {"keep", NULL, &option.keep},
        {"limit", NULL, &option.limit},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(known[i].name, name, length) != 0 || known[i].name[length])
            continue;
        if (known[i].text)
            *known[i].text = value;
        else
            *known[i].number = atol(value);
        return true;
    }
    return false;
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = strchr(argv[i], '=');

        if (!value ||
            !set_option(argv[i], (size_t)(value - argv[i]), value + 1))
            die("what is %s?", argv[i]);
    }
    if (!option.proxy || !option.target || !option.requester || !option.port)
        die("proxy, target, requester and port are needed");
    if (option.requesters < 1 || option.endpoints < 1 || option.requests < 1 ||
        option.requesters + option.endpoints > MAX_CLIENTS)
        die("1 to %d clients, please", MAX_CLIENTS);
}

int main(int argc, char **argv)
{
    long started, finished = 0, next_churn, now;

    read_options(argc, argv);
    request_state = calloc((size_t)option.requests, 1);
    if (!request_state)
        die("no memory");
    signal(SIGPIPE, SIG_IGN); /* libstrophe writes to connections we cut */
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, NULL);
    add_clients(option.requester, 'r', option.requesters);
    add_clients(option.target, 'e', option.endpoints);

    started = now_ms();
    while (count_online(true) < option.requesters ||
           count_online(false) < option.endpoints) {
        if (now_ms() - started > 30000)
            die("not all came online");
        xmpp_run_once(ctx, 5);
    }

    started = now = now_ms();
    next_churn = started + option.churn;
    while (now - started < option.limit * 1000) {
        if (option.churn && !finished && now >= next_churn) {
            churn();
            next_churn += option.churn;
        }
        send_requests();
        xmpp_run_once(ctx, 1);
        release_the_gone();
        now = now_ms();
        if (answered == option.requests && !finished)
            finished = now;
        if (finished && now - finished > QUIET_MS)
            break;
    }
    print_report((double)((finished ? finished : now) - started) / 1000);
    return doubles || wrong || answered < option.requests;
}
