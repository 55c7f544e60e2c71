/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The ledger: each request and its one answer.
 *
 * A request travels under an id with its number in it, and carries its number
 * in the payload, too, so that a result tells which one it is the answer to.
 * Two requests may share an id (twins: the second one's number is the first
 * one's plus 1); an error of the proxy host does not tell which of them it
 * answers, so there it is counted that each of them got one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storm.h"

#define NOBODY (-1L)
#define MAX_COMPLAINTS 20

enum fate { OPEN, ANSWERED, ABANDONED };

struct request {
    enum fate state;
    bool blank, twin, numbered; /* numbered: an answer has shown its number */
    unsigned char form;
    short asker;
    unsigned allowed, given; /* bits of outcomes */
    char *to;                /* while open */
    long before, after;      /* of those open */
    enum outcome outcome;    /* once answered */
    long closed;             /* ms */
};

long asked, answered, doubles, wrong, abandoned;
long outcomes[OUTCOME_COUNT];

static struct request *requests;
static size_t capacity;
static long first_open = NOBODY;

static void link_open(long n)
{
    requests[n].before = NOBODY;
    requests[n].after = first_open;
    if (first_open != NOBODY)
        requests[first_open].before = n;
    first_open = n;
}

static void close_request(long n, enum fate state)
{
    struct request *r = &requests[n];

    if (r->before == NOBODY)
        first_open = r->after;
    else
        requests[r->before].after = r->after;
    if (r->after != NOBODY)
        requests[r->after].before = r->before;
    r->state = state;
    free(r->to);
    r->to = NULL;
    clients[r->asker].open--;
}

long ledger_open(const struct question *q)
{
    long n = asked++;

    if ((size_t)n == capacity) {
        capacity = capacity * 2 + 4096;
        requests = realloc(requests, capacity * sizeof(*requests));
        if (!requests)
            die("no memory");
    }
    requests[n] = (struct request){.state = OPEN,
                                   .blank = q->blank,
                                   .twin = q->twin,
                                   .form = (unsigned char)q->form,
                                   .asker = (short)(q->asker - clients),
                                   .allowed = q->allowed,
                                   .to = strdup(q->to)};
    link_open(n);
    q->asker->open++;
    return n;
}

/* Plain; what ejabberd's router would take for its own; what has to be escaped
 * and is not ASCII; long. */
const char *ledger_id(long n)
{
    long number = requests[n].twin ? n - 1 : n;

    switch (requests[n].form) {
    case 1:
        return text("rr-%ld", number);
    case 2:
        return text("<%ld> & 'caf\xc3\xa9'", number);
    case 3:
        return text("%ld-%0300d", number, 0);
    default:
        return text("%ld", number);
    }
}

static bool known(long n)
{
    return n >= 0 && n < asked;
}

bool ledger_knows(long n, bool requester)
{
    return known(n) && clients[requests[n].asker].requester == requester;
}

bool ledger_is_twin(long n)
{
    return requests[n].twin || (known(n + 1) && requests[n + 1].twin);
}

void ledger_given(long n, enum outcome outcome)
{
    requests[n].given |= 1U << outcome;
}

void ledger_abandon(const struct client *client)
{
    for (long n = first_open, after; n != NOBODY; n = after) {
        after = requests[n].after;
        if (&clients[requests[n].asker] == client) {
            close_request(n, ABANDONED);
            abandoned++;
        }
    }
}

long ledger_unanswered(void)
{
    long count = 0;

    for (long n = first_open; n != NOBODY; n = requests[n].after) {
        if (count++ < MAX_COMPLAINTS)
            fprintf(stderr, "unanswered: %ld of %.200s to %.200s\n", n,
                    clients[requests[n].asker].jid, requests[n].to);
    }
    return count;
}

static void complain(const char *why, struct client *client, xmpp_stanza_t *iq)
{
    static long complaints;
    xmpp_ctx_t *ctx = xmpp_stanza_get_context(iq);
    char *stanza;
    size_t length;

    if (complaints++ >= MAX_COMPLAINTS ||
        xmpp_stanza_to_text(iq, &stanza, &length) != XMPP_EOK)
        return;
    fprintf(stderr, "%s: %.200s got %.1000s\n", why, client->jid, stanza);
    xmpp_free(ctx, stanza);
}

static const char *const words[] = {
#define X(name, word) word,
    OUTCOMES(X)
#undef X
};

enum outcome outcome_of(xmpp_stanza_t *stanza)
{
    xmpp_stanza_t *error = xmpp_stanza_get_child_by_name(stanza, "error");
    xmpp_stanza_t *child = error ? xmpp_stanza_get_children(error) : NULL;

    if (is(attribute(stanza, "type"), "result"))
        return OUTCOME_RESULT;
    for (; child; child = xmpp_stanza_get_next(child)) {
        const char *ns = xmpp_stanza_get_ns(child);

        if (!ns || !is(ns, NS_STANZAS))
            continue;
        for (int i = OUTCOME_CONFLICT; i < OUTCOME_COUNT; i++)
            if (is(xmpp_stanza_get_name(child), words[i]))
                return (enum outcome)i;
    }
    return OUTCOME_OTHER;
}

/* The request with this id; NOBODY where there never was one. */
static long number_of(const char *id)
{
    const char *digits = id + strcspn(id, "0123456789");
    long n = *digits ? strtol(digits, NULL, 10) : NOBODY;

    return known(n) && is(ledger_id(n), id) ? n : NOBODY;
}

xmpp_stanza_t *ledger_work(xmpp_stanza_t *iq)
{
    xmpp_stanza_t *work = xmpp_stanza_get_child_by_ns(iq, NS_STORM);

    return work ? work : xmpp_stanza_get_child_by_ns(iq, NS_COMMANDS);
}

/* The number in the payload of an answer; NOBODY where there is none, or a mark
 * that it must never arrive. */
static long number_within(xmpp_stanza_t *iq)
{
    xmpp_stanza_t *work = ledger_work(iq);

    if (!work || *attribute(work, "bad"))
        return NOBODY;
    return strtol(attribute(work, "n"), NULL, 10);
}

/* Which of n and its twin this answer is for; NOBODY: of neither. */
static long choose(long n, enum outcome outcome, xmpp_stanza_t *iq)
{
    bool twins = known(n + 1) && requests[n + 1].twin;
    bool shown = outcome == OUTCOME_CONFLICT ||
                 (outcome == OUTCOME_RESULT && !requests[n].blank);
    long which = shown ? number_within(iq) : n;
    long other = which == n ? n + 1 : n;

    if (which != n && !(twins && which == n + 1))
        return NOBODY;
    if (shown) {
        if (!(requests[which].given & 1U << outcome))
            return NOBODY;
        if (requests[which].numbered) /* a second time: it is not open */
            return which;
        requests[which].numbered = true;
    }
    /* the one that is open, or else the one that may have been given up */
    if (twins &&
        (requests[other].state == OPEN ||
         (requests[other].state == ABANDONED &&
          requests[which].state == ANSWERED)) &&
        requests[which].state != OPEN)
        return other;
    return which;
}

void ledger_answer(struct client *client, xmpp_stanza_t *iq)
{
    enum outcome outcome = outcome_of(iq);
    long n = number_of(attribute(iq, "id"));
    long which = n == NOBODY ? NOBODY : choose(n, outcome, iq);
    struct request *r = which == NOBODY ? NULL : &requests[which];

    if (!r || !is(client->jid, clients[r->asker].jid)) {
        wrong++;
        complain("not its own", client, iq);
    } else if (r->state == ABANDONED || client != &clients[r->asker]) {
        /* Of a session of this JID that has ended or is just being replaced. */
    } else if (r->state == ANSWERED) {
        doubles++;
        complain(text("twice (%s %ld ms before)", words[r->outcome],
                      now_ms() - r->closed),
                 client, iq);
    } else {
        if (!is(attribute(iq, "from"), r->to)) {
            wrong++;
            complain("from elsewhere", client, iq);
        } else if (!(r->allowed & 1U << outcome)) {
            wrong++;
            complain("unexpected", client, iq);
        }
        close_request(which, ANSWERED);
        r->outcome = outcome;
        r->closed = now_ms();
        answered++;
        outcomes[outcome]++;
    }
}
