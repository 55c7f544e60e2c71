/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "xml.h"

void *sim_grow(void *array, unsigned n, unsigned *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap == 0 ? 1024 : 2 * *cap;
    array = realloc(array, *cap * size);
    if (array == NULL)
        abort();
    return array;
}

void sim_wrong(struct sim_world *w, const char *what, const char *format, ...)
{
    va_list ap;

    if (w->wrong != NULL)
        return;
    w->wrong = what;
    va_start(ap, format);
    vsnprintf(w->how, sizeof w->how, format, ap);
    va_end(ap);
    sim_tell(w, "BROKEN: %s (%s)", what, w->how);
}

void sim_tell(const struct sim_world *w, const char *format, ...)
{
    va_list ap;

    if (w->tell == NULL)
        return;
    fprintf(w->tell, "%9.3f  ", (double)w->now / 1000);
    va_start(ap, format);
    vfprintf(w->tell, format, ap);
    va_end(ap);
    fputc('\n', w->tell);
}

const char *sim_request_name(const struct sim_world *w, unsigned request)
{
    static char names[4][16];
    static unsigned next;
    char *name = names[next++ % 4];

    (void)w;
    snprintf(name, sizeof names[0], "request %u", request);
    return name;
}

void sim_join(const struct jat_buf *b, struct jat_parts parts,
              char out[SIM_ADDRESS])
{
#define PART(s) (int)parts.s.n, parts.s.n == 0 ? "" : b->p + parts.s.at
    snprintf(out, SIM_ADDRESS, "%.*s%s%.*s%s%.*s", PART(user),
             parts.user.n ? "@" : "", PART(server), parts.resource.n ? "/" : "",
             PART(resource));
#undef PART
}

void sim_world_init(struct sim_world *w)
{
    jat_xml_init();
    memset(w, 0, sizeof *w);
}

void sim_world_fini(struct sim_world *w)
{
    free(w->requests);
    free(w->tries);
    free(w->open);
    free(w->sweeps);
    sim_queue_fini(&w->queue);
    jat_buf_fini(&w->buf);
    jat_outcomes_fini(&w->outcomes);
}

/* As it was made, but for its memory, which is used again. */
static void forget(struct sim_world *w)
{
    struct sim_world old = *w;

    memset(w, 0, sizeof *w);
    w->requests = old.requests;
    w->cap_requests = old.cap_requests;
    w->tries = old.tries;
    w->cap_tries = old.cap_tries;
    w->open = old.open;
    w->cap_open = old.cap_open;
    w->sweeps = old.sweeps;
    w->cap_sweeps = old.cap_sweeps;
    w->queue.v = old.queue.v;
    w->queue.cap = old.queue.cap;
    w->buf = old.buf;
    w->outcomes = old.outcomes;
    w->calls = old.calls;
}

static void people_and_places(struct sim_world *w)
{
    static const char *const domains[SIM_DOMAINS] = {
        SIM_LOCAL, "example.net", "example.com", "example.edu"};

    for (unsigned i = 0; i < SIM_ENDPOINTS; i++)
        snprintf(w->places[i].jid, SIM_NAME, "%s@" SIM_LOCAL "/%c",
                 i % 4 == 3 ? "spare" : "svc", 'a' + (int)i);
    for (unsigned i = 0; i < w->plan->n_requesters; i++) {
        const struct sim_requester *r = &w->plan->requesters[i];

        w->people[i].user = r->user;
        w->people[i].domain = r->domain;
        snprintf(w->people[i].jid, SIM_NAME, "u%u@%s/r%u", r->user,
                 domains[r->domain], r->resource);
    }
}

static void begin(struct sim_world *w)
{
    unsigned char seed[24];
    struct luck l = luck_of(w->plan->seed, 1);

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (unsigned char)luck_below(&l, 256);
    w->options = w->plan->options;
    if (jat_instance_new(sim_options_config(&w->options), seed, &w->j) !=
        JAT_OK)
        abort();
    people_and_places(w);
    for (unsigned i = 0; i < w->plan->n_steps; i++)
        sim_queue_put(&w->queue, w->plan->steps[i].at, SIM_DUE_STEP, i, 0);
    sim_queue_put(&w->queue, w->plan->stop, SIM_DUE_STOP, 0, 0);
    sim_queue_put(&w->queue, w->plan->tick, SIM_DUE_TICK, 0, 0);
}

static void reload(struct sim_world *w, const struct sim_step *s)
{
    struct luck l = luck_of(s->luck, 2);
    struct sim_options old = w->options;

    sim_options_draw(&l, &w->options);
    sim_tell(w, "reload");
    if (w->tell != NULL)
        sim_options_tell(w->tell, &w->options, &old);
    SIM_HOLDS(w, jat_configure(w->j, sim_options_config(&w->options)) == JAT_OK,
              "a configuration is taken", "of step %lu", s->luck);
    w->era++;
    sim_choice_forget(w);
    sim_place_addresses(w);
    sim_health_reloaded(w);
}

static void step(struct sim_world *w, const struct sim_step *s)
{
    if (w->stopped)
        return;
    switch (s->kind) {
    case SIM_ASK:
        sim_ask(w, s);
        break;
    case SIM_ASK_OUT:
        sim_ask_out(w, s);
        break;
    case SIM_COME:
        sim_place_come(w, s);
        break;
    case SIM_LEAVE:
        sim_place_leave(w, s->who);
        break;
    case SIM_CRASH:
        sim_place_crash(w, s);
        break;
    case SIM_PEND:
        sim_place_pend(w, s);
        break;
    case SIM_HANG:
        sim_place_hang(w, s);
        break;
    case SIM_DRAIN:
        sim_place_drain(w, s);
        break;
    case SIM_RELOAD:
        reload(w, s);
        break;
    case SIM_KIND_COUNT:
        break;
    }
}

/* The next tick; where nothing is in flight, not before something is to
 * happen. */
static void tick(struct sim_world *w)
{
    uint64_t next = w->now;

    sim_health_tick(w);
    sim_expire(w);
    if (w->stopped)
        return;
    if (w->n_open == 0 && !sim_health_is_watched(w) && w->queue.n > 0 &&
        w->queue.v[0].at > next)
        next = w->queue.v[0].at;
    sim_queue_put(&w->queue, next + w->plan->tick, SIM_DUE_TICK, 0, 0);
}

static void sweep(struct sim_world *w, unsigned i)
{
    struct luck l = luck_of(w->plan->seed, w->queue.order);

    if (!sim_sweep(w, &w->sweeps[i], 16 + luck_below(&l, 2000)))
        sim_queue_put(&w->queue, w->now + luck_below(&l, 20), SIM_DUE_SWEEP, i,
                      0);
}

static void happen(struct sim_world *w, const struct sim_event *e)
{
    switch (e->what) {
    case SIM_DUE_STEP:
        step(w, &w->plan->steps[e->a]);
        break;
    case SIM_DUE_ANSWER:
        sim_answer(w, e->a, e->b);
        break;
    case SIM_DUE_BOUNCE:
        sim_bounce(w, e->a, (enum jat_how)e->b);
        break;
    case SIM_DUE_ABORT:
        sim_abort(w, e->a);
        break;
    case SIM_DUE_DECIDE:
        sim_decide(w, e->a, (enum jat_why)e->b);
        break;
    case SIM_DUE_NOTICE:
        sim_place_noticed(w, e->a, e->b);
        break;
    case SIM_DUE_RESUMED:
        sim_place_resumed(w, e->a, e->b);
        break;
    case SIM_DUE_PONG:
        sim_health_ponged(w, e->a, e->b);
        break;
    case SIM_DUE_SWEEP:
        sweep(w, e->a);
        break;
    case SIM_DUE_TICK:
        tick(w);
        break;
    case SIM_DUE_STOP:
        sim_tell(w, "stop");
        sim_close_all(w);
        break;
    }
}

void sim_world_play(struct sim_world *w, const struct sim_plan *p, FILE *tell,
                    struct sim_seen *seen)
{
    struct sim_event e;

    forget(w);
    w->plan = p;
    w->tell = tell;
    w->seen = seen;
    begin(w);
    while (w->wrong == NULL && sim_queue_take(&w->queue, &e)) {
        w->now = e.at;
        happen(w, &e);
        if (w->wrong == NULL)
            sim_books_look(w);
    }
    if (w->wrong == NULL)
        sim_books_audit(w);
    jat_instance_free(w->j);
}
