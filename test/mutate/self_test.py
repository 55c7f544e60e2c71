# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Are mutants made, and judged, as they should be? Run by `make mutants` before
anything else."""

import os
import unittest

import bench
import c_places
import core_bench
import erl_places
import places
import src_bench

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample")


def changes(find, source):
    """(operator, the line that it is in, afterwards)"""
    found = set()
    for p in find("sample", source):
        line = p.apply(source)[source.rfind("\n", 0, p.start) + 1:]
        found.add((p.operator, line.split("\n")[0].strip()))
    return found


class CPlaces(unittest.TestCase):
    def made(self, body, *expected):
        source = "static bool f(int a, int b)\n{\n    int n = b;\n    " + \
            body + "\n    return true;\n}\n"
        found = changes(c_places.find, source)
        for change in expected:
            self.assertIn(change, found)
        return found

    def test_conditions_are_flipped(self):
        self.made("if (a < b && !n) g();",
                  ("flip", "if (a <= b && !n) g();"),
                  ("flip", "if (a >= b && !n) g();"),
                  ("flip", "if (a < b || !n) g();"),
                  ("flip", "if (a < b && n) g();"))
        self.made("if (g(a)) g(b);", ("flip", "if (!(g(a))) g(b);"))

    def test_statements_are_dropped(self):
        self.made("n += a;", ("drop", ";"))
        self.made("if (a) return false; else n = 1;",
                  ("drop", "if (a) ; else n = 1;"),
                  ("drop", "if (a) return false; else ;"))

    def test_cleanups_are_left_out(self):
        self.made("jat_free(p);", ("cleanup", ";"))

    def test_arguments_and_fields_are_swapped(self):
        self.made("g(a, h(b, n));", ("swap", "g(h(b, n), a);"),
                  ("swap", "g(a, h(n, b));"))
        source = "static const struct row rows[] = {{NAME, 7}};\n"
        self.assertEqual({("swap", "static const struct row rows[] = {{7, NAME}};"),
                          ("constant", "static const struct row rows[] = {{NAME, 6}};"),
                          ("constant", "static const struct row rows[] = {{NAME, 8}};")},
                         changes(c_places.find, source))

    def test_constants_are_off_by_one(self):
        self.made("n = a + 0x10U;", ("constant", "n = a + 17U;"),
                  ("constant", "n = a + 15U;"))

    def test_functions_return_too_early(self):
        self.made("n = a;", ("return", "return false; n = a;"))
        self.assertIn(("return", "return; g();"),
                      changes(c_places.find, "void f(void)\n{\n g();\n g();\n}\n"))

    def test_declarations_and_macros_are_left_alone(self):
        for source in ("#define A 1\n", "enum a { A = 1, B = 2 };\n",
                       "struct s {\n    int a[3];\n};\n",
                       "/* if (a < b) g(); */\n", "int f(int a, int b);\n"):
            self.assertEqual(set(), changes(c_places.find, source))
        self.assertEqual(set(), changes(
            c_places.find, "void f(void)\n{\n    struct s *p = g();\n}\n"))


class ErlangPlaces(unittest.TestCase):
    def made(self, body, *expected):
        found = changes(erl_places.find, "f(A, B) ->\n    " + body + ".\n")
        for change in expected:
            self.assertIn(change, found)
        return found

    def test_conditions_are_flipped(self):
        self.made("A =< B andalso true", ("flip", "A < B andalso true."),
                  ("flip", "A > B andalso true."),
                  ("flip", "A =< B orelse true."),
                  ("flip", "A =< B andalso false."))

    def test_expressions_are_dropped(self):
        self.made("g(A), h(B), ok", ("drop", "h(B), ok."),
                  ("drop", "g(A),  ok."), ("return", "g(A), h(B)."))
        self.made("try g(A), h(B) catch _:_ -> ok end",
                  ("drop", "try  h(B) catch _:_ -> ok end."))

    def test_cleanups_are_left_out(self):
        self.made("ets:delete(A), ok", ("cleanup", "ok."))

    def test_clauses_and_elements_are_dropped(self):
        self.made("case A of 1 -> x; 2 -> y end",
                  ("drop", "case A of  2 -> y end."),
                  ("drop", "case A of 1 -> x end."))
        self.made("fun(1) -> x; (2) -> y end", ("drop", "fun(1) -> x end."))
        self.made("[a, b]", ("drop", "[ b]."), ("drop", "[a]."))
        self.assertIn(("drop", ""), changes(
            erl_places.find, "f(1) -> a;\nf(2) -> b.\n"))

    def test_arguments_and_fields_are_swapped(self):
        self.made("g({A, B}, fun h/1)", ("swap", "g({B, A}, fun h/1)."),
                  ("swap", "g(fun h/1, {A, B})."))

    def test_constants_are_off_by_one(self):
        self.made("g(fun h/1, 100)", ("constant", "g(fun h/1, 99)."),
                  ("constant", "g(fun h/1, 101)."))

    def test_attributes_and_log_messages_are_left_alone(self):
        self.assertEqual(set(), changes(
            erl_places.find, "-spec f(1, 2) -> true.\n-define(A, [1, 2]).\n"))
        self.assertEqual(set(), changes(
            erl_places.find, "f() ->\n    #c{result_example = [{1, 2}, 3]}.\n"))
        self.assertEqual(set(), changes(
            erl_places.find, 'f(A, B) ->\n    ?INFO_MSG("~p~p", [A, B]).\n'))


class Drawing(unittest.TestCase):
    def test_a_seed_always_draws_the_same(self):
        source = bench.read(os.path.join(SAMPLE, "c_src/core/clamp.c"))
        found = c_places.find("clamp.c", source)
        first = list(places.draw(found, "a"))
        self.assertEqual(first, list(places.draw(found[::-1], "a")))
        self.assertNotEqual(first, list(places.draw(found, "b")))
        self.assertEqual(sorted(map(repr, first)), sorted(map(repr, found)))


class Judging(unittest.TestCase):
    """All mutants of the sample, which is tested but for two lines."""

    @classmethod
    def setUpClass(cls):
        project, bench.PROJECT = bench.PROJECT, SAMPLE
        try:
            mine = core_bench.Bench("sample")
        finally:
            bench.PROJECT = project
        mine.prepare()
        mine.measure([])
        path = "c_src/core/clamp.c"
        cls.source = bench.read(os.path.join(SAMPLE, path))
        cls.verdicts = {}
        for place in c_places.find(path, cls.source):
            key = (place.operator, place.line(cls.source), place.text)
            if mine.counts(place, cls.source):
                cls.verdicts[key] = mine.test(place)
            else:
                cls.verdicts[key] = "does not count", ""
            mine.restore(place, cls.source)

    def verdict(self, operator, line, text):
        numbers = [n for n, t in enumerate(self.source.split("\n"), 1)
                   if line in t]
        return self.verdicts[(operator, numbers[0], text)]

    def test_a_mutant_that_fails_a_test_is_killed(self):
        for case in (("flip", "*n < month.low", "<="),
                     ("flip", "&& strict", "||"),
                     ("drop", "*n = month.high;", ";"),
                     ("swap", "month = {1, 31}", "31, 1"),
                     ("constant", "month = {1, 31}", "32"),
                     ("return", "n--;", "return 0; n")):
            self.assertEqual((bench.KILLED, "plain test_clamp"),
                             self.verdict(*case))

    def test_a_leak_is_found_by_the_sanitizer(self):
        self.assertEqual((bench.KILLED, "asan test_clamp"),
                         self.verdict("cleanup", "free(p)", ";"))

    def test_what_no_test_sees_survives(self):
        self.assertEqual((bench.SURVIVED, ""),
                         self.verdict("drop", "abort()", ";"))

    def test_what_makes_no_difference_does_not_count(self):
        self.assertEqual("does not count",
                         self.verdict("drop", "*p = 0;", ";")[0])

    def test_what_does_not_compile_does_not_count(self):
        self.assertEqual("does not count",
                         self.verdict("drop", "return sum", ";")[0])

    def test_what_hangs_is_neither(self):
        self.assertEqual(bench.NEITHER, self.verdict("drop", "n--", ";")[0])


class Groups(unittest.TestCase):
    def test_each_module_has_its_groups(self):
        modules = {src_bench.module_of(p)[len("mod_client_proxy"):]
                   for p in src_bench.sources()}
        self.assertEqual(modules, set(src_bench.GROUPS))


if __name__ == "__main__":
    unittest.main()
