/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * Requests and their answers between clients of one process, by way of several
 * addresses in turn, and what each costs the server. They are iqs, or messages:
 * then a message that somebody writes back is the answer.
 *
 *     load servers=SERVER[,SERVER] ways=WAY[,WAY...]
 *          [requesters=8] [accounts=1] [answerers=8]
 *          [type=get | set | chat] [one_way=0] [payload=64] [tree=0]
 *          [window=16 | rate=REQUESTS/S] [slice=500] [rounds=1] [warmup=500]
 *          [requester=load@example.org] [answerer=svc@example.org]
 *          [password=secret]
 *
 * A server is PORTS[/PORTS]:PID[:PID...]: where requesters log in, and where
 * answerers do if that is elsewhere, and the processes that make it up. Several
 * PORTS, with `+' between them (the nodes of a cluster), are taken in turn.
 * Each server has requesters and answerers of its own. The requesters are of so
 * many accounts: load0@example.org, load1@example.org and so on.
 *
 * A way is the JID that the requesters write to, or `direct', which is any of
 * the answerers; an answer is its request's payload. In each round each way
 * through each server gets a slice of so many requests, every other round in
 * reverse: whatever else the machine does for longer than a slice comes upon
 * all alike.
 *
 * With one_way=1 nobody answers: a message that has come to an answerer is
 * done.
 *
 * With `window` so many requests are open all the time; with `rate` they begin
 * at random times (a Poisson process), and latency counts from the time at
 * which a request was due. The payload is `payload` octets of text, or, with
 * tree=1, of elements.
 *
 * Prints one line of JSON: for each server, for each way, under its name,
 * figures of each round. Ends with 0 if each request had its own payload back,
 * under its id, from the address that it went to.
 */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "../arguments.h"
#include "client.h"

#define MAX_CLIENTS 256
#define MAX_SERVERS 2
#define MAX_WAYS 8
#define PATIENCE 10 /* s without any answer */
#define SECOND 1000000000L

static struct {
    const char *servers, *ways, *requester, *answerer, *password, *type;
    long requesters, accounts, answerers, payload, tree, one_way, window, rate,
        slice, rounds, warmup;
} option = {
    .requester = "load@example.org",
    .answerer = "svc@example.org",
    .password = "secret",
    .type = "get",
    .requesters = 8,
    .accounts = 1,
    .answerers = 8,
    .payload = 64,
    .window = 16,
    .slice = 500,
    .rounds = 1,
    .warmup = 500,
};

static struct server {
    const char *pids;       /* :PID[:PID...] */
    struct client *clients; /* requesters, then answerers */
} servers[MAX_SERVERS];
static int server_count;

/* Those of all servers. */
static struct client clients[MAX_CLIENTS];
static long client_count;
static int epoll;

static const char *stanza_name; /* iq or message */
static struct buffer payload;

/* What a slice of requests came to. */
struct figures {
    double cpu_us, own_cpu_us; /* a request */
    double p50_us, p99_us, per_second;
};

/* One way through one server. */
struct way {
    const struct server *server;
    const char *to; /* NULL: directly */
    struct figures *round;
};
static struct way ways[MAX_SERVERS * MAX_WAYS];
static int way_count;

/* All requests of a run, numbered, and the slice that is being run. */
static struct request {
    const char *to;
    long due; /* when it was to be sent; 0: it is answered */
    long took;
} * request;
static const struct way *way;
static bool warm;
static long sent, answered, goal, wrong;

/* Clocks, in ns */

static long read_clock(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) != 0)
        die("load: there is no such clock");
    return time.tv_sec * SECOND + time.tv_nsec;
}

static long now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* What processes have used of the processors. */
static long cpu_time(const char *pids)
{
    long sum = 0;
    char *end;

    for (const char *p = pids; *p == ':'; p = end) {
        clockid_t clock;

        if (clock_getcpuclockid((pid_t)strtol(p + 1, &end, 10), &clock) != 0 ||
            end == p + 1)
            die("load: no process %s", p);
        sum += read_clock(clock);
    }
    return sum;
}

static bool is_message(void)
{
    return strcmp(stanza_name, "message") == 0;
}

static bool is_answerer(const struct client *c)
{
    return c - way->server->clients >= option.requesters;
}

/* Requests: number n is of requester n modulo their number. Without a proxy it
 * goes to a random answerer: were it always the same one, what comes to a
 * client at once would be more, and cheaper, than a proxy can make it. */

static void ask(long due)
{
    const struct server *s = way->server;
    struct buffer *out = &s->clients[sent % option.requesters].out;
    long answerer = option.requesters + lrand48() % option.answerers;

    request[sent].to = way->to ? way->to : s->clients[answerer].jid;
    request[sent].due = due;
    print(out, "<%s type='%s' id='%ld' to='%s'>", stanza_name, option.type,
          sent, request[sent].to);
    add(out, payload.p, payload.n);
    print(out, "</%s>", stanza_name);
    sent++;
}

/* A proxy may have added something to the payload of a message: that does not
 * go back. */
static void serve(struct client *c, struct text stanza)
{
    struct text id = attribute(stanza, "id"), from = attribute(stanza, "from");
    struct text what = content(stanza);

    print(&c->out, "<%s type='%s' id='%.*s' to='%.*s'>", stanza_name,
          is_message() ? option.type : "result", (int)id.n, id.p, (int)from.n,
          from.p);
    if (memmem(what.p, what.n, payload.p, payload.n))
        add(&c->out, payload.p, payload.n);
    else
        add(&c->out, what.p, what.n);
    print(&c->out, "</%s>", stanza_name);
}

/* A message is answered by a resource of the address that it went to. */
static bool is_from(struct text from, const char *to)
{
    size_t n = strlen(to);

    return is(from, to) || (is_message() && from.n > n &&
                            memcmp(from.p, to, n) == 0 && from.p[n] == '/');
}

/* Errors are forgiven during the warm-up: a proxy learns of its endpoints a
 * little after they have come online. */
static bool is_answer(const struct client *c, struct text stanza, long n)
{
    struct text what = content(stanza);

    return n >= 0 && n < sent && request[n].due != 0 &&
           c == &way->server->clients[n % option.requesters] &&
           is_from(attribute(stanza, "from"), request[n].to) &&
           (!warm ||
            (is(attribute(stanza, "type"),
                is_message() ? option.type : "result") &&
             what.n == payload.n && memcmp(what.p, payload.p, what.n) == 0));
}

static void on_wrong(const struct client *c, struct text stanza)
{
    if (wrong++ == 0)
        (void)fprintf(stderr, "load: %s got %.*s\n", c->jid,
                      (int)(stanza.n < 500 ? stanza.n : 500), stanza.p);
}

static void on_done(long n)
{
    request[n].took = now() - request[n].due;
    request[n].due = 0;
    answered++;
    if (option.rate == 0 && sent < goal)
        ask(now());
}

static void on_answer(const struct client *c, struct text stanza)
{
    long n = strtol(attribute(stanza, "id").p, NULL, 10);

    if (is_answer(c, stanza, n))
        on_done(n);
    else
        on_wrong(c, stanza);
}

static void on_request(struct client *c, struct text stanza)
{
    long n = strtol(attribute(stanza, "id").p, NULL, 10);

    if (!option.one_way)
        serve(c, stanza);
    else if (n >= 0 && n < sent && request[n].due != 0)
        on_done(n);
    else
        on_wrong(c, stanza);
}

static void on_stanza(struct client *c, struct text stanza)
{
    if (!is_a(stanza, stanza_name))
        return;
    if (is_answerer(c) && is(attribute(stanza, "type"), option.type))
        on_request(c, stanza);
    else
        on_answer(c, stanza);
}

/* The run */

/* Sends, waits for what comes, but no longer than until `time`, and takes it
 * in.
 */
static void run_until(long time)
{
    static long heard;
    struct epoll_event events[MAX_CLIENTS];
    struct timespec wait = {0, 0};
    struct text stanza;
    long left;
    int n;

    for (long i = 0; i < client_count; i++)
        client_flush(&clients[i]);
    left = time - now();
    if (left > 0)
        wait = (struct timespec){left / SECOND, left % SECOND};
    n = epoll_pwait2(epoll, events, MAX_CLIENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[events[i].data.u32];

        client_receive(c);
        while (client_next(c, &stanza))
            on_stanza(c, stanza);
    }
    if (n > 0 || heard == 0)
        heard = now();
    if (now() - heard > PATIENCE * SECOND)
        die("load: %ld of %ld requests got no answer", sent - answered, sent);
}

/* Both go on until all requests of the slice are answered. */

static void run_window(void)
{
    while (sent < goal && sent - answered < option.window)
        ask(now());
    while (answered < goal)
        run_until(now() + SECOND);
}

static void run_rate(void)
{
    double due = (double)now();

    while (answered < goal) {
        while (sent < goal && (double)now() >= due) {
            ask((long)due);
            due -= log(1 - drand48()) * (double)SECOND / (double)option.rate;
        }
        run_until(sent < goal ? (long)due : now() + SECOND);
    }
}

static void run(const struct way *w, long requests)
{
    way = w;
    goal = sent + requests;
    if (option.rate)
        run_rate();
    else
        run_window();
}

static int by_time(const void *a, const void *b)
{
    long x = ((const struct request *)a)->took;
    long y = ((const struct request *)b)->took;

    return (x > y) - (x < y);
}

static void measure(const struct way *w, struct figures *f)
{
    long wall = now(), server = cpu_time(w->server->pids);
    long own = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    struct request *slice = &request[sent];
    double n = (double)option.slice;

    run(w, option.slice);
    f->cpu_us = (double)(cpu_time(w->server->pids) - server) / n / 1e3;
    f->own_cpu_us =
        (double)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - own) / n / 1e3;
    f->per_second = n * (double)SECOND / (double)(now() - wall);
    qsort(slice, (size_t)option.slice, sizeof *slice, by_time);
    f->p50_us = (double)slice[option.slice / 2].took / 1e3;
    f->p99_us = (double)slice[option.slice * 99 / 100].took / 1e3;
}

static void measure_all(void)
{
    for (int i = 0; i < way_count; i++)
        run(&ways[i], option.warmup);
    warm = true;
    for (long round = 0; round < option.rounds; round++)
        for (int i = 0; i < way_count; i++) {
            struct way *w = &ways[round % 2 ? way_count - 1 - i : i];

            measure(w, &w->round[round]);
        }
}

static void report_way(const struct way *w)
{
    static const struct {
        const char *name;
        size_t at;
    } figures[] = {
        {"cpu_us", offsetof(struct figures, cpu_us)},
        {"own_cpu_us", offsetof(struct figures, own_cpu_us)},
        {"p50_us", offsetof(struct figures, p50_us)},
        {"p99_us", offsetof(struct figures, p99_us)},
        {"per_second", offsetof(struct figures, per_second)},
    };

    printf("\"%s\":{", w->to ? w->to : "direct");
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        printf("%s\"%s\":", k ? "," : "", figures[k].name);
        for (long n = 0; n < option.rounds; n++) {
            const char *f = (const char *)&w->round[n];

            printf("%c%.2f", n ? ',' : '[',
                   *(const double *)(const void *)(f + figures[k].at));
        }
        printf("]");
    }
    printf("}");
}

static void report(void)
{
    for (int s = 0; s < server_count; s++) {
        printf("%c", s ? ',' : '[');
        for (int i = s; i < way_count; i += server_count) {
            printf("%c", i == s ? '{' : ',');
            report_way(&ways[i]);
        }
        printf("}");
    }
    printf("]\n");
}

/* The begin */

static void make_payload(void)
{
    static const char item[] =
        "<item jid='romeo@example.net/orchard' name='Romeo Montague'/>";
    size_t octets = (size_t)option.payload;

    print(&payload,
          is_message() ? "<body>" : "<data xmlns='urn:example:load'>");
    if (option.tree) {
        for (size_t n = 0; n < octets; n += sizeof item - 1)
            add(&payload, item, sizeof item - 1);
    } else {
        memset(room(&payload, octets), 'x', octets);
        payload.n += octets;
    }
    print(&payload, is_message() ? "</body>" : "</data>");
}

/* One of several accounts: their numbers stand before the @. */
static void number_account(char *to, size_t size, const char *account,
                           long accounts, long n)
{
    int name = (int)strcspn(account, "@");

    if (accounts == 0)
        (void)snprintf(to, size, "%s", account);
    else
        (void)snprintf(to, size, "%.*s%ld%s", name, account, n % accounts,
                       account + name);
}

/* Number n, in turn, of PORT[+PORT...]. */
static long port_of(const char *ports, long n)
{
    char *end;
    long port = strtol(ports, &end, 10);

    for (const char *p = ports; n-- > 0; port = strtol(p, &end, 10))
        p = *end == '+' ? end + 1 : ports;
    return port;
}

static void log_in(const char *ports, const char *account, long accounts,
                   char letter, long count)
{
    for (long i = 0; i < count; i++) {
        struct client *c = &clients[client_count];
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u32 = (uint32_t)client_count++};
        char resource[32], of[256];

        (void)snprintf(resource, sizeof resource, "%c%ld", letter, i);
        number_account(of, sizeof of, account, accounts, i);
        client_log_in(c, port_of(ports, i), of, option.password, resource);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            die("load: cannot wait for %s", c->jid);
    }
}

static void read_servers(char *list)
{
    for (char *rest, *text = strtok_r(list, ",", &rest); text;
         text = strtok_r(NULL, ",", &rest)) {
        struct server *s = &servers[server_count++];
        size_t ports = strcspn(text, "/:");

        if (server_count > MAX_SERVERS)
            die("load: at most %d servers, please", MAX_SERVERS);
        s->pids = text + strcspn(text, ":");
        s->clients = &clients[client_count];
        log_in(text, option.requester, option.accounts, 'r', option.requesters);
        log_in(text[ports] == '/' ? text + ports + 1 : text, option.answerer, 0,
               'e', option.answerers);
    }
}

/* A way through each of the servers, then the next one. */
static void read_ways(char *list)
{
    for (char *rest, *to = strtok_r(list, ",", &rest); to;
         to = strtok_r(NULL, ",", &rest)) {
        if (way_count / server_count == MAX_WAYS)
            die("load: at most %d ways, please", MAX_WAYS);
        for (int s = 0; s < server_count; s++) {
            struct way *w = &ways[way_count++];

            w->server = &servers[s];
            w->to = strcmp(to, "direct") == 0 ? NULL : to;
            w->round = calloc((size_t)option.rounds, sizeof *w->round);
            if (!w->round)
                die("load: no memory");
        }
    }
}

static void read_options(int argc, char **argv)
{
    static const struct argument known[] = {
        {"servers", &option.servers, NULL},
        {"ways", &option.ways, NULL},
        {"requester", &option.requester, NULL},
        {"answerer", &option.answerer, NULL},
        {"password", &option.password, NULL},
        {"type", &option.type, NULL},
        {"requesters", NULL, &option.requesters},
        {"accounts", NULL, &option.accounts},
        {"answerers", NULL, &option.answerers},
        {"payload", NULL, &option.payload},
        {"tree", NULL, &option.tree},
        {"one_way", NULL, &option.one_way},
        {"window", NULL, &option.window},
        {"rate", NULL, &option.rate},
        {"slice", NULL, &option.slice},
        {"rounds", NULL, &option.rounds},
        {"warmup", NULL, &option.warmup},
    };
    const char *unknown =
        take_arguments(argc, argv, known, sizeof known / sizeof *known);

    if (unknown)
        die("load: what is %s?", unknown);
    if (!option.servers || !option.ways)
        die("load: servers and ways are needed");
    if (option.requesters < 1 || option.answerers < 1 ||
        option.requesters + option.answerers > MAX_CLIENTS / MAX_SERVERS)
        die("load: 1 to %d clients, please", MAX_CLIENTS / MAX_SERVERS);
    if (option.accounts < 1 || option.window < 1 || option.slice < 1 ||
        option.rounds < 1 || option.warmup < 0 || option.payload < 0)
        die("load: accounts, window, slice, rounds of at least 1, please");
    stanza_name = strcmp(option.type, "chat") == 0 ? "message" : "iq";
    if (option.one_way && !is_message())
        die("load: only messages go one way");
}

int main(int argc, char **argv)
{
    char *server_list, *way_list;
    long total;

    read_options(argc, argv);
    server_list = strdup(option.servers);
    way_list = strdup(option.ways);
    epoll = epoll_create1(0);
    if (!server_list || !way_list || epoll < 0)
        die("load: no memory");
    (void)prctl(PR_SET_TIMERSLACK, 1); /* ns; 50000 is usual */
    make_payload();
    read_servers(server_list);
    read_ways(way_list);
    total = way_count * (option.warmup + option.rounds * option.slice);
    request = calloc((size_t)total, sizeof *request);
    if (!request)
        die("load: no memory");
    measure_all();
    report();
    return wrong != 0;
}
