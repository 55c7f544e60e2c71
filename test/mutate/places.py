# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
"""Places where a source can be changed a little, and the drawing of them.

A place says which octets of a file are replaced and by what. c_places.py and
erl_places.py find them: by tokens, for that keeps the text as it is written and
needs no parser of either language. A place where a change makes no sense costs
one compilation; so they need not be perfect."""

import difflib
import random
from dataclasses import dataclass

OPERATORS = ["flip", "drop", "swap", "constant", "return", "cleanup"]


@dataclass(frozen=True)
class Place:
    path: str
    operator: str
    start: int
    end: int
    text: str  # what is to stand there instead

    def apply(self, source):
        return source[:self.start] + self.text + source[self.end:]

    def line(self, source):
        return source.count("\n", 0, self.start) + 1

    def diff(self, source):
        return "".join(difflib.unified_diff(
            source.splitlines(keepends=True),
            self.apply(source).splitlines(keepends=True),
            "a/" + self.path, "b/" + self.path))


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int

    @property
    def end(self):
        return self.start + len(self.text)


def tokenize(pattern, source):
    """All but white space and comments. The groups of the pattern are kinds."""
    return [Token(m.lastgroup, m.group(), m.start())
            for m in pattern.finditer(source)
            if m.lastgroup not in ("space", "comment")]


def partners(tokens, opening, closing):
    """Which bracket belongs to which, both ways, by their numbers."""
    pairs, stack = {}, []
    for i, token in enumerate(tokens):
        if opening(i):
            stack.append(i)
        elif closing(i) and stack:
            pairs[i] = stack.pop()
            pairs[pairs[i]] = i
    return pairs


def elements(tokens, pairs, first, last):
    """What commas part between two brackets: (number of the first token, of
    the one behind the last)."""
    found, begin, i = [], first + 1, first + 1
    while i < last:
        if tokens[i].text == ",":
            found.append((begin, i))
            begin = i + 1
        i = pairs[i] + 1 if pairs.get(i, 0) > i else i + 1
    return found + [(begin, last)] if begin < last else found


def span(source, tokens, first, end):
    """Where tokens first..end-1 stand, and what they say."""
    start, stop = tokens[first].start, tokens[end - 1].end
    return start, stop, source[start:stop]


def swaps(path, source, tokens, found):
    """Each two neighbours of what elements() has found, one for the other."""
    for (a, b), (c, d) in zip(found, found[1:]):
        start, middle, left = span(source, tokens, a, b)
        begin, end, right = span(source, tokens, c, d)
        if left != right:
            yield Place(path, "swap", start, end,
                        right + source[middle:begin] + left)


def draw(places, seed):
    """All places, one after the other: an operator by chance, then one of its
    places by chance. The same seed and the same sources give the same order."""
    dice = random.Random(seed)
    left = {o: sorted((p for p in places if p.operator == o),
                      key=lambda p: (p.path, p.start, p.end, p.text))
            for o in OPERATORS}
    while any(left.values()):
        some = left[dice.choice([o for o in OPERATORS if left[o]])]
        yield some.pop(dice.randrange(len(some)))
