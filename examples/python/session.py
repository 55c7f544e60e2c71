# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""The session of a bot, from its command line to its end. See bot.py."""

import asyncio
import inspect
import logging
import os
import signal
import sys


async def serve(kind, jid, *server):
    by_hand = {"sasl_mech": "PLAIN", "plugin_config": {
        "feature_mechanisms": {"unencrypted_plain": True}}} if server else {}
    bot = kind(jid, os.environ["PASSWORD"], **by_hand)
    for number in (signal.SIGTERM, signal.SIGINT):
        bot.loop.add_signal_handler(number, bot.stop)
    if not server:
        bot.connect()
    elif "disable_starttls" in inspect.signature(bot.connect).parameters:
        bot.connect(server, disable_starttls=True, force_starttls=False)
    else:  # slixmpp 1.9
        bot.enable_direct_tls = bot.enable_starttls = False
        bot.enable_plaintext = True
        bot.connect(*server)
    await bot.disconnected
    # Whoever started us may start us again; that is all there is to reconnect.
    sys.exit(bot.staying)


def run(kind):
    logging.basicConfig(level=logging.WARNING)
    program, *arguments = sys.argv
    if len(arguments) not in (1, 3) or not os.environ.get("PASSWORD"):
        print(f"PASSWORD=... {program} JID/RESOURCE [HOST PORT]", file=sys.stderr)
        sys.exit(2)
    asyncio.run(serve(kind, *arguments))
