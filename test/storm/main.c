/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/*
 * Many requests through a proxy host while its endpoints come and go.
 *
 *     storm port=5222[,...] proxy=P target=svc@host requester=load@host,...
 *           [host=127.0.0.1] [password=secret] [requesters=8] [endpoints=8]
 *           [requests=100000 | seconds=N] [rate=N] [window=16] [churn=50]
 *           [keep=2] [limit=300]
 *           [wild=1 timeout=MS] [domain=D component=PORT] [seed=N]
 *           [talk=N] [polite=1] [limited=1] [bystander=1]
 *           [rooms=N] [sessions=N] [moves=1] [hang=MS]
 *           [returns=MS]
 *
 * Each requester (resources r0, r1, ... of its account) has up to `window` gets
 * and sets open; `rate` of them a second are sent, or else as many as can be.
 * Every `churn` ms the next endpoint (resources e0, e1, ... of the target) logs
 * out, drops its connection or comes back; at least `keep` stay.
 *
 * wild: requests of every kind, in both directions, to those who answer in
 * every way (`timeout` is that of the proxy host), requesters that come and go,
 * noise; see traffic.c and noise.c. Whoever is on `domain` is behind a
 * component.
 *
 * talk: so many messages a second, both ways, and some directed presence; see
 * talk.c. polite: who leaves says so, no connection is just broken. limited:
 * the proxy host drops what is too much of them. bystander: resource
 * `bystander` of the target is online, too, and is no endpoint.
 *
 * rooms, sessions: requests name one of so many, in the attributes `room' and
 * `s' of their payload; those with sessions are commands (XEP-0050), too.
 * moves: the proxy host may send a set to another endpoint, too. hang: every so
 * many ms an endpoint answers nothing for 15 to 45 s.
 *
 * With several ports (of the nodes of a cluster) each has its share of the
 * requesters and of the endpoints. returns: a node may go and come back.
 * Whoever loses his connection logs in again so long after; nobody waits for
 * what he had asked.
 *
 * Ends when `requests` are sent (or `seconds` are over, or SIGTERM has come)
 * and all have been answered, or `limit` seconds after the start; then prints
 * one line of JSON.
 * The status is 0 if each request got one answer, its own, from the address it
 * went to, and no message what it must not get.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../arguments.h"
#include "storm.h"

#define QUIET_MS 1000 /* how long to listen for second answers at the end */
#define PATIENCE_MS 60000
#define TEXTS 32

struct options option = {
    .host = "127.0.0.1",
    .password = "secret",
    .requesters = 8,
    .endpoints = 8,
    .requests = 100000,
    .window = 16,
    .churn = 50,
    .keep = 2,
    .timeout = 60000,
    .seed = 1,
    .limit = 300,
};

/* Words that all of it is made of */

long now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("storm: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

long chance(long below)
{
    return random() % below;
}

/* The next of the buffers, with room for that many octets. */
static char *room(size_t size)
{
    static char *buffers[TEXTS];
    static size_t sizes[TEXTS];
    static unsigned turn;
    unsigned i = turn++ % TEXTS;

    if (sizes[i] < size) {
        sizes[i] = size + size / 2;
        buffers[i] = realloc(buffers[i], sizes[i]);
        if (!buffers[i])
            die("no memory");
    }
    return buffers[i];
}

const char *text(const char *format, ...)
{
    va_list arguments;
    int length;
    char *buffer;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    buffer = room((size_t)length + 1);
    va_start(arguments, format);
    vsnprintf(buffer, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return buffer;
}

const char *escaped(const char *value)
{
    static const char *const references[] = {['&'] = "&amp;",
                                             ['<'] = "&lt;",
                                             ['>'] = "&gt;",
                                             ['\''] = "&apos;",
                                             ['"'] = "&quot;"};
    char *start = room(6 * strlen(value) + 1), *p = start;

    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if (c < sizeof(references) / sizeof(*references) && references[c])
            p = stpcpy(p, references[c]);
        else
            *p++ = *value;
    }
    *p = '\0';
    return start;
}

const char *attribute(xmpp_stanza_t *stanza, const char *name)
{
    const char *value = xmpp_stanza_get_attribute(stanza, name);

    return value ? value : "";
}

bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* The report */

static void print_outcomes(const long *counts)
{
    static const char *const words[] = {
#define X(name, word) word,
        OUTCOMES(X)
#undef X
    };
    const char *comma = "";

    for (int i = OUTCOME_CONFLICT; i < OUTCOME_COUNT; i++) {
        if (counts[i]) {
            printf("%s\"%s\":%ld", comma, words[i], counts[i]);
            comma = ",";
        }
    }
}

static void print_talk(const struct talk_report *t)
{
    printf("\"letters\":%ld,\"read\":%ld,\"refused\":%ld,\"given_up\":%ld,"
           "\"excused\":%ld,\"lost\":%ld,\"repeated\":%ld,"
           "\"wrong_letters\":%ld,\"disordered\":%ld,\"shows\":%ld,"
           "\"still_shown\":%ld,\"letter_errors\":{",
           t->letters, t->read, t->refused, t->given_up, t->excused, t->lost,
           t->repeated, t->wrong, t->disordered, t->shows, t->still_shown);
    print_outcomes(t->errors);
    printf("},");
}

static void print_report(double seconds)
{
    printf("{\"proxy\":\"%s\",\"requests\":%ld,\"results\":%ld,\"errors\":{",
           option.proxy, asked, outcomes[OUTCOME_RESULT]);
    print_outcomes(outcomes);
    printf("},\"abandoned\":%ld,\"doubles\":%ld,\"unanswered\":%ld,"
           "\"wrong\":%ld,\"comings\":%ld,\"goings\":%ld,\"naps\":%ld,"
           "\"moods\":%ld,\"hangs\":%ld,\"noise\":%ld,\"seconds\":%.1f,",
           abandoned, doubles, asked - answered - abandoned, wrong, comings,
           goings, naps, moods, hangs, noises, seconds);
    if (option.talk)
        print_talk(&talk_report);
    printf("\"losses\":[");
    for (long i = 0; i < server_count(); i++)
        printf("%s%ld", i ? "," : "", losses[i]);
    printf("],\"spread\":{");
    for (long i = 0; i < option.endpoints; i++)
        printf("%s\"e%ld\":%ld", i ? "," : "", i,
               clients[option.requesters + i].served);
    puts("}}");
}

/* The options */

static void read_options(int argc, char **argv)
{
    static const struct argument known[] = {
        {"host", &option.host, NULL},
        {"proxy", &option.proxy, NULL},
        {"target", &option.target, NULL},
        {"requester", &option.requester, NULL},
        {"password", &option.password, NULL},
        {"domain", &option.domain, NULL},
        {"port", &option.port, NULL},
        {"component", NULL, &option.component},
        {"requesters", NULL, &option.requesters},
        {"endpoints", NULL, &option.endpoints},
        {"requests", NULL, &option.requests},
        {"seconds", NULL, &option.seconds},
        {"rate", NULL, &option.rate},
        {"window", NULL, &option.window},
        {"churn", NULL, &option.churn},
        {"keep", NULL, &option.keep},
        {"timeout", NULL, &option.timeout},
        {"wild", NULL, &option.wild},
        {"talk", NULL, &option.talk},
        {"polite", NULL, &option.polite},
        {"limited", NULL, &option.limited},
        {"bystander", NULL, &option.bystander},
        {"rooms", NULL, &option.rooms},
        {"sessions", NULL, &option.sessions},
        {"moves", NULL, &option.moves},
        {"hang", NULL, &option.hang},
        {"returns", NULL, &option.returns},
        {"seed", NULL, &option.seed},
        {"limit", NULL, &option.limit},
    };
    const char *unknown =
        take_arguments(argc, argv, known, sizeof known / sizeof *known);

    if (unknown)
        die("what is %s?", unknown);
    if (!option.proxy || !option.target || !option.requester || !option.port)
        die("proxy, target, requester and port are needed");
    if (option.requesters < 1 || option.endpoints < 1 ||
        option.requesters + option.endpoints + option.bystander > MAX_CLIENTS)
        die("1 to %d clients, please", MAX_CLIENTS);
    if (server_count() > MAX_SERVERS)
        die("at most %d ports, please", MAX_SERVERS);
}

/* The storm */

static volatile sig_atomic_t enough;

static void have_enough(int signal)
{
    (void)signal;
    enough = 1;
}

static bool is_over(long elapsed)
{
    if (enough)
        return true;
    return option.seconds ? elapsed >= option.seconds * 1000
                          : asked >= option.requests;
}

/* As many as are due by now. */
static void ask_all(long elapsed)
{
    while (!is_over(elapsed) &&
           (!option.rate || asked < option.rate * elapsed / 1000)) {
        bool inside = option.wild && chance(5) == 0;

        if (!(inside ? ask_from_inside() : ask_from_outside()))
            return;
        if (option.wild && chance(5) == 0)
            make_noise();
    }
}

static void wait_for_all(void)
{
    long started = now_ms();

    while (clients_coming()) {
        if (now_ms() - started > PATIENCE_MS)
            die("%s did not come online", clients_coming()->jid);
        clients_run();
    }
}

/* All has come to an end, or it does not seem so: the server may be slow. */
static bool is_quiet(long since)
{
    return answered + abandoned == asked &&
           (talk_is_over() || now_ms() - since > PATIENCE_MS / 2);
}

/* Returns how long it took to have all answers. */
static double rage(void)
{
    long started = now_ms(), now = started, ended = 0, finished = 0;
    long next_churn = option.churn, next_hang = option.hang;

    while (now - started < option.limit * 1000) {
        bool over = is_over(now - started);

        if (over && !ended)
            ended = now;
        if (option.churn && !over && now - started >= next_churn) {
            churn(option.wild && chance(4) == 0);
            next_churn += option.churn;
        }
        if (option.hang && !over && now - started >= next_hang) {
            hang();
            next_hang += option.hang;
        }
        ask_all(now - started);
        talk_run(now - started, over);
        traffic_run();
        clients_run();
        now = now_ms();
        if (over && !finished && is_quiet(ended))
            finished = now;
        if (finished && now - finished > QUIET_MS)
            break;
    }
    return (double)((finished ? finished : now) - started) / 1000;
}

int main(int argc, char **argv)
{
    double seconds;
    long unanswered;

    read_options(argc, argv);
    srandom((unsigned)option.seed);
    signal(SIGPIPE, SIG_IGN); /* libstrophe writes to connections we cut */
    signal(SIGTERM, have_enough);
    clients_start();
    wait_for_all();
    seconds = rage();
    unanswered = ledger_unanswered();
    endpoints_stop();
    talk_sum_up();
    print_report(seconds);
    clients_stop();
    return doubles || wrong || unanswered || talk_report.wrong ||
           talk_report.disordered;
}
