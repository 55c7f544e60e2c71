# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Where Erlang can be changed: in the clauses of functions. Not in attributes
(types, specs, macros), log messages and documentation."""

import re

from places import Place, elements, partners, span, swaps, tokenize

PATTERN = re.compile(r"""
    (?P<space>\s+)
  | (?P<comment>%[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<atom>'(?:[^'\\]|\\.)*'|[a-z][\w@]*)
  | (?P<number>\d+\#[\da-zA-Z]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d[\d_]*|\$(?:\\.|.))
  | (?P<variable>[A-Z_][\w@]*)
  | (?P<sign>=:=|=/=|<<|>>|->|<-|<=|=>|:=|==|/=|=<|>=|\|\||\+\+|--|::|\?\?|.)
""", re.X | re.S)

FLIPS = {"==": ["/="], "/=": ["=="], "=:=": ["=/="], "=/=": ["=:="],
         "<": ["=<", ">="], "=<": ["<", ">"], ">": [">=", "=<"],
         ">=": [">", "<"], "andalso": ["orelse"], "orelse": ["andalso"],
         "true": ["false"], "false": ["true"], "+": ["-"], "not": [""]}
CLEANUP = re.compile(r"delete|erase|demonitor|unlink|cancel|unregister|remove"
                     r"|forget|close|stop|flush|terminate|unwatch|clear|purge"
                     r"|abort|drain|give|release")
LOG = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)(_MSG)?$|LOG_|io_lib$")
# Of these only the text for people would be another.
TEXTS = {"mod_doc", "mod_options_doc"}
TEXT_FIELDS = {"args_example", "result_example", "args_desc", "result_desc"}
OPENING = {"(", "[", "{", "<<", "begin", "case", "if", "receive", "try"}
CLOSING = {")", "]", "}", ">>", "end"}


class Erlang:
    def __init__(self, path, source):
        self.path, self.source = path, source
        self.tokens = tokenize(PATTERN, source)
        self.text = [t.text for t in self.tokens] + ["", ""]
        self.pairs = partners(self.tokens, self.opens,
                              lambda i: self.text[i] in CLOSING)

    def opens(self, i):
        """`fun' opens an expression unless it names a function."""
        if self.text[i] == "fun":
            return self.text[i + 1] == "(" or \
                self.tokens[i + 1].kind == "variable" and self.text[i + 2] == "("
        return self.text[i] in OPENING

    def places(self):
        for first, end in self.forms():
            if self.text[first] != "-" and self.text[first] not in TEXTS:
                yield from self.clauses(first, end)
                yield from self.inside(first, end)

    def forms(self):
        """A form ends with a full stop and white space."""
        first = 0
        for i, token in enumerate(self.tokens):
            if token.text == "." and \
                    self.source[token.end:token.end + 1] in ("", "\n", " ", "%"):
                yield first, i
                first = i + 1

    def place(self, operator, first, end, text):
        start, stop, _ = span(self.source, self.tokens, first, end)
        return Place(self.path, operator, start, stop, text)

    def inside(self, first, end):
        i = first
        while i < end:
            if self.is_log(i):
                i = self.pairs[i + 2] + 1
                continue
            if self.text[i] in TEXT_FIELDS and self.text[i + 1] == "=":
                i = self.pairs.get(i + 2, i + 2) + 1
                continue
            yield from self.value(i)
            last = self.pairs.get(i, 0)
            if last > i:
                yield from self.bracket(i, last)
            i += 1

    def is_log(self, i):
        return self.text[i] == "?" and LOG.match(self.text[i + 1]) and \
            self.text[i + 2] == "("

    def value(self, i):
        text = self.text[i]
        if self.text[i - 1] not in ("?", "#", "fun", ":"):
            for flipped in FLIPS.get(text, []):
                yield self.place("flip", i, i + 1, flipped)
        if text.isdecimal() and self.text[i - 1] != "/":
            for n in {int(text) + 1, abs(int(text) - 1)}:
                yield self.place("constant", i, i + 1, str(n))

    def bracket(self, i, last):
        text = self.text[i]
        if text in ("(", "{") and not self.is_head(i) and \
                not any(self.text[j] in ("=>", ":=", "=")
                        for j in self.flat(i + 1, last)):
            yield from swaps(self.path, self.source, self.tokens,
                             elements(self.tokens, self.pairs, i, last))
        elif text == "[":
            found = elements(self.tokens, self.pairs, i, last)
            if "||" not in self.text[i:last]:
                yield from self.without(found, "drop")
        elif text in ("case", "receive", "try", "if", "fun", "begin"):
            yield from self.branches(i, last)

    def is_head(self, i):
        """Of a function: its name begins a line."""
        return self.text[i] == "(" and \
            self.source[self.tokens[i - 1].start - 1:][:1] in ("", "\n")

    def branches(self, i, last):
        """The parts of case ... of, try ... of ... catch ... after."""
        head = i + 2 if self.text[i] == "fun" and \
            self.tokens[i + 1].kind == "variable" else i + 1
        part, begin = self.text[i], head
        for j in self.flat(head, last + 1):
            if self.text[j] in ("of", "catch", "after") or j == last:
                if part in ("begin", "after") or \
                        part == "try" and self.text[i] == "try":
                    yield from self.sequence(begin, j)
                if part in ("of", "catch", "fun", "if", "receive") or \
                        part == "after" and self.text[i] == "receive":
                    yield from self.clauses(begin, j)
                part, begin = self.text[j], j + 1

    def flat(self, first, end):
        """Numbers of the tokens that are in no bracket of their own."""
        i = first
        while i < end:
            yield i
            i = self.pairs[i] + 1 if self.pairs.get(i, 0) > i else i + 1

    def clauses(self, first, end):
        """Head -> Body; Head -> Body; ..."""
        found, begin, arrow = [], first, None
        for i in self.flat(first, end):
            if self.text[i] == "->" and arrow is None:
                arrow = i
            elif self.text[i] == ";" and arrow is not None:
                found.append((begin, i))
                yield from self.sequence(arrow + 1, i)
                begin, arrow = i + 1, None
        if arrow is not None:
            found.append((begin, end))
            yield from self.sequence(arrow + 1, end)
        yield from self.without(found, "drop")

    def sequence(self, first, end):
        """Expr, Expr, ...: each can be left out; the last one, too, which is
        to return early."""
        commas = [i for i in self.flat(first, end) if self.text[i] == ","]
        found = list(zip([first] + [i + 1 for i in commas], commas + [end]))
        found = [(a, b) for a, b in found if not self.is_log(a)]
        for n, (a, b) in enumerate(found[:-1]):
            if n > 0:
                yield self.place("return", a, end,
                                 span(self.source, self.tokens, a, b)[2])
        yield from self.without(found, None)

    def without(self, found, operator):
        if len(found) < 2:
            return
        for n, (a, b) in enumerate(found):
            if operator:
                kind = operator
            elif n == len(found) - 1:
                kind = "return"
            else:
                kind = "cleanup" if self.cleans(a, b) else "drop"
            if n < len(found) - 1:
                yield self.place(kind, a, b + 1, "")
            else:
                yield self.place(kind, a - 1, b, "")

    def cleans(self, a, b):
        """A call whose name says so."""
        for i in range(a, min(a + 4, b)):
            if self.text[i + 1] == "(":
                return CLEANUP.search(self.text[i]) is not None
        return False


def find(path, source):
    return list(dict.fromkeys(Erlang(path, source).places()))
