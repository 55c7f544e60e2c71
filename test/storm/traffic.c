/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What is asked and how it is answered. Tame, a storm is gets and sets to the
 * proxy host and their results. In the wild every kind of request comes, and
 * whoever is asked answers in every way, so that much must not be delivered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storm.h"

#define BIG 70000 /* too large to be kept for another endpoint */
#define NS_DISCO "http://jabber.org/protocol/disco#info"
#define NS_PING "urn:xmpp:ping"

/* Questions */

enum place {
    HOST,     /* P */
    SEEN,     /* P/enc of somebody who wrote to the one who asks */
    SIBLING,  /* P/enc(E), asked by an endpoint */
    STRANGER, /* P/ a JID that has never spoken */
    NOWHERE,  /* P/ what stands for nobody */
    NODE      /* node@P */
};

enum payload {
    WORK,
    COMMAND, /* of a session (XEP-0050) */
    LARGE,
    DEEP,
    NOTHING,
    TWO,
    ATTRIBUTES,
    DISCO,
    PING
};

/* What may become of any request that is forwarded, and of any request at all
 * while the operator refuses all, or the proxy host is not there. */
#define SERVED (RESULT | CONFLICT | TIMEOUT | UNAVAILABLE | CONSTRAINT)
#define TROUBLE (UNAVAILABLE | CONSTRAINT | INTERNAL | NO_SERVER | FORBIDDEN)

static const struct kind {
    int weight;
    enum place place;
    enum payload payload;
    unsigned allowed;
} from_outside[] =
    {
        {600, HOST, WORK, SERVED},      {150, SEEN, WORK, SERVED},
        {10, HOST, LARGE, SERVED},      {10, HOST, DEEP, SERVED},
        {10, HOST, DISCO, SERVED},      {10, HOST, PING, SERVED},
        {10, NOWHERE, WORK, NOT_FOUND}, {10, STRANGER, WORK, NOT_FOUND},
        {10, NODE, WORK, NOT_FOUND},    {10, HOST, NOTHING, BAD_REQUEST},
        {10, HOST, TWO, BAD_REQUEST},   {10, HOST, ATTRIBUTES, POLICY},
},
  from_inside[] = {
      /* Who has spoken may be gone, or be forgotten; the endpoint may not be
       * one at the moment. */
      {600, SEEN, WORK,
       SERVED | FORBIDDEN | NO_SERVICE | NOT_FOUND | NOT_ALLOWED},
      {10, SEEN, NOTHING, BAD_REQUEST},
      {50, STRANGER, WORK, FORBIDDEN | NO_SERVICE | NOT_ALLOWED},
      {30, SIBLING, WORK, NOT_ALLOWED},
      {30, NOWHERE, WORK, NOT_FOUND | FORBIDDEN | NO_SERVICE | NOT_ALLOWED},
      {10, NODE, WORK, NOT_FOUND},
      {10, HOST, DISCO, RESULT | NO_SERVICE}, /* of a set */
      {10, HOST, PING, RESULT | NO_SERVICE},
      {10, HOST, WORK, NO_SERVICE},
};

static const struct kind *choose_kind(const struct kind *kinds, size_t count)
{
    long sum = 0, left;

    for (size_t i = 0; i < count; i++)
        sum += kinds[i].weight;
    left = chance(sum);
    while (left >= kinds->weight)
        left -= kinds++->weight;
    return kinds;
}

/* The address, not escaped; NULL if nobody is known who has one. */
static const char *place(enum place where, struct client *asker)
{
    struct client *other;

    switch (where) {
    case HOST:
        break;
    case SEEN:
        return seen(asker);
    case SIBLING:
        other = someone(true, NULL);
        return other ? seen(other) : NULL;
    case STRANGER:
        return text("%s/nobody%ld@example.org/x", option.proxy, chance(1000));
    case NOWHERE:
        return chance(2) ? text("%s/nothing", option.proxy)
                         : forged(text("%s/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@",
                                       option.proxy));
    case NODE:
        return text("node%ld@%s", chance(10), option.proxy);
    }
    return option.proxy;
}

static const char *repeated(const char *piece, int times)
{
    size_t length = strlen(piece);
    char *all = malloc(length * (size_t)times + 1);
    const char *copy;

    if (!all)
        die("no memory");
    for (int i = 0; i < times; i++)
        memcpy(all + length * (size_t)i, piece, length);
    all[length * (size_t)times] = '\0';
    copy = text("%s", all);
    free(all);
    return copy;
}

static const char *attributes(int count)
{
    char all[4096], *p = all;

    while (count-- > 0)
        p += snprintf(p, sizeof(all) - (size_t)(p - all), " a%d=''", count);
    return text("%s", all);
}

/* What keeps requests together: some of them have none of it. */
static const char *belongs(void)
{
    const char *room =
        option.rooms && chance(3)
            ? text(" room='room%ld@conference.example'", chance(option.rooms))
            : "";
    const char *session = option.sessions && chance(3) == 0
                              ? text(" s='s%ld'", chance(option.sessions))
                              : "";

    return text("%s%s", room, session);
}

static const char *command(const char *session, long n, const char *mark)
{
    return text("<command xmlns='" NS_COMMANDS "' node='work' sessionid='%s' "
                "n='%ld'%s/>",
                escaped(session), n, mark);
}

static const char *payload(enum payload what, long n)
{
    const char *head =
        text("<work xmlns='" NS_STORM "' n='%ld'%s", n, belongs());

    switch (what) {
    case WORK:
        break;
    case COMMAND:
        return command(text("c%ld", chance(option.sessions)), n, "");
    case LARGE:
        return text("%s>%s</work>", head, repeated("0123456789", BIG / 10));
    case DEEP:
        return text("%s>%s%s</work>", head, repeated("<deep>", 100),
                    repeated("</deep>", 100));
    case NOTHING:
        return "";
    case TWO:
        return text("%s/><another xmlns='" NS_STORM "'/>", head);
    case ATTRIBUTES:
        return text("%s%s/>", head, attributes(300));
    case DISCO:
        return "<query xmlns='" NS_DISCO "'/>";
    case PING:
        return "<ping xmlns='" NS_PING "'/>";
    }
    return text("%s/>", head);
}

static void send_request(const struct question *q, enum payload what)
{
    long n = ledger_open(q);

    say(q->asker, "iq",
        text("type='%s' id='%s' to='%s'>%s</iq>", n % 4 == 3 ? "set" : "get",
             escaped(ledger_id(n)), escaped(q->to), payload(what, n)));
}

/* What one that resumes has sent may come twice (see clients.c): it does not
 * ask. */
static bool may_ask(const struct client *client)
{
    return client->state == ONLINE && !client->resumable &&
           client->open < option.window;
}

/* Part of the work for the proxy host are commands. */
static enum payload what_to_ask(const struct client *asker,
                                const struct kind *kind)
{
    bool may_be_command = option.sessions && asker->requester &&
                          kind->place == HOST && kind->payload == WORK;

    return may_be_command && chance(6) == 0 ? COMMAND : kind->payload;
}

/* Two with one id, now and then: both in flight, to one place. */
static bool ask(struct client *asker, const struct kind *kind)
{
    enum payload what = what_to_ask(asker, kind);
    struct question q = {
        .asker = asker,
        .to = place(kind->place, asker),
        .allowed = option.wild ? kind->allowed | TROUBLE : ~0U,
        .blank = what == DISCO || what == PING,
        .form = option.wild ? (unsigned)chance(FORMS) : 0,
    };
    char *to;

    if (!q.to)
        return false;
    if (option.domain)
        q.allowed |= NO_SERVICE; /* what the target's server says of the gone */
    if (what == COMMAND)
        q.allowed |= NOT_FOUND; /* its session has gone */
    q.to = to = strdup(q.to);
    send_request(&q, what);
    if (option.wild && what == WORK && chance(20) == 0) {
        q.twin = true;
        send_request(&q, what);
    }
    free(to);
    return true;
}

static struct client *with_room(bool requester)
{
    static long turn;

    for (long i = 0; i < client_count; i++) {
        struct client *client = &clients[turn++ % client_count];

        if (client->requester == requester && !client->bystander &&
            may_ask(client))
            return client;
    }
    return NULL;
}

bool ask_from_outside(void)
{
    struct client *asker = with_room(true);

    return asker &&
           ask(asker, option.wild
                          ? choose_kind(from_outside, sizeof(from_outside) /
                                                          sizeof(*from_outside))
                          : from_outside);
}

bool ask_from_inside(void)
{
    struct client *asker = with_room(false);

    return asker &&
           ask(asker, choose_kind(from_inside,
                                  sizeof(from_inside) / sizeof(*from_inside)));
}

/* Answers that are put off */

static struct answer {
    struct client *client;
    long due;
    char *rest;
} * put_off;
static size_t put_off_count, put_off_capacity;

static void send_later(struct client *client, const char *rest, long delay)
{
    if (put_off_count == put_off_capacity) {
        put_off_capacity = put_off_capacity * 2 + 64;
        put_off = realloc(put_off, put_off_capacity * sizeof(*put_off));
        if (!put_off)
            die("no memory");
    }
    put_off[put_off_count++] =
        (struct answer){client, now_ms() + delay, strdup(rest)};
}

static bool is_napping(const struct client *client)
{
    return client->state >= NAPPING && client->state <= WAKING;
}

/* Also by a later session of the same JID, which was not asked. */
void traffic_run(void)
{
    long now = now_ms();

    for (size_t i = 0; i < put_off_count;) {
        struct answer *late = &put_off[i];

        if (late->due > now || is_napping(late->client)) {
            i++;
            continue;
        }
        if (late->client->state == ONLINE)
            say(late->client, "iq", late->rest);
        free(late->rest);
        *late = put_off[--put_off_count];
    }
}

/* Answers */

struct asked {
    struct client *client; /* who is asked */
    const char *id, *from;
    xmpp_stanza_t *work; /* its payload with a number, or NULL */
    long n;              /* the number, or -1 */
    bool set;
};

/* The payload of an answer: of the session that the request was of. */
static const char *done(const struct asked *a, const char *mark)
{
    const char *session;

    if (a->n < 0)
        return "";
    if (is(xmpp_stanza_get_ns(a->work), NS_COMMANDS))
        return command(attribute(a->work, "sessionid"), a->n, mark);
    session = attribute(a->work, "s");
    return text("<work xmlns='" NS_STORM "' n='%ld'%s%s/>", a->n,
                *session ? text(" s='%s'", escaped(session)) : "", mark);
}

static const char *answer(const struct asked *a, const char *type,
                          const char *id, const char *to, const char *mark)
{
    const char *work = done(a, mark);
    const char *error =
        is(type, "error") ? "<error type='cancel'><conflict xmlns='" NS_STANZAS
                            "'/></error>"
                          : "";

    return text("type='%s' id='%s' to='%s'>%s%s</iq>", type, escaped(id),
                escaped(to), work, error);
}

/* What is marked must never arrive: an answer to the same request has been
 * sent before, or nobody has asked for it. */
#define BAD " bad='1'"

static const char *result(const struct asked *a)
{
    if (a->n >= 0)
        ledger_given(a->n, OUTCOME_RESULT);
    return answer(a, "result", a->id, a->from, "");
}

static void answer_now(const struct asked *a)
{
    say(a->client, "iq", result(a));
}

static void answer_error(const struct asked *a)
{
    if (a->n < 0) {
        answer_now(a);
        return;
    }
    ledger_given(a->n, OUTCOME_CONFLICT);
    say(a->client, "iq", answer(a, "error", a->id, a->from, ""));
}

static void answer_soon(const struct asked *a)
{
    send_later(a->client, result(a), chance(500));
}

static void answer_late(const struct asked *a)
{
    send_later(a->client, result(a), option.timeout + chance(2000));
}

static void answer_never(const struct asked *a)
{
    (void)a;
}

static void answer_twice(const struct asked *a)
{
    answer_now(a);
    say(a->client, "iq",
        answer(a, chance(2) ? "result" : "error", a->id, a->from, BAD));
}

static void answer_under_another_id(const struct asked *a)
{
    say(a->client, "iq",
        answer(a, "result", text("no-%s", a->id), a->from, BAD));
    answer_now(a);
}

static void answer_to_another(const struct asked *a)
{
    struct client *other = someone(a->client->requester, a->client);
    const char *to = other ? seen(other) : NULL;

    if (to && !is(to, a->from))
        say(a->client, "iq", answer(a, "result", a->id, to, BAD));
    answer_now(a);
}

static void answer_to_forged(const struct asked *a)
{
    say(a->client, "iq", answer(a, "result", a->id, forged(a->from), BAD));
    answer_now(a);
}

/* Another one says it first. A get (and where sets move, a set) may be moved to
 * that one, who would then be right to answer it. */
static void answer_by_another(const struct asked *a)
{
    struct client *other = someone(a->client->requester, a->client);

    if (other && a->set && !option.moves && !is(other->jid, a->client->jid))
        say(other, "iq", answer(a, "result", a->id, a->from, BAD));
    answer_now(a);
}

/* The first PLAIN of them send nothing that must not arrive. */
#define PLAIN 5
static const struct {
    int weight;
    void (*answer)(const struct asked *);
} ways[] = {
    {400, answer_now},       {60, answer_error},
    {60, answer_soon},       {20, answer_late},
    {10, answer_never},      {60, answer_twice},
    {60, answer_to_another}, {60, answer_under_another_id},
    {60, answer_to_forged},  {60, answer_by_another},
};

static void answer_somehow(const struct asked *a, size_t count)
{
    long sum = 0, left;
    size_t way = 0;

    for (size_t i = 0; i < count; i++)
        sum += ways[i].weight;
    for (left = chance(sum); left >= ways[way].weight; way++)
        left -= ways[way].weight;
    ways[way].answer(a);
}

/* What must not arrive does no harm only where its request is the only one with
 * its id and addresses, and all that the client says comes once and in order;
 * what a client that resumes says may not. */
static void serve(struct client *client, xmpp_stanza_t *iq)
{
    xmpp_stanza_t *work = ledger_work(iq);
    struct asked a = {
        .client = client,
        .id = attribute(iq, "id"),
        .from = attribute(iq, "from"),
        .work = work,
        .n = work ? strtol(attribute(work, "n"), NULL, 10) : -1,
        .set = is(attribute(iq, "type"), "set"),
    };
    bool twin;

    if (!is(a.from, option.proxy)) /* it pings */
        see(client, a.from);
    client->served++;
    if (a.n >= 0 && !ledger_knows(a.n, !client->requester)) {
        fprintf(stderr, "asked by nobody: %ld\n", a.n);
        wrong++;
        return;
    }
    twin = a.n >= 0 && ledger_is_twin(a.n);
    if (now_ms() < client->hangs)
        return;
    if (!option.wild)
        answer_now(&a);
    else if (twin && client->resumable)
        answer_never(&a);
    else if (is_napping(client))
        answer_soon(&a);
    else
        answer_somehow(&a, twin || client->resumable
                               ? PLAIN
                               : sizeof(ways) / sizeof(*ways));
}

/* The server of a remote target says so of a client that is gone. */
static void bounce(struct client *client, xmpp_stanza_t *stanza)
{
    const char *name = xmpp_stanza_get_name(stanza);

    say(client, name,
        text("type='error' id='%s' to='%s'><error type='cancel'>"
             "<service-unavailable xmlns='" NS_STANZAS "'/></error></%s>",
             escaped(attribute(stanza, "id")),
             escaped(attribute(stanza, "from")), name));
}

static bool is_answer(const char *name, const char *type)
{
    return is(type, "error") || is(type, "result") || is(name, "presence");
}

void traffic_stanza(struct client *client, xmpp_stanza_t *stanza)
{
    const char *name = xmpp_stanza_get_name(stanza);
    const char *type = attribute(stanza, "type");
    const char *from = attribute(stanza, "from");
    size_t length = strlen(option.proxy);
    bool iq = is(name, "iq");

    if (iq && is_answer(name, type))
        ledger_answer(client, stanza);
    else if (strncmp(from, option.proxy, length) != 0 ||
             (from[length] && from[length] != '/'))
        return;
    else if (client->state == OFFLINE && !is_answer(name, type))
        bounce(client, stanza);
    else if (iq && client->bystander)
        wrong++;
    else if (iq)
        serve(client, stanza);
    else
        talk_stanza(client, stanza);
}
