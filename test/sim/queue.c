/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "queue.h"

#include <stdlib.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event c = *a;

    *a = *b;
    *b = c;
}

void sim_queue_put(struct sim_queue *q, uint64_t at, enum sim_due what,
                   unsigned a, unsigned b)
{
    unsigned i = q->n++;

    if (q->n > q->cap) {
        q->cap = q->cap == 0 ? 1024 : 2 * q->cap;
        q->v = realloc(q->v, q->cap * sizeof *q->v);
        if (q->v == NULL)
            abort();
    }
    q->v[i] = (struct sim_event){at, q->order++, what, a, b};
    for (; i > 0 && is_before(&q->v[i], &q->v[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&q->v[i], &q->v[(i - 1) / 2]);
}

bool sim_queue_take(struct sim_queue *q, struct sim_event *out)
{
    if (q->n == 0)
        return false;
    *out = q->v[0];
    q->v[0] = q->v[--q->n];
    for (unsigned i = 0, k; (k = 2 * i + 1) < q->n; i = k) {
        if (k + 1 < q->n && is_before(&q->v[k + 1], &q->v[k]))
            k++;
        if (!is_before(&q->v[k], &q->v[i]))
            break;
        swap(&q->v[i], &q->v[k]);
    }
    return true;
}

void sim_queue_fini(struct sim_queue *q)
{
    free(q->v);
}
