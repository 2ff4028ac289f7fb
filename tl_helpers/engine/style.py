"""The colours, markers and lines of every figure, and which of them each method has, in all lessons. Lesson 00 shows some.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; no two methods have the same marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")
BLUE, VERMILLION, GREEN, PINK, SKY, BLACK, ORANGE, GREY = COLOURS


class Look(NamedTuple):
    color: str
    marker: str
    linestyle: str = "-"


# The methods of the experiments. Grey is what learns nothing worth carrying, orange and pink what reads pixels, black and
# sky what starts from scratch, blue, green and vermillion what comes from letters.
METHODS = {
    "chance": Look(GREY, "X", ":"),
    "nearest centroid on pixels": Look(GREY, "<", "--"),
    "logistic regression on pixels": Look(ORANGE, "D"),
    "random forest on pixels": Look(PINK, "P"),
    "raw CNN from scratch": Look(SKY, "s"),
    "same backbone from scratch": Look(BLACK, "o"),
    "linear probe on random features": Look(GREY, "d", "-."),
    "linear probe on centred features": Look(GREY, "p", "-."),
    "nearest centroid on letters features": Look(GREEN, "v", "--"),
    "linear probe on letters features": Look(BLUE, "^"),
    "fine-tuned letters backbone": Look(VERMILLION, "*"),
    "fine-tuned after a probe": Look(VERMILLION, "h", "--"),
    "some blocks from the letters": Look(GREEN, ">", "-."),
    "two heads": Look(PINK, "H", ":"),
    "two heads, summed loss": Look(PINK, "8", ":"),
}
# What lessons call them, where they are called otherwise: the whole name, or what stands before a comma or a colon in it.
OTHER_NAMES = {
    "chance": "always the same answer; always the largest class; guessing",
    "logistic regression on pixels": "linear; linear model; logistic regression; pixels; pixels alone",
    "random forest on pixels": "random forest; forest",
    "raw CNN from scratch": "raw cnn; the article's network; article's network; as in the article; network from scratch",
    "same backbone from scratch": "from scratch; scratch; only digits; resnet10t from scratch; no source",
    "linear probe on random features": "random backbone; random features; untrained network",
    "nearest centroid on letters features": "nearest centroid; nearest centroid on features",
    "linear probe on letters features": "probe; linear probe; linear probe on features; one layer on features; frozen; "
    "feature extraction; letters network; letters backbone; 56 epochs of letters",
    "fine-tuned letters backbone": "fine-tuned; fine-tune; fine-tuning",
    "fine-tuned after a probe": "probe first",
}
SHORT = {name: method for method, names in OTHER_NAMES.items() for name in names.split("; ")}


def look(name) -> Look | None:
    """How a method is drawn, by its name in the experiments or in a lesson; None for what is not known as a method."""
    known = {method.lower(): method for method in METHODS} | SHORT
    name = str(name).lower().replace("’", "'").strip()
    for words in (name, re.split("[,:]", name)[0].strip()):
        if words in known:
            return METHODS[known[words]]
    return None


def looks(names: Iterable) -> list[Look]:
    """How each of several is drawn in one figure, no two alike: methods as everywhere, others in colours that are left.

    Where a method comes several times, with other settings, it keeps its colour, and has another line.
    """
    names = list(names)
    found, taken = [look(name) for name in names], set()
    known = [one for one in found if one]
    hues = [colour for colour in COLOURS if colour not in {one.color for one in known}] or list(COLOURS)
    # Unknown names: a colour and a marker that no method of this figure has, as long as there are such.
    free = [Look(c, m, line) for line in LINES for c, m in zip(COLOURS, MARKERS)]
    free += [Look(c, m) for m in MARKERS for c in hues]
    others = (*LINES[1:], LINES[0])  # the solid line last: the method itself has it
    free.sort(key=lambda one: (one.color not in hues) + any(one.marker == other.marker for other in known))
    for i, one in enumerate(found):
        choices = free if one is None else [one, *(Look(one.color, marker, line) for line in others for marker in MARKERS)]
        kept = {other[:2] for other in known} if one is None else set()
        found[i] = next((c for c in choices if c not in taken and c[:2] not in kept), choices[0])
        taken.add(found[i])
    return found


def looks_of_rows(names: Iterable) -> list[Look]:
    """The same where each has a row of its own, with its name: what is no known method has one colour that is left."""
    found = [look(name) for name in names]
    spare = next((c for c in COLOURS if all(one is None or one.color != c for one in found)), COLOURS[0])
    return [one or Look(spare, MARKERS[0]) for one in found]
