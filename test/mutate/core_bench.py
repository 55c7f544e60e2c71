# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Mutants of c_src/core against the tests of test/core.

A mutant runs against one program after the other, those of its own unit first,
until one fails: plain, then with each allocation failing, then both under the
address and undefined behaviour sanitizers, then the threads under the thread
sanitizer: just as `make check-core' runs them."""

import glob
import hashlib
import os
import shutil

import c_places
from bench import (KILLED, NEITHER, OUT, PROJECT, SURVIVED, Hung, Limits,
                   copy_tree, must, run, write)

# As little as a debugger needs; and what a mutant may not get away with.
FLAGS = ("CFLAGS=-O2 -g0 -Werror=incompatible-pointer-types"
         " -Werror=int-conversion -Werror=return-type")
NOT_SCARCE = ("test_oom", "test_port", "test_threads")


def sources():
    return sorted(glob.glob("c_src/core/*.[ch]", root_dir=PROJECT))


def find(path, source):
    return c_places.find(path, source)


class Bench:
    def __init__(self, number):
        self.tree = os.path.join(OUT, f"core-{number}")
        self.tests = os.path.join(self.tree, "test", "core")
        copy_tree(self.tree, ["c_src", "doc", "test/core"])
        for suite in glob.glob(os.path.join(PROJECT, "test", "*_SUITE.erl")):
            shutil.copy(suite, os.path.join(self.tree, "test"))
        self.programs = sorted(
            os.path.basename(p)[:-2]
            for p in glob.glob(os.path.join(self.tests, "test_*.c")))
        self.limits = Limits()

    def make(self, *targets):
        return ["make", "-s", FLAGS, *targets]

    def prepare(self):
        """Builds it as it is."""
        must(self.make("plain", "asan", "tsan"), self.tests)
        self.clean = self.objects()

    def measure(self, _places):
        """Sees that it passes with nothing changed, and how long that takes."""
        for stage in self.stages(""):
            self.limits.measure(stage, self.command(stage), self.tests,
                                self.environment(stage))

    def clone(self, number):
        """Another bench, without building it again."""
        other = Bench.__new__(Bench)
        other.__dict__.update(self.__dict__)
        other.tree = os.path.join(OUT, f"core-{number}")
        other.tests = os.path.join(other.tree, "test", "core")
        shutil.rmtree(other.tree, ignore_errors=True)
        shutil.copytree(self.tree, other.tree, symlinks=True)
        return other

    def objects(self):
        """Checksums of the core's object files."""
        sums = {}
        for unit in glob.glob("c_src/core/*.c", root_dir=self.tree):
            name = f"build/plain/{os.path.basename(unit)[:-2]}.o"
            with open(os.path.join(self.tests, name), "rb") as f:
                sums[name] = hashlib.sha1(f.read()).digest()
        return sums

    def counts(self, place, source):
        """Does it compile, and to something else? Leaves it in the tree."""
        write(os.path.join(self.tree, place.path), place.apply(source))
        try:
            status, _ = run(self.make(*self.clean), self.tests, 300)
        except Hung:
            return False
        return status == 0 and self.objects() != self.clean

    def restore(self, place, source):
        write(os.path.join(self.tree, place.path), source)

    def stages(self, own):
        """(variant, program, with failing allocations), in this order."""
        order = sorted(self.programs, key=lambda p: (
            p != "test_" + own, p == "test_threads", "jat" not in p))
        scarce = [p for p in order if p not in NOT_SCARCE]
        return [("plain", p, False) for p in order] + \
            [("plain", p, True) for p in scarce] + \
            [("asan", p, False) for p in order] + \
            [("asan", p, True) for p in scarce] + \
            [("tsan", "test_threads", False)]

    def command(self, stage):
        return [f"./build/{stage[0]}/{stage[1]}"]

    def environment(self, stage):
        return {"SCARCE": "1"} if stage[2] else {}

    def test(self, place):
        """(verdict, by whom) for the mutant that counts() has left."""
        unit = os.path.basename(place.path)[:-2]
        for stage in self.stages(unit):
            variant, program, scarce = stage
            name = " ".join([variant, program] + ["scarce"] * scarce)
            try:
                status, _ = run(self.make(f"build/{variant}/{program}"),
                                self.tests, 600)
                if status != 0:
                    return NEITHER, name + ": the other compiler refuses it"
                status, _ = run(self.command(stage), self.tests,
                                self.limits.of(stage), self.environment(stage))
            except Hung:
                return NEITHER, name + ": it hangs"
            if status != 0:
                return KILLED, name
        return SURVIVED, ""

    def close(self):
        pass
