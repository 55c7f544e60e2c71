# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""What the two benches share: a copy of the tree, and programs with a limit."""

import os
import shutil
import signal
import subprocess
import time

PROJECT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OUT = os.path.join(PROJECT, "_build", "mutate")

# Neither: it hangs.
KILLED, SURVIVED, NEITHER = "killed", "SURVIVED", "neither"


class Hung(Exception):
    pass


def run(command, cwd, limit, env=None):
    """Exit status and output. Whatever it has started ends with it: it is a
    session of its own."""
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, **(env or {})})
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        raise Hung from None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()


def must(command, cwd, limit=1800, env=None):
    status, output = run(command, cwd, limit, env)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}, with nothing changed:\n"
                         f"{output[-3000:]}")
    return output


class Limits:
    """How long things may take: by how long they take here and now, with
    nothing changed. Other work on the machine is no hang."""

    def __init__(self):
        self.clean = {}

    def measure(self, name, command, cwd, env=None):
        begin = time.monotonic()
        must(command, cwd, env=env)
        self.clean[name] = time.monotonic() - begin

    def of(self, name):
        return 20 + 10 * self.clean[name]


def copy_tree(to, folders):
    """The working tree, without what was built in it."""
    shutil.rmtree(to, ignore_errors=True)
    for folder in folders:
        shutil.copytree(os.path.join(PROJECT, folder),
                        os.path.join(to, folder), symlinks=True,
                        ignore=shutil.ignore_patterns("build", "__pycache__"))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
