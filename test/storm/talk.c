/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Messages, each with a number, and the presence that endpoints direct to those
 * who have written to them. Whoever gets no error for a message knows that it
 * has been read: once, and in the order in which it was written.
 *
 * There are these exceptions. What is on the wire to one whose connection
 * breaks is lost, unless it can be taken up again (XEP-0198). Then what the
 * server does not know to have been read comes once more, to the same one or
 * another, or comes back as an error. A message that has found its endpoint
 * gone moves to another one, perhaps behind a later one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storm.h"

#define NOBODY (-1L)
/* ms. How long it may take until a message is read, or it is known that a
 * connection has ended ... */
#define LATE 20000
/* ... and how long a message may be given to one that has left. */
#define NOTICED 3000
#define MAX_COMPLAINTS 20
#define MAX_SHOWN 1024
#define ID_FORMS 4

enum fate { OPEN, READ, REFUSED, LOST, EXCUSED, GIVEN_UP };

struct letter {
    enum fate fate;
    bool inward;          /* to an endpoint */
    bool again;           /* it may come once more */
    bool risky;           /* its address may be forgotten meanwhile */
    short writer, reader; /* reader: the first one */
    unsigned char form;   /* of its id */
    long written;         /* ms */
    char *to;
};

struct talk_report talk_report;

static struct letter *all;
static size_t capacity;
static long letters, judged;
/* When an endpoint, and a requester, has come or gone the last time, and when
 * one of them has broken its connection for good. */
static long moved[2], broke[2];
/* The last one that each client has read of each other one. */
static long heard[MAX_CLIENTS][MAX_CLIENTS];

static long number(const struct client *client)
{
    return client - clients;
}

static void complain(const char *why, long n, const struct client *reader)
{
    static long complaints;

    if (complaints++ < MAX_COMPLAINTS)
        fprintf(stderr,
                "message %ld, %s, %ld s ago: of %.200s (%ld) to %.200s, at "
                "%.200s\n",
                n, why, (now_ms() - all[n].written) / 1000,
                clients[all[n].writer].jid, (long)all[n].writer, all[n].to,
                reader ? reader->jid : "nobody");
}

void talk_moved(const struct client *client, bool broken)
{
    moved[client->requester] = now_ms();
    if (broken && !client->resumable)
        broke[client->requester] = now_ms();
}

/* Letters */

/* As those of requests, see ledger_id. */
static const char *id_of(long n)
{
    switch (all[n].form) {
    case 1:
        return text("rr-t-%ld", n);
    case 2:
        return text("<t-%ld> & 'caf\xc3\xa9'", n);
    case 3:
        return text("t-%ld-%0300d", n, 0);
    default:
        return text("t-%ld", n);
    }
}

static long number_of(const char *id)
{
    const char *place = strstr(id, "t-");
    long n = place ? strtol(place + 2, NULL, 10) : NOBODY;

    return n >= 0 && n < letters && is(id_of(n), id) ? n : NOBODY;
}

/* risky: too much of them is dropped, or its address may be forgotten. */
static long write_letter(struct client *writer, const char *to, bool risky)
{
    long n = letters++;

    if ((size_t)n == capacity) {
        capacity = capacity * 2 + 4096;
        all = realloc(all, capacity * sizeof(*all));
        if (!all)
            die("no memory");
    }
    all[n] = (struct letter){.inward = writer->requester,
                             .risky = risky,
                             .writer = (short)number(writer),
                             .form = (unsigned char)chance(ID_FORMS),
                             .written = now_ms(),
                             .to = strdup(to)};
    return n;
}

/* A name that the proxy host may forget: see address.h. */
static bool is_handle(const char *address)
{
    size_t length = strlen(address);

    return length > 2 && is(address + length - 2, ".@");
}

/* What one that resumes has said may come twice (see clients.c): it does not
 * write. */
static struct client *writer_of(bool requester)
{
    struct client *writer = someone(requester, NULL);

    return writer && !writer->resumable ? writer : NULL;
}

static void show(struct client *client)
{
    const char *to = seen(client);

    if (!to || client->resumable)
        return;
    talk_report.shows++;
    say(client, "presence",
        text("to='%s'%s/>", escaped(to),
             chance(3) == 0 ? " type='unavailable'" : ""));
}

static void talk(void)
{
    struct client *writer = writer_of(chance(2) == 0);
    const char *to;
    long n;

    if (!writer)
        return;
    if (!writer->requester && chance(4) == 0) {
        show(writer);
        return;
    }
    to = writer->requester && chance(3) != 0 ? option.proxy : seen(writer);
    if (!to)
        return;
    n = write_letter(writer, to,
                     writer->requester ? option.limited != 0 : is_handle(to));
    say(writer, "message",
        text("type='%s' id='%s' to='%s'><body>%ld</body><work xmlns='" NS_STORM
             "' n='%ld'/></message>",
             chance(2) ? "chat" : "normal", escaped(id_of(n)),
             escaped(all[n].to), n, n));
}

/* Letters are read */

static bool since(long when, const struct letter *l, long before)
{
    return when && when >= l->written - before;
}

/* One that has not been read by now is lost, with or without an excuse. */
static void judge(struct letter *l)
{
    bool excused = l->risky || since(broke[!l->inward], l, LATE);

    if (l->fate == OPEN)
        l->fate = excused ? EXCUSED : LOST;
}

static bool is_in_order(long n, const struct client *reader)
{
    long *last = &heard[number(reader)][all[n].writer];
    bool later = n > *last;

    if (later)
        *last = n;
    return later || n == 0;
}

/* An address that shows the writer as he is shows the right one. */
static bool is_from(const struct letter *l, const char *from)
{
    const char *resource = strchr(from, '/');
    size_t length = strlen(from);

    if (!l->inward || !resource || from[length - 1] == '@')
        return resource != NULL;
    return is(resource + 1, clients[l->writer].jid);
}

static void wrong_letter(const char *why, long n, const struct client *client)
{
    talk_report.wrong++;
    complain(why, n, client);
}

static bool is_whole(long n, xmpp_stanza_t *message)
{
    xmpp_stanza_t *work = xmpp_stanza_get_child_by_ns(message, NS_STORM);

    return work && strtol(attribute(work, "n"), NULL, 10) == n &&
           xmpp_stanza_get_child_by_name(message, "body");
}

/* What is for a requester who is gone comes to all other clients of his (RFC
 * 6121, 8.5.3.2.1), and from one that goes, too, an error comes back. */
static bool may_be_copied(const struct letter *l)
{
    return !l->inward && since(moved[true], l, LATE);
}

static bool may_repeat(const struct letter *l, const struct client *reader)
{
    bool copy = !l->inward && l->fate == READ && l->reader != number(reader);

    return l->again || reader->resumable || copy || may_be_copied(l);
}

static void read_letter(struct client *reader, xmpp_stanza_t *message, long n)
{
    const char *from = attribute(message, "from");
    struct letter *l = &all[n];
    bool ended = l->fate == READ || l->fate == REFUSED;

    if (l->inward == reader->requester || reader->bystander)
        wrong_letter("for somebody else", n, reader);
    if (!is_from(l, from) || !is_whole(n, message))
        wrong_letter("changed", n, reader);
    if (ended && !may_repeat(l, reader))
        wrong_letter("read after it was read or refused", n, reader);
    see(reader, from);
    l->again = l->again || reader->resumable;
    talk_report.repeated += ended;
    if (ended || l->fate == GIVEN_UP)
        return;
    if (!is_in_order(n, reader) && !since(moved[!l->inward], l, NOTICED)) {
        talk_report.disordered++;
        complain("not in order", n, reader);
    }
    l->fate = READ;
    l->reader = (short)number(reader);
}

/* The server of a remote target says for itself that somebody is gone. */
static bool may_refuse(const char *from, const struct letter *l)
{
    return is(from, l->to) ||
           (option.domain &&
            strncmp(from, option.proxy, strlen(option.proxy)) == 0);
}

static void refused(const struct client *client, xmpp_stanza_t *message, long n)
{
    struct letter *l = &all[n];

    /* an error for a session of this JID that was before this one */
    if (client != &clients[l->writer] || l->fate == GIVEN_UP)
        return;
    if (!may_refuse(attribute(message, "from"), l))
        wrong_letter("refused by somebody else", n, client);
    if ((l->fate == READ || l->fate == REFUSED) && !l->again &&
        !may_be_copied(l))
        wrong_letter("refused after it was read or refused", n, client);
    if (l->fate != READ && l->fate != REFUSED)
        talk_report.errors[outcome_of(message)]++;
    if (l->fate != READ)
        l->fate = REFUSED;
}

/* Nobody can say what has become of what this client has written. */
void talk_abandon(const struct client *client)
{
    for (long n = judged; n < letters; n++)
        if (&clients[all[n].writer] == client && all[n].fate == OPEN)
            all[n].fate = GIVEN_UP;
}

/* Presence */

/* Who has shown himself to whom, and has not gone. */
static struct shown {
    const struct client *to;
    char *from;
} shown[MAX_SHOWN];
static long shown_count;

static void forget(long i)
{
    free(shown[i].from);
    shown[i] = shown[--shown_count];
}

static void take_presence(const struct client *client, xmpp_stanza_t *presence)
{
    const char *from = attribute(presence, "from");
    const char *type = attribute(presence, "type");
    long i = 0;

    if (!client->requester || !strchr(from, '/'))
        return;
    while (i < shown_count &&
           !(shown[i].to == client && is(shown[i].from, from)))
        i++;
    if (i < shown_count && is(type, "unavailable"))
        forget(i);
    else if (i == shown_count && is(type, "") && i < MAX_SHOWN)
        shown[shown_count++] = (struct shown){client, strdup(from)};
}

bool talk_shows_somebody(void)
{
    return shown_count > 0;
}

void talk_sees_nobody(const struct client *client)
{
    for (long i = shown_count; i-- > 0;)
        if (shown[i].to == client)
            forget(i);
}

/* All of it */

void talk_stanza(struct client *client, xmpp_stanza_t *stanza)
{
    long n = number_of(attribute(stanza, "id"));

    if (is(xmpp_stanza_get_name(stanza), "presence"))
        take_presence(client, stanza);
    else if (n == NOBODY)
        talk_report.wrong += client->bystander;
    else if (is(attribute(stanza, "type"), "error"))
        refused(client, stanza, n);
    else
        read_letter(client, stanza, n);
}

/* A few at once at the most, so that nobody exceeds message_rate after a pause
 * of this machine. */
void talk_run(long elapsed, bool over)
{
    static long next;

    if (next < elapsed - 100)
        next = elapsed - 100;
    for (; option.talk && !over && next <= elapsed; next += 1000 / option.talk)
        talk();
    for (; judged < letters && now_ms() - all[judged].written >= LATE; judged++)
        judge(&all[judged]);
}

bool talk_is_over(void)
{
    for (long n = 0; n < letters; n++)
        if (all[n].fate == OPEN || all[n].fate == LOST)
            return false;
    return true;
}

void talk_sum_up(void)
{
    long *counts[] = {
        [OPEN] = &talk_report.lost,       [READ] = &talk_report.read,
        [REFUSED] = &talk_report.refused, [LOST] = &talk_report.lost,
        [EXCUSED] = &talk_report.excused, [GIVEN_UP] = &talk_report.given_up};

    for (long n = 0; n < letters; n++) {
        ++*counts[all[n].fate];
        if (counts[all[n].fate] == &talk_report.lost)
            complain("lost", n, NULL);
    }
    talk_report.letters = letters;
    talk_report.still_shown = shown_count;
    for (long i = 0; i < shown_count && i < MAX_COMPLAINTS; i++)
        fprintf(stderr, "still shown: %.200s to %.200s\n", shown[i].from,
                shown[i].to->jid);
}
