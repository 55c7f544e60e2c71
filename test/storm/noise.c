/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* What nobody waits for: messages and presences of every type, results and
 * errors without a request, moods of endpoints. Nothing of it may be answered
 * but messages, and those by messages. */
#include <stdlib.h>
#include <string.h>

#include "storm.h"

#define ERROR "<error type='cancel'><gone xmlns='" NS_STANZAS "'/></error>"

long noises;

/* name, type ("" for none) and what is inside. */
static const struct {
    const char *name, *type, *inside;
} sounds[] = {
    {"iq", "result", ""},
    {"iq", "result", "<work xmlns='" NS_STORM "' bad='1'/>"},
    {"iq", "error", ERROR},
    {"message", "", "<body>so &amp; so</body>"},
    {"message", "chat", "<body>hello</body><x xmlns='urn:example:x'/>"},
    {"message", "normal", ""},
    {"message", "groupchat", "<subject/>"},
    {"message", "headline", "<body xml:lang='de'>Guten Tag</body>"},
    {"message", "error", ERROR},
    {"presence", "subscribe", "<status>please</status>"},
    {"presence", "subscribed", ""},
    {"presence", "unsubscribe", ""},
    {"presence", "unsubscribed", ""},
    {"presence", "probe", ""},
    {"presence", "error", ERROR},
    {"presence", "", "<show>away</show>"},
    {"presence", "unavailable", ""},
};

#define SOUNDS ((long)(sizeof(sounds) / sizeof(*sounds)))

/* Another letter somewhere in the resource, which begins with ASCII; not within
 * a character of UTF-8. */
const char *forged(const char *address)
{
    char *copy = strdup(address);
    char *place = strchr(copy, '/');
    const char *result;

    if (place && place[1]) {
        place += 1 + chance((long)strlen(place + 1));
        while ((unsigned char)*place >= 0x80)
            place--;
        *place = *place == '0' ? '1' : '0';
    }
    result = text("%s", copy);
    free(copy);
    return result;
}

static const char *anywhere(const struct client *client)
{
    const char *address = seen(client);

    switch (chance(6)) {
    case 0:
        return text("node@%s/x", option.proxy);
    case 1:
        return text("%s/other", option.proxy);
    case 2:
        return text("%s/romeo@example.org/nowhere", option.proxy);
    case 3:
        return address ? forged(address) : option.proxy;
    case 4:
        return address ? address : option.proxy;
    default:
        return option.proxy;
    }
}

/* An endpoint's presence to the proxy host says what it is: change_mood. */
static bool says_something(const struct client *client, long sound,
                           const char *to)
{
    return !client->requester && is(sounds[sound].name, "presence") &&
           is(to, option.proxy);
}

void make_noise(void)
{
    struct client *client = someone(chance(2) == 0, NULL);
    long sound = chance(SOUNDS);
    const char *to = client ? anywhere(client) : NULL;

    if (!client || says_something(client, sound, to))
        return;
    say(client, sounds[sound].name,
        text("%s id='no-%ld' to='%s'>%s</%s>",
             *sounds[sound].type ? text("type='%s'", sounds[sound].type) : "",
             noises++, escaped(to), sounds[sound].inside, sounds[sound].name));
}

void change_mood(struct client *client)
{
    static const char *const shows[] = {
        "",
        "",
        "<show>dnd</show>",
        "<show>xa</show>",
        "<show>away</show>",
        "<show>chat</show>",
    };
    const char *presence = text(">%s<priority>%ld</priority></presence>",
                                shows[chance(6)], chance(20) - 5);

    moods++;
    if (client->withdrawn || *client->from)
        say(client, "presence", text("to='%s'%s", option.proxy, presence));
    else
        say(client, "presence", presence);
    client->withdrawn = !client->withdrawn && chance(4) == 0;
    if (client->withdrawn)
        say_presence(client, "unavailable");
}
