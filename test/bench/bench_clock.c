/* SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception */
/* The processor time of the calling thread, in ns: whatever else the machine
 * does meanwhile does not count. */
#include <erl_nif.h>

#include <time.h>

static ERL_NIF_TERM now(ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv)
{
    struct timespec t;

    (void)argc, (void)argv;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return enif_make_int64(env, t.tv_sec * 1000000000 + t.tv_nsec);
}

static ErlNifFunc functions[] = {{"now", 0, now, 0}};

ERL_NIF_INIT(bench_clock, functions, NULL, NULL, NULL, NULL)
