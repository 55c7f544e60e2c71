/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What the core shows to people is what is there. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void look_at_endpoint(struct sim_world *w,
                             const struct jat_endpoint_row *e, unsigned place)
{
    const struct sim_place *p = &w->places[place];
    int c = 'a' + (int)place;

    SIM_HOLDS(w, e->requests == p->requests,
              "an endpoint's requests are those that it has",
              "%c: %u are counted, %u are there", c, e->requests, p->requests);
    SIM_HOLDS(w, e->outbound == p->outbound,
              "an endpoint's requests are those that it has",
              "%c: %u of its own are counted, %u are there", c, e->outbound,
              p->outbound);
    SIM_HOLDS(w, e->answered == p->answered && e->failed == p->failed,
              "the ends of an endpoint's records add up",
              "%c: %lu answered, %lu failed; in truth %lu, %lu", c, e->answered,
              e->failed, p->answered, p->failed);
    SIM_HOLDS(w, e->last_answer == p->last_answer,
              "the time of an endpoint's last answer is known",
              "%c: %lu is not %lu", c, e->last_answer, p->last_answer);
    SIM_HOLDS(w,
              sim_is_weighted(w) ? e->weight >= 10 && e->weight <= 100 * 127
                                 : e->weight == 100,
              "a weight is what the options say", "%c: %u", c, e->weight);
    SIM_HOLDS(w, e->draining == sim_draining(w, p),
              "why an endpoint drains is known", "%c: %u is not %u", c,
              e->draining, sim_draining(w, p));
}

void sim_rows_of_endpoints(struct sim_world *w)
{
    struct jat_endpoint_row e;
    uint32_t cursor = 0;
    unsigned n = 0;

    jat_buf_reset(&w->buf, SIZE_MAX);
    for (; jat_next_endpoint(w->j, &cursor, w->now, &w->buf, &e) == JAT_OK;
         n++) {
        char jid[SIM_ADDRESS];
        uint8_t place;

        sim_join(&w->buf, jat_parts_cut(e.is.jid, e.is.cut), jid);
        place = sim_place_of(w, jid);
        if (place == SIM_NOBODY || !w->places[place].online)
            sim_wrong(w, "the table holds who is online", "%s is there", jid);
        else
            look_at_endpoint(w, &e, place);
    }
    SIM_HOLDS(w, n == sim_place_count(w), "the table holds who is online",
              "%u of %u are there", n, sim_place_count(w));
}

static bool is_text(const struct sim_world *w, struct jat_span s,
                    const char *text)
{
    size_t n = strlen(text);

    return s.n == n && (n == 0 || memcmp(w->buf.p + s.at, text, n) == 0);
}

/* The row is of this record. */
static bool is_of(const struct sim_world *w, const struct jat_pending *row,
                  unsigned t)
{
    const struct sim_try *v = &w->tries[t];
    const struct sim_request *q = &w->requests[v->request];
    bool waits = sim_waits(v);
    const struct sim_place *p = &w->places[waits ? 0 : v->place];
    bool there = !waits && p->online && p->session == v->session;

    return row->direction == (q->out ? JAT_OUT : JAT_IN) &&
           row->set == q->step->set && row->tries == (waits ? 1 : q->n_tries) &&
           row->age == w->now - q->born &&
           row->left == (q->deadline > w->now ? q->deadline - w->now : 0) &&
           is_text(w, row->id, q->id) &&
           is_text(w, row->user, w->people[q->person].jid) &&
           is_text(w, row->endpoint, there ? p->jid : "");
}

void sim_rows_of_requests(struct sim_world *w)
{
    bool *shown = calloc(w->n_open + 1, sizeof *shown);
    struct jat_pending row;
    uint64_t cursor = 0;

    if (shown == NULL)
        abort();
    jat_buf_reset(&w->buf, SIZE_MAX);
    while (jat_next_pending(w->j, &cursor, w->now, &w->buf, &row) == JAT_OK) {
        unsigned i = 0;

        while (i < w->n_open && (shown[i] || !is_of(w, &row, w->open[i])))
            i++;
        SIM_HOLDS(w, i < w->n_open, "what is shown as in flight is so",
                  "#%.*s is not", (int)row.id.n, w->buf.p + row.id.at);
        shown[i] = true; /* there is room for one more */
        jat_buf_reset(&w->buf, SIZE_MAX);
    }
    for (unsigned i = 0; i < w->n_open; i++)
        SIM_HOLDS(w, shown[i], "what is in flight is shown", "%s is not",
                  sim_request_name(w, w->tries[w->open[i]].request));
    free(shown);
}
