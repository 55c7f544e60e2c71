/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <string.h>

#include "sim.h"

struct stanza {
    const char *type, *id, *from, *to;
    unsigned room, session;
    bool request;
    uint32_t size;
    unsigned hints;
};

/* False: there is no decision, which is wrong. */
static bool handle(struct sim_world *w, const struct stanza *s,
                   struct jat_decision *out)
{
    char xml[1024], room[32] = "", session[48] = "";
    bool child = s->request || s->session > 0;
    enum jat_err err;
    int n;

    if (s->room > 0)
        snprintf(room, sizeof room, " room='room%u'", s->room);
    if (s->session > 0)
        snprintf(session, sizeof session, " sid='s%u' sessionid='s%u'",
                 s->session, s->session);
    n = snprintf(xml, sizeof xml,
                 "<iq xmlns='jabber:client' type='%s' id='%s' from='%s' "
                 "to='%s'>%s%s%s%s</iq>",
                 s->type, s->id, s->from, s->to,
                 child ? "<q xmlns='" SIM_ROOMS "'" : "", room, session,
                 child ? "/>" : "");
    jat_buf_reset(&w->buf, SIZE_MAX);
    err = jat_handle(w->j, jat_str(xml, (size_t)n), JAT_STR(""), s->hints,
                     s->size, w->now, &w->buf, out);
    w->calls++;
    SIM_HOLDS(w, err == JAT_OK, "each stanza has a decision", "%s: %s", xml,
              jat_err_name(err));
    return err == JAT_OK;
}

static void copy_id(const struct sim_world *w, const struct jat_forward *f,
                    const char *id, char out[SIM_NAME])
{
    if (f->new_id)
        snprintf(out, SIM_NAME, "%.*s", (int)f->id.n, w->buf.p + f->id.at);
    else
        snprintf(out, SIM_NAME, "%s", id);
}

/* Requests */

/* One of requester `person`, or of endpoint `place`. */
static struct sim_request request_of(const struct sim_world *w,
                                     const struct sim_step *s)
{
    struct sim_request q = {.step = s,
                            .out = s->kind == SIM_ASK_OUT,
                            .any = s->kind == SIM_ASK && s->whom == SIM_NOBODY,
                            .session = -1,
                            .sticky = -1,
                            .bound = SIM_NOBODY,
                            .person = s->kind == SIM_ASK ? s->who : s->whom,
                            .place = s->kind == SIM_ASK ? s->whom : s->who,
                            .era = w->era,
                            .born = w->now,
                            .deadline = w->now + (uint64_t)sim_option_number(
                                                     &w->options, SIM_TIMEOUT)};

    snprintf(q.id, sizeof q.id, "%u", s->id);
    return q;
}

/* Why it has to be refused, but for limits; JAT_WHY_COUNT: not so. */
static enum jat_why refusal_of(const struct sim_world *w,
                               const struct sim_request *q)
{
    if (q->any || q->bound != SIM_NOBODY)
        return sim_place_count(w) == 0 ? JAT_WHY_NO_ENDPOINT : JAT_WHY_COUNT;
    return w->places[q->place].online ? JAT_WHY_COUNT : JAT_WHY_ENDPOINT_GONE;
}

/* All that could take it are full. */
static bool no_room(struct sim_world *w, const struct sim_request *q)
{
    uint8_t kept = sim_kept_place(w, q);
    uint8_t only = q->bound != SIM_NOBODY ? q->bound : q->any ? kept : q->place;

    sim_choice_turn_lost(w);
    if (q->any)
        sim_kept_used(w, q);
    return only != SIM_NOBODY ? sim_is_full(w, &w->places[only])
                              : sim_candidates(w, q) == 0;
}

/* lost: why it has to be, for its session's sake; or JAT_WHY_COUNT. waits: it
 * would wait, if there were room. */
static void refused(struct sim_world *w, const struct sim_request *q,
                    enum jat_why lost, bool waits, enum jat_why why)
{
    enum jat_why expected = lost != JAT_WHY_COUNT ? lost : refusal_of(w, q);

    w->stats[JAT_STAT_refused]++;
    if (w->seen != NULL)
        w->seen->errors_of_host++;
    sim_tell(w, "   refused: %s", jat_why_name(why));
    SIM_HOLDS(w, !waits || !sim_waiting_may_keep(w, q),
              "what may wait is not refused", "%s", jat_why_name(why));
    if (waits && sim_books_full(w, q, JAT_WHY_COUNT))
        expected = JAT_WHY_COUNT;
    if (lost != JAT_WHY_COUNT && why == lost)
        (void)sim_kept_gone(w, q);
    if (expected != JAT_WHY_COUNT)
        SIM_HOLDS(w, why == expected, "a refusal says why", "%s, not %s",
                  jat_why_name(why), jat_why_name(expected));
    else
        SIM_HOLDS(
            w,
            why == JAT_WHY_MAX_PENDING_PER_ENDPOINT ? no_room(w, q)
                                                    : sim_books_full(w, q, why),
            "what there is room for is not refused", "%s", jat_why_name(why));
}

static bool is_repeatable(const struct sim_world *w, const struct sim_step *s)
{
    return !s->set || *sim_option_word(&w->options, SIM_RETRY_SETS) != '\0';
}

/* The request has gone on: its first record. */
static void forwarded(struct sim_world *w, struct sim_request *q,
                      const struct jat_forward *f, unsigned place)
{
    char *known =
        q->out ? w->places[q->place].address : w->people[q->person].address;
    struct sim_try t = {.ref = f->record};
    unsigned number, request;

    sim_join(&w->buf, f->from, t.shown);
    copy_id(w, f, q->id, t.id);
    snprintf(known, SIM_ADDRESS, "%s", t.shown);
    SIM_HOLDS(w, !f->answer && f->record != 0, "a request has a record", "%s",
              q->id);
    SIM_HOLDS(w, refusal_of(w, q) == JAT_WHY_COUNT,
              "what nobody can take is refused", "%s", q->id);
    SIM_HOLDS(w, !sim_books_full(w, q, JAT_WHY_COUNT), "no limit is exceeded",
              "%s", q->id);
    q->octets = f->keep ? q->step->size : 0;
    SIM_HOLDS(w,
              f->keep ==
                  (q->any && is_repeatable(w, q->step) && q->retries > 0 &&
                   sim_books_keep(w, q, q->step->size)),
              "what may be asked twice is kept where there is room",
              "%s is%s kept", q->id, f->keep ? "" : " not");
    if (!q->out) {
        sim_choice_check(w, q, place);
        if (q->any)
            sim_kept_used(w, q);
        sim_kept_sent(w, q, place);
        sim_kept_begun(w, q, place);
    }
    request = sim_books_begin(w, q);
    number = sim_books_try(w, request, place, &t);
    sim_tell(w, "   %s goes to %s%s%s", sim_request_name(w, request),
             q->out ? w->people[q->person].jid : w->places[place].jid,
             f->keep ? ", kept" : "", f->new_id ? ", with an id of ours" : "");
    sim_deliver(w, number);
}

/* It can neither go on nor wait. */
static bool is_in_vain(const struct sim_world *w, const struct sim_request *q,
                       enum jat_why lost)
{
    return (lost != JAT_WHY_COUNT || refusal_of(w, q) != JAT_WHY_COUNT) &&
           (sim_option_number(&w->options, SIM_WAIT_FOR_ENDPOINT) == 0 ||
            q->step->size == 0);
}

/* Another module is asked about it. True: it may go on. */
static bool is_admitted(struct sim_world *w, struct sim_request *q,
                        struct stanza iq, enum jat_why lost,
                        enum sim_verdict verdict)
{
    struct jat_decision d;

    iq.hints = JAT_HINT_ASK_ADMISSION;
    if (!handle(w, &iq, &d))
        return false;
    SIM_HOLDS(w,
              d.verb == (is_in_vain(w, q, lost) ? JAT_DO_REFUSE : JAT_DO_ASK) &&
                  (d.verb != JAT_DO_ASK || d.ask.what == JAT_ASK_ADMISSION),
              "others are asked only of what would go on", "%s: verb %d", q->id,
              (int)d.verb);
    if (d.verb == JAT_DO_REFUSE)
        refused(w, q, lost, false, d.why);
    if (d.verb == JAT_DO_REFUSE || verdict == SIM_ALLOWED)
        return d.verb != JAT_DO_REFUSE;
    if (verdict == SIM_DENIED) {
        sim_tell(w, "   another module answers it");
        return false;
    }
    iq.hints = JAT_HINT_HELD;
    if (handle(w, &iq, &d))
        sim_held_begin(w, q, &d);
    return false;
}

static void ask(struct sim_world *w, const struct sim_step *s,
                enum sim_verdict verdict)
{
    struct sim_request q = request_of(w, s);
    const char *to = q.any ? SIM_HOST : w->places[q.place].address;
    struct stanza iq = {s->set ? "set" : "get",
                        q.id,
                        w->people[q.person].jid,
                        to,
                        s->room,
                        s->session,
                        true,
                        s->size,
                        0};
    enum jat_why lost;
    bool waits;
    struct jat_decision d;
    char at[SIM_ADDRESS];
    uint8_t place;

    if (!*to || w->stopped)
        return; /* nobody knows its address yet */
    sim_tell(w, "%s asks %s%s: %s #%s, room %u, session %u, %u octets",
             w->people[q.person].jid, q.any ? "P" : "P/enc of ",
             q.any ? "" : w->places[q.place].jid, iq.type, q.id, s->room,
             s->session, s->size);
    snprintf(q.asked, sizeof q.asked, "%s", to);
    lost = sim_kept_ask(w, &q);
    if (q.any && q.session < 0)
        q.retries = (unsigned)sim_option_number(&w->options, SIM_RETRIES);
    q.sticky = q.any ? sim_sticky_key(w, &q) : -1;
    waits = sim_waiting_must(
        w, &q,
        lost != JAT_WHY_COUNT ||
            (!q.any && q.bound == SIM_NOBODY && !w->places[q.place].online));
    if (verdict != SIM_NOT_ASKED && !is_admitted(w, &q, iq, lost, verdict))
        return;
    if (!handle(w, &iq, &d))
        return;
    if (d.verb == JAT_DO_REFUSE) {
        refused(w, &q, lost, waits, d.why);
        return;
    }
    SIM_HOLDS(w,
              (d.verb == JAT_DO_HOLD) == (waits && sim_waiting_may_keep(w, &q)),
              "who has to wait does, and nobody else", "%s", q.id);
    if (d.verb == JAT_DO_HOLD && w->wrong == NULL) {
        w->stats[JAT_STAT_requests]++;
        sim_waiting_begin(w, &q, is_repeatable(w, s), d.record);
        return;
    }
    SIM_HOLDS(w, lost == JAT_WHY_COUNT,
              "a session that has gone with its endpoint is told so", "%s",
              q.id);
    SIM_HOLDS(w, d.verb == JAT_DO_FORWARD && d.forward.direction == JAT_IN,
              "a request is refused or goes on", "verb %d", (int)d.verb);
    if (w->wrong != NULL)
        return;
    sim_join(&w->buf, d.forward.to, at);
    place = sim_place_of(w, at);
    SIM_HOLDS(w, place != SIM_NOBODY, "a request goes to an endpoint", "%s",
              at);
    w->stats[JAT_STAT_requests]++;
    if (w->wrong == NULL)
        forwarded(w, &q, &d.forward, place);
}

void sim_ask(struct sim_world *w, const struct sim_step *s)
{
    ask(w, s, sim_held_verdict(w, s));
}

void sim_ask_again(struct sim_world *w, const struct sim_step *s)
{
    ask(w, s, SIM_NOT_ASKED);
}

void sim_ask_out(struct sim_world *w, const struct sim_step *s)
{
    struct sim_request q = request_of(w, s);
    const struct sim_place *p = &w->places[q.place];
    const struct sim_person *u = &w->people[q.person];
    struct stanza iq = {
        s->set ? "set" : "get", q.id, p->jid, q.asked, s->room, 0, true, 0, 0};
    struct jat_decision d;
    char to[SIM_ADDRESS];

    if (!p->online || !p->alive || p->state.pending || w->stopped)
        return;
    if (*u->address)
        snprintf(q.asked, sizeof q.asked, "%s", u->address);
    else
        snprintf(q.asked, sizeof q.asked, SIM_HOST "/%s", u->jid);
    sim_tell(w, "%s asks P/enc of %s: %s #%s", p->jid, u->jid, iq.type, q.id);
    if (!handle(w, &iq, &d))
        return;
    if (d.verb == JAT_DO_REFUSE) {
        refused(w, &q, JAT_WHY_COUNT, false, d.why);
        return;
    }
    SIM_HOLDS(w, d.verb == JAT_DO_FORWARD && d.forward.direction == JAT_OUT,
              "a request is refused or goes on", "verb %d", (int)d.verb);
    if (w->wrong != NULL)
        return;
    sim_join(&w->buf, d.forward.to, to);
    SIM_HOLDS(w, strcmp(to, u->jid) == 0, "a request goes to who is asked",
              "%s, not %s", to, u->jid);
    w->stats[JAT_STAT_outbound_requests]++;
    forwarded(w, &q, &d.forward, q.place);
}

/* What becomes of it */

/* Most take about as long as usual, some much longer. */
static uint64_t latency(struct luck *l, const struct sim_profile *how)
{
    uint64_t ms = how->latency / 2 + luck_below(l, how->latency + 1);

    if (luck_one_in(l, 16))
        ms *= how->steady ? 2 : 8;
    if (luck_one_in(l, 64))
        ms *= how->steady ? 2 : 40;
    return 1 + ms;
}

static void deliver_out(struct sim_world *w, unsigned t, struct luck *l)
{
    static const struct sim_profile client = {.latency = 200};
    unsigned fate = luck_below(l, 8);

    if (fate == 0)
        sim_queue_put(&w->queue, w->now + 1 + luck_below(l, 30), SIM_DUE_BOUNCE,
                      t,
                      luck_one_in(l, 2) ? JAT_HOW_LOST : JAT_HOW_UNDELIVERED);
    else if (fate < 7)
        sim_queue_put(&w->queue, w->now + latency(l, &client), SIM_DUE_ANSWER,
                      t, fate == 1 ? SIM_ANSWER_ERROR : 0);
}

void sim_deliver(struct sim_world *w, unsigned t)
{
    const struct sim_try *v = &w->tries[t];
    const struct sim_request *q = &w->requests[v->request];
    const struct sim_place *p = &w->places[v->place];
    const struct sim_profile *how = &w->plan->endpoints[v->place];
    struct luck l = luck_of(q->step->luck, q->n_tries);
    unsigned answer = luck_permille(&l, how->errors) ? SIM_ANSWER_ERROR : 0;

    if (luck_one_in(&l, 200) && w->seen == NULL)
        sim_queue_put(&w->queue, w->now, SIM_DUE_ABORT, t, 0);
    else if (q->out)
        deliver_out(w, t, &l);
    else if (!p->alive)
        sim_queue_put(&w->queue, w->now + 1 + luck_below(&l, 30),
                      SIM_DUE_BOUNCE, t,
                      luck_one_in(&l, 2) ? JAT_HOW_LOST : JAT_HOW_UNDELIVERED);
    else if (luck_permille(&l, how->refuses))
        sim_queue_put(&w->queue, w->now + 1, SIM_DUE_BOUNCE, t,
                      JAT_HOW_REFUSED);
    else if (!luck_permille(&l, how->silent))
        sim_queue_put(
            &w->queue, w->now + latency(&l, how), SIM_DUE_ANSWER, t,
            answer | (luck_permille(&l, how->twice) ? SIM_ANSWER_TWICE : 0));
}

/* Answers */

static void answered(struct sim_world *w, unsigned t, bool error,
                     unsigned session, const struct jat_forward *f)
{
    const struct sim_try *v = &w->tries[t];
    unsigned number = v->request;
    const struct sim_request *q = &w->requests[number];
    const char *asker =
        q->out ? w->places[q->place].jid : w->people[q->person].jid;
    char to[SIM_ADDRESS], from[SIM_ADDRESS], id[SIM_NAME];

    sim_join(&w->buf, f->to, to);
    sim_join(&w->buf, f->from, from);
    copy_id(w, f, v->id, id);
    SIM_HOLDS(w, f->answer && f->record == v->ref,
              "an answer ends its own request", "%s",
              sim_request_name(w, number));
    SIM_HOLDS(w,
              strcmp(to, asker) == 0 && strcmp(from, q->asked) == 0 &&
                  strcmp(id, q->id) == 0,
              "whoever has asked gets the answer, from whom he has asked",
              "#%s from %s to %s", id, from, to);
    SIM_HOLDS(w, f->keep == (q->octets > 0), "what was kept is let go of", "%s",
              sim_request_name(w, number));
    w->stats[q->out ? JAT_STAT_outbound_answers : JAT_STAT_answers]++;
    if (w->seen != NULL)
        w->seen->errors_of_endpoints += error;
    if (!q->out && !error && strcmp(q->asked, SIM_HOST) == 0)
        sim_kept_answered(w, q, v->place, session);
    sim_books_close(w, t, SIM_TOLD_ANSWER);
    sim_books_end(w, number);
}

/* The session that has the record can still answer. */
static bool can_answer(const struct sim_world *w, const struct sim_try *v)
{
    const struct sim_place *p = &w->places[v->place];

    if (w->requests[v->request].out)
        return true;
    return p->alive && p->session == v->session;
}

/* The session that a result names: mostly the one that was asked for. */
static unsigned session_in(const struct sim_request *q)
{
    struct luck l = luck_of(q->step->luck, 77);

    if (q->out || luck_one_in(&l, 2))
        return 0;
    return q->step->session > 0 && !luck_one_in(&l, 8)
               ? q->step->session
               : luck_below(&l, SIM_SESSIONS_MAX + 1);
}

static void answer_once(struct sim_world *w, unsigned t, bool error)
{
    const struct sim_try *v = &w->tries[t];
    const struct sim_request *q = &w->requests[v->request];
    const struct sim_place *p = &w->places[v->place];
    unsigned session = error ? 0 : session_in(q);
    bool waits = !v->over && p->online && p->session == v->session;
    struct stanza iq = {error ? "error" : "result",
                        v->id,
                        q->out ? w->people[q->person].jid : p->jid,
                        v->shown,
                        0,
                        session,
                        false,
                        0,
                        0};
    struct jat_decision d;

    sim_tell(w, "%s answers %s%s", iq.from, sim_request_name(w, v->request),
             error ? " with an error" : "");
    if (!handle(w, &iq, &d))
        return;
    if (d.verb == JAT_DO_FORWARD) {
        SIM_HOLDS(w, waits, "an answer that nobody waits for is dropped",
                  "%s gets one", sim_request_name(w, v->request));
        if (w->wrong == NULL)
            answered(w, t, error, session, &d.forward);
        return;
    }
    SIM_HOLDS(w, !waits, "an answer reaches who waits for it", "that of %s",
              sim_request_name(w, v->request));
    SIM_HOLDS(w, d.verb == JAT_DO_DROP && d.reason == JAT_REASON_UNSOLICITED,
              "an answer is never answered", "that of %s",
              sim_request_name(w, v->request));
    sim_tell(w, "   dropped");
    w->stats[JAT_STAT_unsolicited]++;
}

void sim_answer(struct sim_world *w, unsigned t, unsigned how)
{
    const struct sim_try *v = &w->tries[t];
    const struct sim_place *p = &w->places[v->place];
    bool error = (how & SIM_ANSWER_ERROR) != 0;

    if (!can_answer(w, v))
        return;
    if (!w->requests[v->request].out && p->back > w->now) {
        sim_queue_put(&w->queue, p->back, SIM_DUE_ANSWER, t, how);
        return;
    }
    /* what was closed so long ago may be taken for another one's */
    if (v->over && v->closed + JAT_CLOSED_MS <= w->now)
        return;
    answer_once(w, t, error);
    if ((how & SIM_ANSWER_TWICE) != 0 && w->wrong == NULL)
        answer_once(w, t, error);
}
