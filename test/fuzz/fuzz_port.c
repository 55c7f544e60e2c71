/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* Frames to the port program: calls that are right, nearly right, or any
 * octets. It ends by itself, or answers each frame with one whole term that
 * bears the frame's tag. */
#include <setjmp.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "seal.h"

/* port.c itself. What it ends by and prints to is ours, and 600000 rounds of
 * PBKDF2 for a call would be all that is ever done. */
static jmp_buf ended;
static FILE *nowhere;

static enum jat_err no_derive(struct jat_str secret, struct jat_str label,
                              struct jat_str host, unsigned char *out)
{
    (void)label;
    memset(out, (int)(secret.n + host.n), JAT_SEAL_KEY);
    return JAT_OK;
}

int port_main(int argc, char **argv);
#define main port_main
#define exit(status) longjmp(ended, status)
#define jat_seal_derive no_derive
#undef stderr
#define stderr nowhere
#include "../../c_src/port.c"
#undef main
#undef exit
#undef stderr
#define stderr stderr

#define MAX_FRAME 65536U

/* Frames end where it ends: what is behind it cannot be read, for ei, which
 * knows nothing of frames, nor by anybody. */
static char *arena;

struct play {
    struct input in;
    struct jat_buf answers;
    uint64_t numbers[16]; /* that came in answers: records, endpoints, ... */
    unsigned n_numbers;
};

static unsigned choose(struct play *p, unsigned n)
{
    return input_below(&p->in, n);
}

#define PICK(p, table) ((table)[choose(p, sizeof(table) / sizeof(table)[0])])

/* Terms */

static const char *const texts[] = {
    "svc@example.org/a",
    "svc@example.org/b",
    "u@example.net/r",
    "u@example.net/\xc3\xa4",
    "",
    "<iq xmlns='jabber:client' type='get' id='1' from='u@example.net/r' "
    "to='proxy.example.org'><query xmlns='urn:example'/></iq>",
    "<iq xmlns='jabber:client' type='set' id='1' from='svc@example.org/a' "
    "to='proxy.example.org/u@example.net/r'><query xmlns='urn:example'/></iq>",
    "<iq xmlns='jabber:client' type='result' id='1' from='svc@example.org/a' "
    "to='proxy.example.org/u@example.net/r'/>",
    "<presence xmlns='jabber:client' from='svc@example.org/a' "
    "to='proxy.example.org'/>",
    "<iq xmlns='jabber:client' type='get' id='rr-1' "
    "from='u@example.net/\xc3\xa4' to='proxy.example.org'><a xmlns='b'/></iq>",
    "<message xmlns='jabber:client' type='chat' from='u@example.net/r' "
    "to='room@proxy.example.org'><body/></message>",
    "<presence xmlns='jabber:client' from='svc@example.org/a' "
    "to='proxy.example.org/u@example.net/r'/>"};

static void put_text(struct play *p, ei_x_buff *x)
{
    unsigned choice = choose(p, 16);
    struct jat_str s = input_str(&p->in, choice < 12 ? 0 : choose(p, 64));

    if (choice < sizeof texts / sizeof texts[0])
        s = jat_str(texts[choice], strlen(texts[choice]));
    ei_x_encode_binary(x, s.n > 0 ? s.p : "", (int)s.n);
}

static void put_number(struct play *p, ei_x_buff *x)
{
    static const uint64_t some[] = {0,         1,         1000,      61000,
                                    255,       256,       INT32_MAX, UINT32_MAX,
                                    INT64_MAX, UINT64_MAX};
    unsigned choice = choose(p, 16);

    if (choice < 8 && p->n_numbers > 0)
        ei_x_encode_ulonglong(x, p->numbers[choice % p->n_numbers]);
    else
        ei_x_encode_ulonglong(x, PICK(p, some));
}

static void put_any(struct play *p, ei_x_buff *x, unsigned depth)
{
    unsigned choice = choose(p, 12), n = depth > 4 ? 0 : choose(p, 4);

    switch (choice) {
    case 0:
        ei_x_encode_longlong(x, -(int64_t)input_octet(&p->in));
        break;
    case 1:
        ei_x_encode_double(x, 1.5);
        break;
    case 2:
    case 3:
        ei_x_encode_atom(x, atom_name(choose(p, ATOM_COUNT)));
        break;
    case 4:
        ei_x_encode_atom(x, "\xc3\xa4 that is none of ours");
        break;
    case 5:
        ei_x_encode_tuple_header(x, n);
        while (n-- > 0)
            put_any(p, x, depth + 1);
        break;
    case 6:
    case 7:
        ei_x_encode_list_header(x, n + 1);
        for (unsigned i = 0; i <= n; i++)
            put_any(p, x, depth + 1);
        if (choice == 6) /* 7: an improper one */
            ei_x_encode_empty_list(x);
        else
            put_number(p, x);
        break;
    case 8:
        ei_x_encode_string(x, "octets");
        break;
    case 9:
        ei_x_encode_map_header(x, 1);
        put_any(p, x, depth + 1);
        put_any(p, x, depth + 1);
        break;
    case 10:
        ei_x_encode_empty_list(x);
        break;
    default:
        put_text(p, x);
    }
}

static void put_option(ei_x_buff *x, const char *name, const char *value)
{
    ei_x_encode_list_header(x, 1);
    ei_x_encode_tuple_header(x, 2);
    ei_x_encode_binary(x, name, (int)strlen(name));
    ei_x_encode_binary(x, value, (int)strlen(value));
}

/* A configuration that would do, and an option of the input's choice. */
static void put_config(struct play *p, ei_x_buff *x)
{
    static const char *const names[] = {
        "encoding",    "balance",        "outbound",   "timeout",
        "max_pending", "retries",        "keys",       "resources",
        "targets",     "no such option", "localparts", "message_rate"};
    static const char *const words[] = {"sealed", "sticky", "any", "none",
                                        "a*"};
    const char *name = PICK(p, names);

    put_option(x, "host", "proxy.example.org");
    put_option(x, "targets", "svc@example.org");
    put_option(x, "keys", "32 octets make a key for sealing");
    if (choose(p, 2) == 0) {
        put_option(x, name, PICK(p, words));
    } else {
        ei_x_encode_list_header(x, 1);
        ei_x_encode_tuple_header(x, 2);
        ei_x_encode_binary(x, name, (int)strlen(name));
        put_number(p, x);
    }
    ei_x_encode_empty_list(x);
}

/* Calls */

/* Arguments: a text, a number, an octet with a sign, a boolean, a how, a why, a
 * show, a question's kind, a seed, a configuration. */
static const struct {
    unsigned name;
    const char *arguments;
} signatures[] = {
    {W_new, "rl"},          {CALL_put_endpoint, "tsibbn"},
    {CALL_handle, "tntnn"}, {CALL_handle, "tntnn"},
    {CALL_handle, "tntnn"}, {CALL_bounce, "nhnn"},
    {CALL_abort, "nwn"},    {CALL_open, "tn"},
    {CALL_expire, "n"},     {CALL_close_all, "n"},
    {CALL_sweep, "nnn"},    {CALL_remove_endpoint, "t"},
    {CALL_endpoints, "nn"}, {CALL_pending, "nn"},
    {CALL_tick, "n"},       {CALL_pings, "nn"},
    {CALL_ponged, "nbn"},   {CALL_eject, "tnn"},
    {CALL_counters, ""},    {CALL_stays, "tbnn"},
    {CALL_configure, "l"},  {CALL_recall, "qtn"},
    {CALL_learn, "qttn"},   {W_derive_key, "tt"},
    {W_ping, ""},           {W_free, ""},
};

static void put_argument(struct play *p, ei_x_buff *x, char kind)
{
    switch (kind) {
    case 't':
        put_text(p, x);
        break;
    case 'n':
        put_number(p, x);
        break;
    case 'i':
        ei_x_encode_long(x, (int)input_octet(&p->in) - 128);
        break;
    case 'b':
        ei_x_encode_boolean(x, choose(p, 2) == 0);
        break;
    case 'h':
        ei_x_encode_atom(x, atom_name(W_HOW + choose(p, JAT_HOW_COUNT)));
        break;
    case 'w':
        ei_x_encode_atom(x, atom_name(W_WHY + choose(p, JAT_WHY_COUNT)));
        break;
    case 's':
        ei_x_encode_atom(x, atom_name(W_SHOW + choose(p, JAT_SHOW_COUNT)));
        break;
    case 'q':
        ei_x_encode_atom(x, atom_name(W_ASK + choose(p, JAT_ASK_COUNT)));
        break;
    case 'r':
        ei_x_encode_binary(x, "24 octets, for each play", 24);
        break;
    default:
        put_config(p, x);
    }
}

static void put_call(struct play *p, ei_x_buff *x)
{
    unsigned choice = choose(p, sizeof signatures / sizeof signatures[0]);
    const char *arguments = signatures[choice].arguments;
    unsigned wrong = input_octet(&p->in);

    ei_x_encode_tuple_header(x, 4);
    put_number(p, x);
    if (n_instances > 0 && wrong != 255)
        ei_x_encode_ulonglong(x, instances[wrong % n_instances].number);
    else
        put_number(p, x);
    ei_x_encode_atom(x, atom_name(wrong == 254 ? choose(p, ATOM_COUNT)
                                               : signatures[choice].name));
    ei_x_encode_tuple_header(x, (long)strlen(arguments) + (wrong == 253));
    for (size_t i = 0; arguments[i] != '\0'; i++)
        if (wrong == 240 + i)
            put_any(p, x, 0);
        else
            put_argument(p, x, arguments[i]);
}

/* Answers */

/* One whole term is at p; notes the numbers in it. */
static void check_term(struct play *p, const char *at, int *index, int depth)
{
    int type, n;
    unsigned long long number;

    CHECK(depth < 8 && ei_get_type(at, index, &type, &n) == 0);
    switch (type) {
    case ERL_SMALL_TUPLE_EXT:
        CHECK(ei_decode_tuple_header(at, index, &n) == 0);
        while (n-- > 0)
            check_term(p, at, index, depth + 1);
        break;
    case ERL_LIST_EXT:
        CHECK(ei_decode_list_header(at, index, &n) == 0);
        while (n-- > 0)
            check_term(p, at, index, depth + 1);
        CHECK(ei_decode_list_header(at, index, &n) == 0 && n == 0);
        break;
    default:
        if (ei_decode_ulonglong(at, index, &number) == 0) {
            p->numbers[p->n_numbers % 16] = number;
            p->n_numbers += p->n_numbers < 15;
        } else {
            CHECK(ei_skip_term(at, index) == 0);
        }
    }
}

static void check_answer(struct play *p, uint64_t tag)
{
    const char *frame = p->answers.p;
    int index = HEAD, version, arity;
    unsigned long long same;

    CHECK(p->answers.n > HEAD &&
          big_endian(frame, HEAD) == p->answers.n - HEAD);
    CHECK(ei_decode_version(frame, &index, &version) == 0);
    CHECK(ei_decode_tuple_header(frame, &index, &arity) == 0 && arity == 2);
    CHECK(ei_decode_ulonglong(frame, &index, &same) == 0 && same == tag);
    check_term(p, frame, &index, 0);
    CHECK((size_t)index == p->answers.n);
}

static void play_frame(struct play *p, struct jat_str frame)
{
    char *at = arena + MAX_FRAME - frame.n;
    unsigned long long tag;
    int index = 0, version, arity;

    if (frame.n > 0)
        memcpy(at, frame.p, frame.n);
    jat_buf_reset(&p->answers, SIZE_MAX);
    if (setjmp(ended) != 0)
        return;
    answer(at, frame.n, &p->answers);
    /* what was answered could be read */
    CHECK(ei_decode_version(at, &index, &version) == 0 &&
          ei_decode_tuple_header(at, &index, &arity) == 0 && arity == 4 &&
          ei_decode_ulonglong(at, &index, &tag) == 0);
    check_answer(p, tag);
}

static void step(struct play *p)
{
    unsigned how = input_octet(&p->in);
    ei_x_buff x;

    if (how < 16) { /* any octets */
        play_frame(p, input_str(&p->in, choose(p, 256)));
        return;
    }
    CHECK(ei_x_new_with_version(&x) == 0);
    put_call(p, &x);
    CHECK(x.index > 0 && (unsigned)x.index <= MAX_FRAME);
    if (how < 64) /* cut short */
        x.index = (int)(choose(p, 256) % (unsigned)x.index);
    if (how < 96 && x.index > 0) /* damaged */
        x.buff[choose(p, 256) % (unsigned)x.index] ^= (char)input_octet(&p->in);
    play_frame(p, jat_str(x.buff, (size_t)x.index));
    ei_x_free(&x);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    size_t page = 65536; /* a multiple of every page's size */

    (void)argc, (void)argv;
    jat_xml_init();
    CHECK(ei_init() == 0);
    nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL);
    arena = mmap(NULL, MAX_FRAME + page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(arena != MAP_FAILED);
    CHECK(mprotect(arena + MAX_FRAME, page, PROT_NONE) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct play p = {.in = {data, n}};

    while (p.in.n > 0 && n_instances < 4)
        step(&p);
    while (n_instances > 0)
        remove_instance(instances);
    jat_free(instances);
    instances = NULL;
    jat_buf_fini(&p.answers);
    jat_xml_thread_fini();
    jat_seal_thread_fini();
    return 0;
}
