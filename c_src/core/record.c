/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
#include "record.h"

#include "mem.h"

/* So many blocks does a shard keep for the next records. */
#define MAX_SPARE 32U

/* The numbers behind the fixed part. */
static size_t numbers_n(const struct jat_record *r)
{
    return (size_t)r->n_tried + r->session;
}

/* The octets of a record, wherever a copy of them is. */
static const char *octets(const struct jat_record *r)
{
    return (const char *)(r->tried + numbers_n(r));
}

static size_t octets_n(const struct jat_record *r)
{
    return (size_t)r->user_n + (r->shown_is_user ? 0U : r->shown_n) +
           r->asked_n + r->id_n + r->added_n;
}

/* The octets of the numbers and of the strings. */
static size_t tail_n(const struct jat_record *r)
{
    return numbers_n(r) * sizeof(*r->tried) + octets_n(r);
}

/* Points the strings of q into p, which holds the octets of r. */
static void strings(const struct jat_record *r, const char *p,
                    struct jat_request *q)
{
    q->user = jat_str(p, r->user_n);
    q->shown = jat_str(r->shown_is_user ? p : p + r->user_n, r->shown_n);
    p += r->user_n + (r->shown_is_user ? 0 : r->shown_n);
    q->asked = jat_str(p, r->asked_n);
    q->id = jat_str(p + r->asked_n, r->id_n);
    q->id_out = r->replaced ? jat_str(q->id.p + r->id_n, r->added_n)
                            : jat_str(q->id.p, (size_t)r->id_n + r->added_n);
}

static char *append(char *p, struct jat_str s)
{
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static size_t size_of(const struct jat_record *r)
{
    return sizeof(*r) + tail_n(r);
}

static void fill(struct jat_record *r, const struct jat_request *q,
                 struct jat_str added, bool replaced, bool shown_is_user)
{
    *r = (struct jat_record){
        .eid_hash = q->eid_hash,
        .born = q->born,
        .sticky_key = q->sticky_key,
        .share = q->share,
        .user_cut = q->user_cut,
        .asked_cut = q->asked_cut,
        .user_n = (uint16_t)q->user.n,
        .shown_n = (uint16_t)q->shown.n,
        .asked_n = (uint16_t)q->asked.n,
        .id_n = (uint16_t)q->id.n,
        .added_n = (uint8_t)added.n,
        .n_tried = q->n_tried,
        .retries = q->retries,
        .out = q->direction == JAT_OUT,
        .shown_is_user = shown_is_user,
        .set = q->set,
        .any_endpoint = q->any_endpoint,
        .session = q->session != 0,
        .by_sessionid = q->by_sessionid,
        .once = q->once,
        .released = q->released,
        .held = q->held,
        .replaced = replaced,
    };
    char *p = (char *)r->tried;
    p = append(p,
               jat_str((const char *)q->tried, q->n_tried * sizeof(*q->tried)));
    if (r->session)
        p = append(p, jat_str((const char *)&q->session, sizeof(q->session)));
    p = append(p, q->user);
    if (!shown_is_user)
        p = append(p, q->shown);
    p = append(p, q->asked);
    p = append(p, q->id);
    append(p, added);
}

/* Which of the sizes n octets need; JAT_BLOCK_SIZES or more: too many. */
static size_t size_class(size_t n)
{
    return (n + JAT_BLOCK_STEP / 2 - 1) / JAT_BLOCK_STEP;
}

/* NULL: no memory. */
static struct jat_record *new_block(struct jat_blocks *b, size_t n)
{
    size_t class = size_class(n);
    if (class >= JAT_BLOCK_SIZES)
        return jat_malloc(n);
    struct jat_record *r = b->spare[class];
    if (r == NULL)
        return jat_malloc(class * JAT_BLOCK_STEP + JAT_BLOCK_STEP / 2);
    b->spare[class] = r->next;
    b->n--;
    return r;
}

struct jat_record *jat_record_new(struct jat_blocks *b,
                                  const struct jat_request *q,
                                  struct jat_str added, bool replaced)
{
    bool shown_is_user = jat_str_eq(q->shown, q->user);
    size_t n = sizeof(struct jat_record) +
               (q->n_tried + (q->session != 0 ? 1U : 0U)) * sizeof(*q->tried) +
               q->user.n + (shown_is_user ? 0 : q->shown.n) + q->asked.n +
               q->id.n + added.n;
    struct jat_record *r = new_block(b, n);
    if (r != NULL)
        fill(r, q, added, replaced, shown_is_user);
    return r;
}

struct jat_record *jat_record_give(struct jat_blocks *b, struct jat_record *r)
{
    size_t class = size_class(size_of(r));
    if (b->n == MAX_SPARE || class >= JAT_BLOCK_SIZES)
        return r;
    r->next = b->spare[class];
    b->spare[class] = r;
    b->n++;
    return NULL;
}

void jat_blocks_fini(struct jat_blocks *b)
{
    for (size_t i = 0; i < JAT_BLOCK_SIZES; i++) {
        for (struct jat_record *r; (r = b->spare[i]) != NULL;) {
            b->spare[i] = r->next;
            jat_free(r);
        }
    }
}

/* *buf is filled up so that what follows can be read as numbers. */
static void align(struct jat_buf *buf)
{
    while (buf->n % sizeof(uint64_t) != 0)
        jat_buf_addc(buf, '\0');
}

enum jat_err jat_record_copy(const struct jat_record *r, struct jat_buf *buf,
                             struct jat_request *out)
{
    if (jat_buf_room(buf, tail_n(r) + sizeof(uint64_t)) == NULL)
        return JAT_ENOMEM;
    align(buf);
    const char *p = buf->p + buf->n;
    jat_buf_add(buf, jat_str((const char *)r->tried, tail_n(r)));
    *out = (struct jat_request){
        .direction = r->out ? JAT_OUT : JAT_IN,
        .set = r->set,
        .any_endpoint = r->any_endpoint,
        .retries = r->retries,
        .n_tried = r->n_tried,
        .user_cut = r->user_cut,
        .asked_cut = r->asked_cut,
        .eid_hash = r->eid_hash,
        .born = r->born,
        .tried = (const void *)p,
        .share = r->share,
        .sticky_key = r->sticky_key,
        .session = r->session ? r->tried[r->n_tried] : 0,
        .by_sessionid = r->by_sessionid,
        .once = r->once,
        .released = r->released,
        .held = r->held,
    };
    strings(r, p + numbers_n(r) * sizeof(*r->tried), out);
    return JAT_OK;
}

bool jat_record_may_move(const struct jat_record *r)
{
    return r->any_endpoint && r->retries > 0 && r->share.octets > 0;
}

bool jat_record_is_shown(const struct jat_record *r, bool out,
                         struct jat_str user, struct jat_str shown,
                         struct jat_str id)
{
    struct jat_request q;
    if (r->out != out)
        return false;
    strings(r, octets(r), &q);
    return jat_str_eq(q.id_out, id) && jat_str_eq(q.shown, shown) &&
           (!out || jat_str_eq(q.user, user));
}
