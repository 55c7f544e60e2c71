# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Where C can be changed: in the bodies of functions, and in the tables that
are initialized beside them. Not in declarations, enums and macros."""

import re

from places import Place, elements, partners, span, swaps, tokenize

PATTERN = re.compile(r"""
    (?P<space>\s+)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<directive>(?m:^)[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>'(?:[^'\\]|\\.)*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|[<>=!+\-*/%&|^]=|&&|\|\||.)
""", re.X | re.S)

FLIPS = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"],
         ">": [">=", "<="], ">=": [">", "<"], "&&": ["||"], "||": ["&&"],
         "true": ["false"], "false": ["true"]}
CLEANUP = re.compile(r"free|fini|unlock|_done$|destroy|release|give|remove"
                     r"|forget|drop|clear|close|cleanse|reset|delete|end$")
TYPES = re.compile(r"(const|static|struct|enum|union|unsigned|signed|int|long"
                   r"|short|char|bool|void|double|float|_Alignas|_Thread_local"
                   r"|_Static_assert|register|extern|\w+_t)$")
# What no statement that can be dropped begins with.
HEADS = {"if", "for", "while", "do", "switch", "else", "case", "default"}
NUMBER = re.compile(r"(0[xX][\da-fA-F]+|\d+)([uUlL]*)$")


class C:
    def __init__(self, path, source):
        self.path, self.source = path, source
        self.tokens = [t for t in tokenize(PATTERN, source)
                       if t.kind != "directive"]
        self.text = [t.text for t in self.tokens] + [""]
        self.pairs = partners(self.tokens, lambda i: self.text[i] in "([{",
                              lambda i: self.text[i] in ")]}")

    def places(self):
        i = outside = 0
        while i < len(self.tokens):
            if self.text[i] != "{" or i not in self.pairs:
                if self.text[i] == ";":
                    outside = i + 1
                i = i + 1
                continue
            end = self.pairs[i]
            if self.text[i - 1] == ")":
                yield from self.values(i, end)
                yield from self.body(i, end, self.nothing(outside, i))
                outside = end + 1
            elif self.text[i - 1] == "=":
                yield from self.values(i - 1, end)
            i = end + 1

    def place(self, operator, first, end, text):
        start, stop, _ = span(self.source, self.tokens, first, end)
        return Place(self.path, operator, start, stop, text)

    def nothing(self, first, brace):
        """What a function returns early; its type stands before its name."""
        name = self.pairs[brace - 1] - 1
        kind = [t for t in self.text[first:name]
                if t not in ("static", "inline", "const")]
        if kind == ["void"]:
            return ""
        if kind[0] in ("struct", "union") and "*" not in kind:
            return f" (struct {kind[1]}){{0}}"
        if kind == ["bool"]:
            return " false"
        return " NULL" if "*" in kind else " 0"

    def values(self, first, last):
        """Of expressions, wherever they stand."""
        for i in range(first + 1, last):
            text = self.text[i]
            for flipped in FLIPS.get(text, []):
                yield self.place("flip", i, i + 1, flipped)
            if text == "!":
                yield self.place("flip", i, i + 1, "")
            if text == "if":
                yield from self.negated(i + 1, self.pairs[i + 1] + 1)
            number = NUMBER.match(text)
            if number:
                n = int(number[1], 16 if text[:2] in ("0x", "0X") else 10)
                for m in {n + 1, abs(n - 1)}:
                    yield self.place("constant", i, i + 1, f"{m}{number[2]}")
            if text == "{" and self.text[i - 1] in ("=", ")", ",", "{") or \
                    text == "(" and self.tokens[i - 1].kind == "word" and \
                    self.text[i - 1] not in HEADS | {"return", "sizeof"}:
                yield from swaps(self.path, self.source, self.tokens,
                                 elements(self.tokens, self.pairs, i,
                                          self.pairs[i]))

    def negated(self, first, end):
        """A condition that has nothing in it to flip."""
        if not any(t in FLIPS or t == "!" for t in self.text[first:end]):
            condition = span(self.source, self.tokens, first, end)[2]
            yield self.place("flip", first, end, f"(!{condition})")

    def body(self, first, last, nothing):
        for i in self.beginnings(first, last):
            if self.text[i] in ("case", "default", "}", "{", ";") or \
                    self.text[i + 1] == ":":
                continue
            if i > first + 1 and self.text[i] not in ("return", "else") and \
                    self.text[i - 1] in ";}":
                yield self.place("return", i, i + 1,
                                 f"return{nothing}; {self.text[i]}")
            end = self.end(i, last)
            if end is None or self.text[i] in HEADS or \
                    TYPES.match(self.text[i]) or self.declares(i):
                continue
            call = self.text[i + 1] == "(" and CLEANUP.search(self.text[i])
            yield self.place("cleanup" if call else "drop", i, end + 1, ";")

    def beginnings(self, first, last):
        """Of all statements between two braces."""
        for i in range(first + 1, last):
            before = self.text[i - 1]
            if before in ("{", "}", ";", "else", "do") or before == ":" and \
                    self.text[i - 2] not in "?" and self.is_label(i - 1):
                if not self.inside(i, first):
                    yield i
            elif before == ")":
                head = self.pairs[i - 1] - 1
                if self.text[head] in ("if", "for", "while", "switch"):
                    yield i

    def inside(self, i, first):
        """Is it in parentheses (of a `for') or an initializer?"""
        while i > first + 1:
            i -= 1
            if self.pairs.get(i, len(self.text)) < i:
                i = self.pairs[i]
            elif self.text[i] in "([":
                return True
            elif self.text[i] == "{":
                return self.text[i - 1] in ("=", ",", "(") or \
                    self.text[i - 1] == ")" and self.is_type(i - 1)
        return False

    def is_type(self, closing):
        """(struct x){...}, not if (...) {...}"""
        return TYPES.match(self.text[self.pairs[closing] + 1]) is not None

    def is_label(self, colon):
        i = colon - 1
        while self.text[i] not in ("case", "default", ";", "{", "}", "?"):
            i -= 1
        return self.text[i] in ("case", "default") or \
            i == colon - 2 and self.tokens[colon - 1].kind == "word"

    def declares(self, i):
        """`name name' and `name *name =' begin a declaration."""
        words = [self.tokens[j].kind == "word" for j in (i, i + 1, i + 2)
                 if j < len(self.tokens)]
        return self.text[i] not in ("return", "goto") and words[0] and \
            (words[1] or self.text[i + 1] == "*" and words[2])

    def end(self, i, last):
        """The semicolon of the statement that begins here."""
        while i < last:
            if self.text[i] == ";":
                return i
            i = self.pairs[i] + 1 if self.pairs.get(i, 0) > i else i + 1
        return None


def find(path, source):
    return list(dict.fromkeys(C(path, source).places()))
