# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Mutants of src: first the EUnit and PropEr modules that name the module or
one that names it, then the groups of the Common Test suites that concern it,
in one server (warm.erl)."""

import glob
import os
import re
import shlex
import shutil
import subprocess
import threading
import time

import erl_places
from bench import (KILLED, NEITHER, OUT, PROJECT, SURVIVED, Hung, Limits,
                   copy_tree, must, read, run, write)

# Which groups concern a module: those first that are quick and near.
EXCHANGE = ["strophe_serves", "requests"]
PORT = ["over_port/program", "over_port/exchange", "over_port/outbound",
        "over_port/limits"]
GROUPS = {
    "": ["requests", "commands", "jitsi", "configuration", "installation"],
    "_admin": ["commands", "over_port/program"],
    "_commands": ["commands", "over_port/program"],
    "_commands_answers": ["commands", "over_port/program"],
    "_commands_drain": ["commands", "over_port/program"],
    "_report": ["commands", "over_port/program"],
    "_survey": ["commands"],
    "_core": EXCHANGE + ["commands", "limits", "outbound", "endpoints",
                         "failure"],
    "_deadlines": ["failure", "crashes"],
    "_errors": ["requests", "limits", "travel"],
    "_gate": ["endpoints", "remote"],
    "_head": EXCHANGE + ["travel", "ids", "jitsi"],
    "_log": ["remote", "commands"],
    "_notices": ["remote", "targets", "configuration"],
    "_packets": ["failure", "limits", "metas"],
    "_payload": ["travel", "limits"],
    "_reach": ["remote"],
    "_route": ["requests", "crashes", "configuration"],
    "_secrets": ["secrets", "configuration"],
    "_stream": ["remote"],
    "_sup": ["crashes", "configuration", "installation"],
    "_endpoints": ["endpoints", "balance", "limits", "targets", "failure",
                   "remote", "over_port/program", "configuration"],
    "_host": ["requests", "endpoints", "remote", "failure", "commands",
              "over_port/program", "configuration", "installation"],
    "_instance": ["commands", "jitsi", "over_port/program", "configuration",
                  "installation"],
    "_condition": ["configuration", "installation", "over_port/program"],
    "_ledger": ["commands", "failure", "outbound"],
    "_keys": ["encodings", "configuration", "installation"],
    "_name": ["requests", "configuration"],
    "_nif": EXCHANGE + ["outbound", "limits", "commands", "installation"],
    "_options": ["commands", "balance", "limits", "encodings", "jitsi",
                 "configuration"],
    "_port": PORT, "_port_answers": PORT, "_port_owner": PORT,
    "_port_sup": PORT + ["configuration"], "_port_table": PORT,
    "_presence": ["targets", "remote", "endpoints", "configuration"],
    "_priv": ["installation"],
    "_metas": ["metas", "failure", "remote"],
    "_outcomes": ["failure", "outbound", "metas", "over_port/program",
                  "configuration"],
    "_locals": ["endpoints", "requests", "configuration"],
    "_servers": ["remote"],
    "_wanted": ["endpoints", "limits", "remote", "configuration"],
    "_resources": ["remote"],
    "_targets": ["targets", "endpoints", "remote"],
    "_port_program": PORT,
    "_records": ["failure", "outbound", "over_port/program", "configuration"],
    "_router": EXCHANGE + ["travel", "metas", "targets", "outbound", "unsolicited", "encodings",
                           "ids", "loops", "limits", "failure", "jitsi",
                           "remote", "over_port/program", "configuration"],
    "_self": ["requests", "targets"],
    "_sessions": ["endpoints", "requests", "failure", "configuration"],
}
NAME = re.compile(r"\bmod_client_proxy(?:_[a-z]+)*\b")


def sources():
    return sorted(glob.glob("src/*.erl", root_dir=PROJECT))


def find(path, source):
    return erl_places.find(path, source)


def module_of(path):
    return os.path.basename(path)[:-len(".erl")]


def groups_of(module):
    """A module that is not in the table is looked at in the widest way."""
    name = module[len("mod_client_proxy"):]
    return GROUPS.get(name, GROUPS["_router"])


class Bench:
    def __init__(self, number):
        self.tree = os.path.join(OUT, f"src-{number}")
        self.mutant = os.path.join(self.tree, "_build", "mutant")
        self.limits = Limits()
        self.warm = None

    def prepare(self):
        copy_tree(self.tree, ["c_src", "src", "test", "conf", "doc", "examples"])
        for name in ("Makefile", "README.md", "README.txt", "CHANGELOG.md", "CONTRIBUTING.md",
                     "LICENSE", "mod_client_proxy.spec"):
            shutil.copy(os.path.join(PROJECT, name), self.tree)
        must(["make", "-s", "tools"], self.tree)
        must(["test/check_erl", "mod_client_proxy_sessions_tests"], self.tree)
        libs = must(["sh", "-c", ". test/bed/ejabberd_libs && "
                     "printf '%s\\n%s\\n' \"$ERL_LIBS\" \"$INCLUDES\""],
                    self.tree).split("\n")
        # Servers are made in TMPDIR: what is left of them goes with the tree.
        self.env = {"ERL_LIBS": libs[0], "PROJECT": self.tree,
                    "TMPDIR": self.temporary()}
        self.includes = shlex.split(libs[1])
        ebin = os.path.join(self.tree, "_build", "warm")
        os.makedirs(ebin)
        self.ebin = ebin
        must(["erlc", *self.includes, "-o", ebin,
              *glob.glob(os.path.join(self.tree, "test/bed/*.erl")),
              *glob.glob(os.path.join(self.tree, "test/clients/*.erl")),
              *glob.glob(os.path.join(self.tree, "test/soak/*.erl")),
              os.path.join(self.tree, "test/suite.erl"),
              os.path.join(self.tree, "test/site.erl"),
              *glob.glob(os.path.join(self.tree, "test/*_SUITE.erl")),
              os.path.join(self.tree, "test/mutate/warm.erl")],
             self.tree, env=self.env)
        self.make_graph()
        self.clean = {module_of(p): self.md5(os.path.join(self.tree, p))
                      for p in sources()}

    def clone(self, number):
        other = Bench.__new__(Bench)
        other.__dict__.update(self.__dict__)
        other.tree = os.path.join(OUT, f"src-{number}")
        other.mutant = os.path.join(other.tree, "_build", "mutant")
        other.ebin = os.path.join(other.tree, "_build", "warm")
        other.warm = None
        shutil.rmtree(other.tree, ignore_errors=True)
        shutil.copytree(self.tree, other.tree, symlinks=True,
                        ignore=shutil.ignore_patterns("tmp"))
        other.env = {**self.env, "PROJECT": other.tree,
                     "TMPDIR": other.temporary()}
        return other

    def suites(self):
        return sorted(module_of(p) for p in
                      glob.glob(os.path.join(self.tree, "test/*_SUITE.erl")))

    def temporary(self):
        folder = os.path.join(self.tree, "tmp")
        os.makedirs(folder)
        return folder

    def make_graph(self):
        """By whom a module is named: modules and tests."""
        named = {}
        for path in glob.glob(os.path.join(self.tree, "src", "*.erl")) + \
                glob.glob(os.path.join(self.tree, "test", "*_tests.erl")) + \
                glob.glob(os.path.join(self.tree, "test", "prop_*.erl")):
            for name in set(NAME.findall(read(path))):
                named.setdefault(name, set()).add(module_of(path))
        self.named = named

    def tests_of(self, module):
        """Its own, those that name it, those that name one that names it."""
        near = self.named[module]
        far = set().union(*(self.named.get(m, set()) for m in near))
        return sorted(
            (t for t in near | far if re.search("_tests$|^prop_", t)),
            key=lambda t: (t != module + "_tests", t not in near, t))

    def erlang(self, test):
        """As test/check_erl runs one module."""
        return ["erl", "-noinput", "-boot", "start_sasl", "-sasl",
                "sasl_error_logger", "false", "-pa", "mod_client_proxy/ebin",
                "-pa", "ebin", "-pa", self.mutant, "-s", "check_erl", "run",
                "-extra", test]

    def eunit(self):
        return os.path.join(self.tree, "_build", "erl")

    def measure(self, places):
        """Sees that what is to be run passes with nothing changed, and how
        long that takes."""
        os.makedirs(self.mutant, exist_ok=True)
        modules = {module_of(p.path) for p in places}
        for test in sorted(set().union(*map(self.tests_of, modules))):
            self.limits.measure(test, self.erlang(test), self.eunit(), self.env)

    def measure_groups(self, groups):
        """The same of groups, when they are needed for the first time."""
        for group in groups:
            if group not in self.limits.clean:
                self.measure_group(group, 2)

    def measure_group(self, group, tries):
        begin = time.monotonic()
        answer = self.ask("-", [group], 1800)
        if answer == "passed":
            self.limits.clean[group] = time.monotonic() - begin
        elif tries == 1:
            raise SystemExit(f"with nothing changed: {answer}")
        else:
            self.measure_group(group, tries - 1)

    def md5(self, source):
        """Of what is compiled, but for line numbers; None: it does not."""
        try:
            status, output = run(
                ["erl", "-noinput", "-eval",
                 'case compile:file("' + source + '", [binary, no_line_info,'
                 + ",".join(f'{{i,"{i}"}}' for i in self.includes if i != "-I")
                 + ']) of {ok, M, Beam} -> file:write_file("' + self.mutant
                 + '.beam", Beam), {ok, {M, Sum}} = beam_lib:md5(Beam),'
                 ' io:format("md5 ~p", [Sum]); _ -> ok end, halt().'],
                self.tree, 120, self.env)
        except Hung:
            return None
        found = re.search("md5 (.*)", output, re.S)
        return found and found[1]

    def counts(self, place, source):
        """Does it compile, and to something else? Leaves it in the tree."""
        path = os.path.join(self.tree, place.path)
        write(path, place.apply(source))
        module = module_of(path)
        md5 = self.md5(path)
        if md5 is None or md5 == self.clean[module]:
            return False
        shutil.rmtree(self.mutant, ignore_errors=True)
        os.makedirs(self.mutant)
        os.rename(self.mutant + ".beam",
                  os.path.join(self.mutant, module + ".beam"))
        return True

    def restore(self, place, source):
        write(os.path.join(self.tree, place.path), source)
        shutil.rmtree(self.mutant, ignore_errors=True)

    def test(self, place):
        """(verdict, by whom) for the mutant that counts() has left."""
        module = module_of(place.path)
        for test in self.tests_of(module):
            try:
                status, _ = run(self.erlang(test), self.eunit(),
                                self.limits.of(test), self.env)
            except Hung:
                return NEITHER, test + ": it hangs"
            if status != 0:
                return KILLED, test
        groups = groups_of(module)
        self.measure_groups(groups)
        try:
            answer = self.ask(os.path.join(self.mutant, module + ".beam"),
                              groups, sum(map(self.limits.of, groups)))
        except Hung:
            return NEITHER, "the suites: they hang"
        return (SURVIVED, "") if answer == "passed" else (KILLED, answer)

    def ask(self, beam, groups, limit):
        """What warm.erl says of it."""
        if self.warm is None:
            self.begin()
        timer = threading.Timer(limit, self.kill)
        timer.start()
        try:
            self.warm.stdin.write(" ".join([beam, *groups]) + "\n")
            self.warm.stdin.flush()
            return self.answer()
        except (BrokenPipeError, EOFError):
            self.kill()
            raise Hung from None
        finally:
            timer.cancel()

    def begin(self):
        with open(os.path.join(self.tree, "warm.log"), "a") as log:
            self.warm = subprocess.Popen(
                ["erl", "-noshell", "-name", f"warm-{os.getpid()}-"
                 f"{os.path.basename(self.tree)}@127.0.0.1", "-hidden",
                 "-dist_listen", "false", "-start_epmd", "false",
                 "-epmd_module", "bed_epmd", "-pa", self.ebin,
                 "-s", "warm", "run", "-extra", *self.suites()],
                cwd=self.tree, env={**os.environ, **self.env}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True, errors="replace")
        self.bed = self.answer()[len("bed "):]

    def answer(self):
        for line in self.warm.stdout:
            if line.startswith("warm: "):
                return line[len("warm: "):].rstrip()
            with open(os.path.join(self.tree, "warm.log"), "a") as log:
                log.write(line)
        raise EOFError

    def kill(self):
        """The server ends with the one it belongs to; its folder is left."""
        if self.warm is None:
            return
        warm, self.warm = self.warm, None
        warm.kill()
        warm.wait()
        run([os.path.join(self.tree, "test/bed/bed"), "remove", self.bed],
            self.tree, 60)

    def close(self):
        if self.warm is not None:
            self.warm.stdin.close()
            try:
                self.warm.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
