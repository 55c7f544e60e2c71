/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* core CASE [ROUNDS [cold]]   one request and its reply, or a message and one
 *                             back, again and again
 *
 *   jid, sealed            through the core, in this encoding; 8 requesters
 *   sealed-new             the same of more requesters than are remembered
 *   off                    jid, without outlier_ejection: nobody watches how
 *                          the endpoints do
 *   peak_ewma              jid, by this strategy, with outlier_ejection
 *   message-jid, message-sealed    messages
 *   bare-CASE              the same two heads through libxml2 alone: an empty
 *                          SAX handler, a reused push context
 *
 * Prints ns a round. Only `measured` is what counts: callgrind is told so.
 * cold: callgrind's simulated caches are empty at the begin of each round. */
#include <alloca.h>
#include <string.h>
#include <time.h>

#include <libxml/parser.h>
#include <valgrind/callgrind.h>

#include "bench.h"
#include "stanza.h"
#include "xml.h"

/* More than the 4096 whose addresses are remembered. */
#define MOST_USERS 6000U
#define ENDPOINTS 4U
#define PAGE 4096U
#define WARM_UP (8 * MOST_USERS) /* each requester meets each endpoint */

/* libxml2 seeds its hash tables with the time: always the same one, so that two
 * runs count the same. */
time_t time(time_t *t)
{
    if (t != NULL)
        *t = 0;
    return 0;
}

/* What is exchanged. */
struct kind {
    enum what there, back;
    void (*head)(struct head *h, unsigned user);
    void (*head_back)(struct head *h, struct jat_str resource,
                      struct jat_str shown);
};

static const struct kind requests = {REQUEST, ANSWER, head_request,
                                     head_answer};
static const struct kind messages = {MESSAGE, MESSAGE, head_message,
                                     head_message_back};

static const struct kind *kind = &requests;
static struct head there[MOST_USERS], back[MOST_USERS][ENDPOINTS];
static unsigned users = 8;
static struct jat *host;
static struct jat_buf buf = JAT_BUF_INIT;

static void exchange(uint64_t n)
{
    unsigned user = (unsigned)(n % users);
    struct jat_parts from, to;
    struct head *h;
    struct jat_decision d;

    head_set_id(&there[user], n);
    handle(host, &there[user], n / 100, kind->there, &buf, &d);
    from = kind->there == MESSAGE ? d.pass.from : d.forward.from;
    to = kind->there == MESSAGE ? d.pass.to : d.forward.to;
    /* endpoints have one digit for a resource */
    h = &back[user][buf.p[to.resource.at] - '0'];
    if (h->n == 0)
        kind->head_back(h, jat_buf_str(&buf, to.resource),
                        jat_buf_str(&buf, from.resource));
    if (kind->there == REQUEST && d.forward.new_id)
        head_put_id(h, jat_buf_str(&buf, d.forward.id));
    else
        head_set_id(h, n);
    handle(host, h, n / 100, kind->back, &buf, &d);
}

static xmlParserCtxtPtr bare_new(void)
{
    xmlSAXHandler nothing = {.initialized = XML_SAX2_MAGIC};
    xmlParserCtxtPtr ctxt =
        xmlCreatePushParserCtxt(&nothing, NULL, NULL, 0, NULL);

    if (ctxt == NULL)
        die("no parser");
    xmlCtxtUseOptions(ctxt, XML_PARSE_NONET | XML_PARSE_NOENT);
    return ctxt;
}

static void bare_parse(xmlParserCtxtPtr ctxt, struct head *h, uint64_t n)
{
    head_set_id(h, n);
    if (xmlCtxtResetPush(ctxt, NULL, 0, NULL, NULL) != 0 ||
        xmlParseChunk(ctxt, h->text, (int)h->n, 1) != 0)
        die("%s: not parsed", h->text);
}

/* One that has written to this requester. */
static unsigned endpoint_with(unsigned user)
{
    unsigned e = 0;

    while (back[user][e].n == 0)
        e++;
    return e;
}

static xmlParserCtxtPtr parser;

static void bare(uint64_t n)
{
    unsigned user = (unsigned)(n % users);

    struct head *h = &back[user][n / users % ENDPOINTS];

    bare_parse(parser, &there[user], n);
    /* a conversation is with one endpoint */
    bare_parse(parser, h->n > 0 ? h : &back[user][endpoint_with(user)], n);
}

/* The options of a case, by what is in its name. */
static const char *options_of(const char *name)
{
    static const struct {
        const char *part, *options;
    } cases[] = {
        {"sealed", "encoding=sealed"},
        {"tagged", "encoding=jid tag=HERE! tag_key=a.key.of.sixteen"},
        {"off", "encoding=jid outlier_ejection=0"},
        {"peak_ewma", "encoding=jid balance=peak_ewma outlier_ejection=1"},
        {"", "encoding=jid"},
    };
    size_t i = 0;

    while (strstr(name, cases[i].part) == NULL)
        i++;
    return cases[i].options;
}

typedef void round_fn(uint64_t);

void measured(round_fn *round, uint64_t begin, uint64_t end);

/* Not static, so that it keeps its name. */
__attribute__((noinline)) void measured(round_fn *round, uint64_t begin,
                                        uint64_t end)
{
    for (; begin < end; begin++)
        round(begin);
}

/* When instrumentation begins, the simulated caches are empty. */
static void measured_cold(round_fn *round, uint64_t begin, uint64_t end)
{
    for (; begin < end; begin++) {
        CALLGRIND_START_INSTRUMENTATION;
        measured(round, begin, begin + 1);
        CALLGRIND_STOP_INSTRUMENTATION;
    }
}

static void measured_warm(round_fn *round, uint64_t begin, uint64_t end)
{
    CALLGRIND_START_INSTRUMENTATION;
    measured(round, begin, end);
    CALLGRIND_STOP_INSTRUMENTATION;
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000, began;
    const char *name = argc > 1 ? argv[1] : "jid";
    bool is_bare = strncmp(name, "bare-", 5) == 0;
    bool cold = argc > 3 && strcmp(argv[3], "cold") == 0;
    round_fn *round = is_bare ? bare : exchange;
    /* Environment and path of the program are above on the stack: from here on
     * it begins with a page, however long they are. */
    volatile char *pad;

    /* cppcheck-suppress allocaCalled ; its size is known at run time only */
    pad = alloca((uintptr_t)__builtin_frame_address(0) % PAGE + 1);
    pad[0] = 0;
    if (strcmp(name, "sealed-new") == 0)
        users = MOST_USERS;
    if (strstr(name, "message-") != NULL)
        kind = &messages;
    host = host_new(options_of(name), ENDPOINTS);
    parser = bare_new();
    for (unsigned u = 0; u < users; u++)
        kind->head(&there[u], u);
    for (uint64_t n = 0; n < WARM_UP; n++)
        exchange(n);
    for (uint64_t n = 0; n < WARM_UP; n++)
        round(WARM_UP + n);
    began = now_ns();
    (cold ? measured_cold : measured_warm)(round, 2 * WARM_UP,
                                           2 * WARM_UP + rounds);
    printf("%.0f\n", (double)(now_ns() - began) / (double)rounds);
    xmlFreeParserCtxt(parser);
    jat_buf_fini(&buf);
    jat_instance_free(host);
    jat_xml_thread_fini();
    return 0;
}
