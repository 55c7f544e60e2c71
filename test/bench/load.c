/*
 * Requests and their answers between clients of one process, and what each
 * costs the server.
 *
 *     load port=5222 cpu=PID[,PID...] [to=JID] [requesters=8] [answerers=8]
 *          [type=get] [payload=64] [tree=0] [window=16 | rate=REQUESTS/S]
 *          [requests=10000] [warmup=1000]
 *          [requester=load@example.org] [answerer=svc@example.org]
 *          [password=secret]
 *
 * The requesters write to `to`, or, without it, to any of the answerers; an
 * answer is its request's payload. With `window` so
 * many requests are open all the time; with `rate` they begin at random times
 * (a Poisson process), and latency counts from the time at which a request was
 * due. The payload is `payload` octets of text, or, with tree=1, of elements.
 *
 * `cpu` are the processes that make up the server. Prints one line of JSON;
 * ends with 0 if each request had its own payload back, under its id, from the
 * address that it went to.
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

#include "client.h"

#define MAX_CLIENTS 256
#define PATIENCE 10 /* s without any answer */
#define SECOND 1000000000L

static struct {
    const char *to, *requester, *answerer, *password, *type, *cpu;
    long port, requesters, answerers, payload, tree, window, rate, requests,
        warmup;
} option = {
    .requester = "load@example.org",
    .answerer = "svc@example.org",
    .password = "secret",
    .type = "get",
    .requesters = 8,
    .answerers = 8,
    .payload = 64,
    .window = 16,
    .requests = 10000,
    .warmup = 1000,
};

/* Requesters, then answerers. */
static struct client clients[MAX_CLIENTS];
static long client_count;
static int epoll;

static struct buffer payload;
static struct {
    const char *to;
    long due; /* when it was to be sent; 0: it is answered */
    long took;
} * request;
static long total, sent, answered, wrong;

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

    for (const char *p = pids; *p; p = *end == ',' ? end + 1 : end) {
        clockid_t clock;

        if (clock_getcpuclockid((pid_t)strtol(p, &end, 10), &clock) != 0 ||
            end == p)
            die("load: no process %s", p);
        sum += read_clock(clock);
    }
    return sum;
}

/* Requests: number n is of requester n modulo their number. Without a proxy it
 * goes to a random answerer: were it always the same one, what comes to a
 * client at once would be more, and cheaper, than a proxy can make it. */

static void ask(long due)
{
    struct buffer *out = &clients[sent % option.requesters].out;
    long answerer = option.requesters + lrand48() % option.answerers;

    request[sent].to = option.to ? option.to : clients[answerer].jid;
    request[sent].due = due;
    print(out, "<iq type='%s' id='%ld' to='%s'>", option.type, sent,
          request[sent].to);
    add(out, payload.p, payload.n);
    print(out, "</iq>");
    sent++;
}

static void serve(struct client *c, struct text iq)
{
    struct text id = attribute(iq, "id"), from = attribute(iq, "from");
    struct text what = content(iq);

    print(&c->out, "<iq type='result' id='%.*s' to='%.*s'>", (int)id.n, id.p,
          (int)from.n, from.p);
    add(&c->out, what.p, what.n);
    print(&c->out, "</iq>");
}

/* Errors are forgiven during the warm-up: a proxy learns of its endpoints a
 * little after they have come online. */
static bool is_answer(const struct client *c, struct text iq, long n)
{
    struct text what = content(iq);

    return n >= 0 && n < sent && request[n].due != 0 &&
           c == &clients[n % option.requesters] &&
           is(attribute(iq, "from"), request[n].to) &&
           (n < option.warmup ||
            (is(attribute(iq, "type"), "result") && what.n == payload.n &&
             memcmp(what.p, payload.p, what.n) == 0));
}

static void on_answer(const struct client *c, struct text iq)
{
    long n = strtol(attribute(iq, "id").p, NULL, 10);

    if (!is_answer(c, iq, n)) {
        if (wrong++ == 0)
            (void)fprintf(stderr, "load: %s got %.*s\n", c->jid,
                          (int)(iq.n < 500 ? iq.n : 500), iq.p);
        return;
    }
    request[n].took = now() - request[n].due;
    request[n].due = 0;
    answered++;
    if (option.rate == 0 && sent < total)
        ask(now());
}

static void on_stanza(struct client *c, struct text stanza)
{
    if (!is_a(stanza, "iq"))
        return;
    if (is(attribute(stanza, "type"), option.type))
        serve(c, stanza);
    else
        on_answer(c, stanza);
}

/* The run */

/* Waits for what comes, but no longer than until `time`, and takes it in. */
static void run_until(long time)
{
    static long heard;
    struct epoll_event events[MAX_CLIENTS];
    struct timespec wait = {0, 0};
    struct text stanza;
    long left = time - now();
    int n;

    if (left > 0)
        wait = (struct timespec){left / SECOND, left % SECOND};
    n = epoll_pwait2(epoll, events, MAX_CLIENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[events[i].data.u32];

        client_receive(c);
        while (client_next(c, &stanza))
            on_stanza(c, stanza);
    }
    for (long i = 0; i < client_count; i++)
        client_flush(&clients[i]);
    if (n > 0 || heard == 0)
        heard = now();
    if (now() - heard > PATIENCE * SECOND)
        die("load: %ld of %ld requests got no answer", sent - answered, sent);
}

/* Both go on until so many requests are answered. */

static void run_window(long goal)
{
    while (sent - answered < option.window)
        ask(now());
    while (answered < goal)
        run_until(now() + SECOND);
}

static void run_rate(long goal)
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

static int compare(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static void report(long count, long wall, long server, long own)
{
    long *took = calloc((size_t)option.requests, sizeof *took);
    double n = (double)count;

    if (!took)
        die("load: no memory");
    for (long i = 0; i < option.requests; i++)
        took[i] = request[option.warmup + i].took;
    qsort(took, (size_t)option.requests, sizeof *took, compare);
    printf("{\"requests\":%ld,\"wrong\":%ld,\"per_second\":%.0f,"
           "\"cpu_us\":%.2f,\"own_cpu_us\":%.2f,\"busy\":%.2f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n",
           count, wrong, n * (double)SECOND / (double)wall,
           (double)server / n / 1e3, (double)own / n / 1e3,
           (double)server / (double)wall,
           (double)took[option.requests / 2] / 1e3,
           (double)took[option.requests * 99 / 100] / 1e3,
           (double)took[option.requests - 1] / 1e3);
    free(took);
}

static void measure(void)
{
    void (*run)(long goal) = option.rate ? run_rate : run_window;
    long count, wall, server, own;

    run(option.warmup);
    count = answered;
    wall = now();
    server = cpu_time(option.cpu);
    own = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    run(total);
    report(answered - count, now() - wall, cpu_time(option.cpu) - server,
           read_clock(CLOCK_PROCESS_CPUTIME_ID) - own);
}

/* The begin */

static void make_payload(void)
{
    static const char item[] =
        "<item jid='romeo@example.net/orchard' name='Romeo Montague'/>";
    size_t octets = (size_t)option.payload;

    print(&payload, "<data xmlns='urn:example:load'>");
    if (option.tree) {
        for (size_t n = 0; n < octets; n += sizeof item - 1)
            add(&payload, item, sizeof item - 1);
    } else {
        memset(room(&payload, octets), 'x', octets);
        payload.n += octets;
    }
    print(&payload, "</data>");
}

static void log_in(const char *account, char letter, long count)
{
    for (long i = 0; i < count; i++) {
        struct client *c = &clients[client_count];
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u32 = (uint32_t)client_count++};
        char resource[32];

        (void)snprintf(resource, sizeof resource, "%c%ld", letter, i);
        client_log_in(c, option.port, account, option.password, resource);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            die("load: cannot wait for %s", c->jid);
    }
}

static bool set_option(const char *name, size_t length, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        long *number;
    } known[] = {
        {"to", &option.to, NULL},
        {"requester", &option.requester, NULL},
        {"answerer", &option.answerer, NULL},
        {"password", &option.password, NULL},
        {"type", &option.type, NULL},
        {"cpu", &option.cpu, NULL},
        {"port", NULL, &option.port},
        {"requesters", NULL, &option.requesters},
        {"answerers", NULL, &option.answerers},
        {"payload", NULL, &option.payload},
        {"tree", NULL, &option.tree},
        {"window", NULL, &option.window},
        {"rate", NULL, &option.rate},
        {"requests", NULL, &option.requests},
        {"warmup", NULL, &option.warmup},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(known[i].name, name, length) != 0 || known[i].name[length])
            continue;
        if (known[i].text)
            *known[i].text = value;
        else
            *known[i].number = strtol(value, NULL, 10);
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
            die("load: what is %s?", argv[i]);
    }
    if (!option.port || !option.cpu)
        die("load: port and cpu are needed");
    if (option.requesters < 1 || option.answerers < 1 ||
        option.requesters + option.answerers > MAX_CLIENTS)
        die("load: 1 to %d clients, please", MAX_CLIENTS);
    if (option.window < 1 || option.window > option.warmup ||
        option.requests < 1 || option.payload < 0)
        die("load: at least a window's requests for the warm-up, please");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    make_payload();
    total = option.warmup + option.requests;
    request = calloc((size_t)total, sizeof *request);
    epoll = epoll_create1(0);
    if (!request || epoll < 0)
        die("load: no memory");
    (void)prctl(PR_SET_TIMERSLACK, 1); /* ns; 50000 is usual */
    log_in(option.requester, 'r', option.requesters);
    log_in(option.answerer, 'e', option.answerers);
    measure();
    return wrong != 0;
}
