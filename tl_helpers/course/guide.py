"""Two pages written from the stored results: notebooks/CLAIMS.md and notebooks/DECISIONS.md. Lesson 07 links to them.

`python -m tl_helpers.course.guide` writes them anew. No number is typed in: each is computed from a file of `data/results`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..engine.weights import DATA
from ..results import Interval, mean_interval
from . import lesson_07 as stored
from . import lesson_08, lesson_12, lesson_13, lesson_14, photographs, pictures_and_words, small, without_labels
from .experiments import OTHERS, RAW
from .lesson_07 import BRIEF, FROM_SCRATCH, NEVER, SHIPPED, Claim, rows
from .lesson_12 import LOWER
from .methods import PROBE, SCRATCH, SHIFTS, TUNED
from .without_labels import BARE, LONGER

NOTEBOOKS = DATA.parent / "notebooks"
CENTROID, LOGISTIC = "nearest centroid on letters features", "logistic regression on pixels"
FOREST = "random forest on pixels"
BRIEFLY = "letters, pretrained as briefly"
LONG, SHORT = (f"{without_labels.RECIPES[name].steps:,} steps" for name in (LONGER, BARE))


def _at(shots: int, one: str = TUNED, other: str = SCRATCH) -> Callable[[float], Interval]:
    return lambda level: stored.lead_at(shots, one, other, level)


def _under(kind: str, one: str = TUNED, other: str = SCRATCH) -> Callable[[float], Interval]:
    return lambda level: stored.shift_lead(kind, one, other, level)


def _six(one: str, other: str) -> Callable[[float], Interval]:
    columns = [column for kind in SHIFTS for column in stored.shifted(kind)]
    return lambda level: stored.lead(rows(shots=10, method=one), rows(shots=10, method=other), columns, level)


def _turned(bend: str, one: dict, other: dict) -> Callable[[float], Interval]:
    return lambda level: stored.turned_lead(bend, one, other, level)


def _source(name: str, method: str, other: str | None = None) -> Callable[[float], Interval]:
    """Of a backbone from a source over training from scratch, or over one from another source, at five labels."""

    def found(level: float) -> Interval:
        rival = rows(shots=5, method=SCRATCH) if other is None else rows("sources", backbone=other, method=method)
        return stored.lead(rows("sources", backbone=name, method=method), rival, level=level)

    return found


def _swap(variant: str) -> Callable[[float], Interval]:
    return lambda level: stored.lead(rows("components", variant=variant), rows("components", variant=""), level=level)


def _partner(partner: str, other: str = SCRATCH) -> Callable[[float], Interval]:
    pair = lambda: rows("two_heads", variant=f"partner={partner}")
    return lambda level: stored.lead(pair(), rows(shots=5, method=other), level=level)


def _small(one: str, other: str = lesson_08.ALONE) -> Callable[[float], Interval]:
    return lambda level: lesson_08.over(one, other, level)


def _unlabelled(one: str, other: str, shots: int = 5) -> Callable[[float], Interval]:
    return lambda level: lesson_12.over(one, other, shots, level)


def _varied(part: str, kind: str) -> Callable[[float], Interval]:
    """What it brings under a shift that the views vary "turning" or "thickness" too."""

    def found(level: float) -> Interval:
        (middle, low, high), covers = (lost := lesson_12.change(part, kind, level)), lost.covers
        return Interval((-middle, -high, -low), covers)

    return found


def _crowded(task: str) -> Callable[[float], Interval]:
    return lambda level: lesson_08.cost(task, level)


def _body(name: str) -> Callable[[float], Interval]:
    return lambda level: stored.lead(*(rows("backbones", backbone=name, method=m) for m in (TUNED, SCRATCH)), level=level)


def _photographs(task: str, shots: int, one: str, other: str) -> Callable[[float], Interval]:
    return lambda level: stored.photographs_lead(task, shots, one, other, level)


def _suited(task: str, body: str) -> Callable[[float], Interval]:
    def found(level: float) -> Interval:
        lead = photographs.suited(task, body, level=level)
        return Interval([100 * value for value in lead], lead.covers)

    return found


def _named(measure: str) -> Callable[[float], Interval]:
    """The share that stored towers got right, in per cent; to be compared with guessing."""

    def found(level: float) -> Interval:
        share = lesson_13.stored(measure, level=level)
        return Interval([100 * value for value in share], share.covers)

    return found


def _adapted(way: str, shots: int, task: str = "digits") -> Callable[[float], Interval]:
    return lambda level: lesson_14.over_tuning(way, task, shots, level)


def _taught(shots: int, variant: str = small.SOFT, over: str | None = None) -> Callable[[float], Interval]:
    return lambda level: lesson_14.gain(shots, variant, over, level)


def _int8(name: str) -> Callable[[float], Interval]:
    return lambda level: lesson_14.cost_of_int8(name, level)


def _calibration(level: float) -> Interval:
    """How much smaller the calibration error of fine-tuned letters is than that of the same network, in points."""
    one, other = (rows(shots=10, method=method).sort_values("seed").calibration for method in (SCRATCH, TUNED))
    found = mean_interval(100 * one.to_numpy(), minus=100 * other.to_numpy(), level=level)
    return Interval(found, found.covers)


# Of pets there are four photographs per class, so that every draw is the same.
DRAWN = {task: shots for task, shots in photographs.WHOLE_SHOTS.items() if task != "pets"}
PHOTOGRAPHS = (
    (
        "ImageNet fine-tuned leads the same network from scratch",
        photographs.TUNED,
        photographs.SCRATCH,
        DRAWN,
    ),
    (
        "A probe (96 pixels) leads the same network from scratch",
        photographs.SMALL,
        photographs.SCRATCH,
        DRAWN,
    ),
    (
        "Fine-tuned after a probe (96 pixels) leads that probe",
        photographs.AFTER,
        photographs.SMALL,
        photographs.WHOLE_SHOTS,
    ),
    (
        "A probe leads logistic regression on pixels",
        photographs.PROBE,
        photographs.PIXELS,
        {"cats-and-dogs": (1, 20), "solar-cells": (1, 100)},
    ),
)
CLAIMS: dict[str, Sequence[Claim]] = {
    "Less training data": (
        *(
            Claim("Transfer leads the same network from scratch", f"{n} label{'s' * (n > 1)} per class", "digits", _at(n))
            for n in (1, 2, 5, 10, 20, 50, 90)
        ),
        stored.MATCHING,
        Claim("A probe on letters leads the raw CNN", "1 label per class", "digits", _at(1, PROBE, RAW)),
        Claim("A probe on letters leads the raw CNN", "10 labels per class", "digits", _at(10, PROBE, RAW)),
        *(
            Claim(
                "Letters features lead fair random features",
                f"probe, {n} label{'s' * (n > 1)} per class",
                "fair",
                lambda level, n=n: stored.fair(n, level=level),
            )
            for n in (1, 5, 50)
        ),
    ),
    "Generalises better": (
        *(Claim("Transfer leads the same network from scratch", f"under {kind}", "digits", _under(kind)) for kind in SHIFTS),
        Claim("Transfer leads the same network from scratch", "mean of six shifts", "digits", _six(TUNED, SCRATCH)),
        Claim("Transfer leads the raw CNN", "mean of six shifts", "digits", _six(TUNED, RAW)),
        Claim("Transfer leads logistic regression", "under noise", "digits", _under("noise", TUNED, LOGISTIC)),
        Claim(
            "Turned digits: shipped letters lead from scratch",
            "never bent in training",
            "bending",
            _turned("bend=0", SHIPPED, FROM_SCRATCH),
        ),
        Claim(
            "Turned digits: shipped letters lead from scratch",
            "bent as in pretraining",
            "bending",
            _turned("bend=1", SHIPPED, FROM_SCRATCH),
        ),
        Claim(
            "Turned digits: bent letters lead letters never bent",
            "digits never bent",
            "unbent",
            _turned("bend=0", BRIEF, NEVER),
        ),
        Claim(
            "Turned digits: letters never bent lead from scratch",
            "digits never bent",
            "unbent",
            _turned("bend=0", NEVER, FROM_SCRATCH),
        ),
        Claim("Transfer is better calibrated than from scratch", "10 labels per class", "digits", _calibration),
    ),
    "Less brittle": (
        Claim(
            "More learning rates work than from scratch",
            "nine rates, 10 labels per class",
            "rates",
            stored.RATES.figure,
        ),
        Claim(
            "More learning rates work than for the raw CNN",
            "nine rates, 10 labels per class",
            "rates",
            lambda level: stored.works_lead(TUNED, RAW, level),
        ),
    ),
    "Easier": (stored.TIMES,),
    "A related source": (
        Claim("A probe on a source of noise leads from scratch", "5 labels per class", "sources", _source("noise", PROBE)),
        Claim(
            "A probe on shuffled letters leads from scratch",
            "5 labels per class",
            "sources",
            _source("letters with shuffled pixels", PROBE),
        ),
        Claim(
            "A probe on randomly named letters leads from scratch",
            "5 labels per class",
            "sources",
            _source("letters with random names", PROBE),
        ),
        Claim(
            "A probe on letters upside down leads from scratch",
            "5 labels per class",
            "sources",
            _source("letters upside down", PROBE),
        ),
        Claim(
            "Letters without look-alikes lead from scratch",
            "probe, 5 labels per class",
            "sources",
            _source("letters without look-alikes", PROBE),
        ),
        Claim(
            "Look-alikes help",
            "probe, 5 labels per class",
            "sources",
            _source(BRIEFLY, PROBE, "letters without look-alikes"),
        ),
    ),
    "An unrelated target": tuple(
        Claim(
            "Transfer leads the same network from scratch",
            f"on {name}",
            "tables",
            lambda level, name=name: stored.table_lead(name, level),
        )
        for name in ("wine", "breast_cancer", "fraud")
    ),
    "Swapping one component": (
        Claim("A sigmoid is better than ReLU", "raw CNN, 20 labels per class", "components", _swap("activation=sigmoid")),
        Claim("Batch norm helps", "raw CNN, 20 labels per class", "components", _swap("norm=batch")),
    ),
    "Several tasks at once": (
        Claim("Digits learned with letters lead digits alone", "5 labels per class", "two_heads", _partner("letters")),
        Claim(
            "Digits learned with randomly named letters lead",
            "5 labels per class",
            "two_heads",
            _partner("letters with random names"),
        ),
        Claim("Digits learned with parity lead digits alone", "5 labels per class", "two_heads", _partner("parity")),
        Claim("Learned with letters, digits lead transfer", "5 labels per class", "two_heads", _partner("letters", TUNED)),
        Claim(
            "Small network: digits with letters (w = 1) lead alone",
            "5 labels per class",
            "together",
            _small(lesson_08.LETTERS),
        ),
        Claim(
            "Small network: letters first (transfer) lead alone", "5 labels per class", "together", _small(lesson_08.FIRST)
        ),
        Claim(
            "Small network: transfer leads learning together",
            "5 labels per class",
            "together",
            _small(lesson_08.FIRST, lesson_08.LETTERS),
        ),
        *(
            Claim(f"Small network, all labels: {task} gain from the other", "w = 10", "crowded", _crowded(task))
            for task in ("digits", "letters")
        ),
    ),
    "Without labels": (
        *(
            Claim(
                "Letters without labels lead fair random features",
                f"probe, {n} label{'s' * (n > 1)} per class",
                "without_labels",
                _unlabelled(without_labels.BARE, lesson_12.RANDOM, n),
            )
            for n in (1, 5)
        ),
        *(
            Claim(says, "probe, 5 labels per class", "without_labels", _unlabelled(one, other))
            for says, one, other in (
                ("Letters without labels lead plain pixels", without_labels.BARE, lesson_12.PIXELS),
                ("Digits without labels lead plain pixels", without_labels.OWN, lesson_12.PIXELS),
                ("Digits without labels lead letters without labels", without_labels.OWN, without_labels.BARE),
                ("Letters with labels lead letters without labels", without_labels.LABELLED, without_labels.BARE),
                ("Digits without labels lead the shipped backbone", without_labels.OWN, lesson_12.SHIPPED),
            )
        ),
        *(
            Claim(
                f"Views that vary {part} lead views that do not",
                f"under {kind}, 10 labels per class",
                "without_labels",
                _varied(part, kind),
            )
            for part, kind in (("turning", "rotation"), ("thickness", "thickness"))
        ),
    ),
    "Letters without labels, longer": tuple(
        Claim(says, "probe, 5 labels per class", "longer", _unlabelled(one, other))
        for says, one, other in (
            (f"{LONG} lead {SHORT}", LONGER, BARE),
            (f"{LONG}: one block lower leads the top", LONGER + LOWER, LONGER),
            (f"{LONG}, one block lower, lead plain pixels", LONGER + LOWER, lesson_12.PIXELS),
            (f"{LONG} lead fair random features, both one block lower", LONGER + LOWER, lesson_12.RANDOM + LOWER),
        )
    ),
    "Other backbones": tuple(
        Claim("Transfer leads the same network from scratch", f"{name.split('.')[0]}, 5 labels", "backbones", _body(name))
        for name in OTHERS
    ),
    "Pictures and words": (
        *(
            Claim(says, among, "pictures_and_words", _named(measure), 100 * guessing, "% of pictures")
            for says, among, measure, guessing in (
                ("Letters never seen get their own names", "among 164 names held out", "unseen among unseen", 1 / 164),
                ("Letters never seen get their own names", "among all 1,024 names", "unseen among all", 1 / 1024),
                ("The same in a typeface of another kind", "among 164 names held out", "another typeface", 1 / 164),
                ("Handwritten digits get names of look-alikes", "among ten names", "digits by look-alikes", 1 / 10),
                (
                    "Handwritten digits get their own names, never met",
                    "among ten names",
                    "digits by their own names",
                    1 / 10,
                ),
            )
        ),
        *(
            Claim(
                "A probe on a backbone that learned names leads classes",
                f"{n} label{'s' * (n > 1)} per class",
                "pictures_and_words",
                lambda level, n=n: lesson_13.lead(n, level=level),
            )
            for n in pictures_and_words.SHOTS
        ),
    ),
    "Small and cheap": (
        *(
            Claim(f"{way.capitalize()} lead fine-tuning", f"{n} labels per class", "small_and_cheap", _adapted(way, n))
            for way, n in (
                (small.NORMS, 5),
                (small.NORMS, 20),
                (small.BIASES, 5),
                (small.LOW_RANK, 5),
                (small.LOW_RANK, 20),
            )
        ),
        *(
            Claim(
                f"{way.capitalize()} lead fine-tuning",
                "solar cells, 100 labels per class, 96 pixels",
                "small_and_cheap",
                _adapted(way, 100, small.SOLAR),
            )
            for way in (small.NORMS, small.LOW_RANK)
        ),
        *(
            Claim(
                "The raw CNN taught by a teacher leads it taught by labels",
                f"{n} label{'s' * (n > 1)} per class, 900 unlabelled",
                "small_and_cheap",
                _taught(n),
            )
            for n in small.STUDENTS
        ),
        Claim(
            "A teacher's soft answers lead its likeliest class",
            "temperature 4, 5 labels per class",
            "small_and_cheap",
            _taught(5, over=small.HARD),
        ),
        Claim(
            "A student with unlabelled images leads one without",
            "5 labels per class",
            "small_and_cheap",
            _taught(5, over=small.LABELLED),
        ),
        *(Claim("int8 leads float32", name, "small_and_cheap", _int8(name)) for name in lesson_14.EXPORTED),
    ),
    "On photographs": (
        *(
            Claim(says, f"{task}, {n} label{'s' * (n > 1)} per class", "photographs", _photographs(task, n, one, other))
            for says, one, other, where in PHOTOGRAPHS
            for task, shots in where.items()
            for n in shots
        ),
        *(
            Claim(
                "Fine-tuned after a probe, as suits the pictures, leads that probe",
                f"{task}, {photographs.TASKS[task][-1]} labels per class, {body.split('.')[1]} weights",
                "photographs",
                _suited(task, body),
            )
            for task, body in photographs.SUITED
        ),
    ),
}


def claims_page() -> str:
    """notebooks/CLAIMS.md: every claim with its figure, its 95% interval, its verdict and its file."""
    many, parts = sum(map(len, CLAIMS.values())), []
    for title, claims in CLAIMS.items():
        level = stored.joint(len(claims))
        lines = [
            f"## {title}",
            "",
            "| claim | measured | figure | 95% interval | verdict | covers | stored in |",
            "|" + "---|" * 7,
        ]
        for claim in claims:
            alone, together = claim.row(0.95), claim.row(level)
            cells = (claim.says, claim.measured, alone["figure"], alone["interval"], together["verdict"], alone["covers"])
            lines.append("| " + " | ".join(cells) + f" | [{claim.grid}.csv](../data/results/{claim.grid}.csv) |")
        parts.append("\n".join(lines))
    sections = "\n\n".join(parts)
    return f"""# All claims on one page

Each line is computed from a stored grid (how they were made: [data/README.md](../data/README.md)), and a test computes it
again. Figures are leads in points, hundredths of an accuracy, unless they say otherwise; five to ten draws each (three for
other backbones), paired by draw. The interval is the usual 95% one, and "covers" says what could have turned out otherwise.

{many} comparisons stand here, so a few of the 95% intervals must be expected to mislead. The verdict is therefore judged by
wider intervals, which hold together with 95% for all lines under one heading (Bonferroni). "True" and "the other way round"
are what survives that; "not shown" means that these runs cannot tell, and not that there is no difference. "At most" means
that it is not stored which images each network got right, so that the interval allows for the most that other test images
can do: a closer study would narrow it.

"Transfer" is the whole letters backbone fine-tuned, resnet10t unless another is named. Test images: 797 handwritten digits,
but for the last heading: there the network is EfficientNet-Lite0 with ImageNet's weights or without (in one row the letters
backbone), and the photographs are those of [lesson 09](09_photographs.ipynb). Shifts, learning rates and times were not
measured on photographs.

{sections}
"""


def _mean(method: str, shots: int) -> str:
    return f"{rows(shots=shots, method=method).test.mean():.3f}"[1:]


def _seconds(method: str, shots: int) -> str:
    return f"{rows(shots=shots, method=method).seconds.mean():.1f} s"


def _points(found: Sequence[float]) -> str:
    return "{:+.1f} points ({:+.1f} to {:+.1f})".format(*found)


def _rate(method: str, lr: float) -> str:
    frame = rows("rates", method=method)
    return f"{frame[(frame.lr / lr).between(0.9, 1.1)].test.mean():.3f}"[1:]


def decisions_page() -> str:
    """notebooks/DECISIONS.md: what to do with how many labels, how far a target, how much computing."""
    csv = lambda name: f"[{name}.csv](../data/results/{name}.csv)"
    lines = [
        (
            "**1 to 5** labels per class, a **related** source, little time",
            "a **probe**, or a nearest centroid on the features",
            f"at 5 labels the probe reads {_mean(PROBE, 5)}, the centroid {_mean(CENTROID, 5)}, fine-tuning "
            f"{_mean(TUNED, 5)}, from scratch {_mean(SCRATCH, 5)}; the probe takes {_seconds(PROBE, 5)}, fine-tuning "
            f"{_seconds(TUNED, 5)}",
            "digits",
        ),
        (
            "**10 or 20** labels per class, a related source, minutes",
            "**fine-tune** all of it",
            f"at 10 labels fine-tuning minus the probe {_points(stored.lead_at(10, TUNED, PROBE))}, minus training from "
            f"scratch {_points(stored.lead_at(10))}",
            "digits",
        ),
        (
            "**50 or more** labels per class",
            "fine-tune or train from scratch: accuracy does not decide it",
            f"fine-tuning minus training from scratch {_points(stored.lead_at(50))} at 50 labels; both take about as long "
            f"({_seconds(TUNED, 50)} and {_seconds(SCRATCH, 50)})",
            "digits",
        ),
        (
            "images that will be **turned or moved** in use",
            "a probe or fine-tuning from the letters, not from scratch",
            f"fine-tuning minus training from scratch {_points(stored.shift_lead('rotation'))} when turned, "
            f"{_points(stored.shift_lead('translation'))} when moved; the probe minus fine-tuning "
            f"{_points(stored.shift_lead('rotation', PROBE, TUNED))} when turned",
            "digits",
        ),
        (
            "images that will be **noisy** in use",
            "not this backbone: a small CNN or logistic regression",
            f"fine-tuned letters minus logistic regression {_points(stored.shift_lead('noise', TUNED, LOGISTIC))}, minus "
            f"the raw CNN {_points(stored.shift_lead('noise', TUNED, RAW))}",
            "digits",
        ),
        (
            "a target **far** from the source (numbers in a table)",
            "no network: logistic regression or a random forest",
            "; ".join(
                f"{name}: {rows('tables', task=name, method=LOGISTIC).test.mean():.3f} and "
                f"{rows('tables', task=name, method=FOREST).test.mean():.3f}, fine-tuned letters "
                f"{rows('tables', task=name, method=TUNED).test.mean():.3f}"
                for name in ("wine", "breast_cancer", "fraud")
            ),
            "tables",
        ),
        (
            "which **source** for the backbone",
            "one made of the same parts as your images",
            "a probe at 5 labels minus training from scratch: from letters upside down "
            f"{_points(_source('letters upside down', PROBE)(0.95))}, from noise {_points(_source('noise', PROBE)(0.95))}",
            "sources",
        ),
        (
            "plenty of images, and **no labels** for them",
            "pretrain on pairs of views, best of images like your own, then a probe",
            f"a probe at 5 labels on 900 digits without labels: {lesson_12.accuracy(without_labels.OWN)[0]:.3f}, minus "
            f"plain pixels {_points(lesson_12.over(without_labels.OWN, lesson_12.PIXELS))}, minus letters without labels "
            f"{_points(lesson_12.over(without_labels.OWN, BARE))}; these minus plain pixels "
            f"{_points(lesson_12.over(BARE, lesson_12.PIXELS))}, after {LONG} and probed one block lower ({csv('longer')}) "
            f"{_points(lesson_12.over(LONGER + LOWER, lesson_12.PIXELS))}; their names add "
            f"{_points(lesson_12.over(without_labels.LABELLED, BARE))}",
            "without_labels",
        ),
        (
            "which **architecture**",
            "compare two or three on your validation images",
            "fine-tuned at 5 labels, three draws: "
            + ", ".join(
                f"{name.split('.')[0]} {rows('backbones', backbone=name, method=TUNED).test.mean():.3f}" for name in OTHERS
            )
            + f"; resnet10t, ten draws, {_mean(TUNED, 5)} (digits.csv)",
            "backbones",
        ),
        (
            "which **rate** to fine-tune with",
            "try .001 first, then a third and three times as much",
            f"at 10 labels: .0003 {_rate(TUNED, 3.16e-4)}, .001 {_rate(TUNED, 1e-3)}, .003 {_rate(TUNED, 3.16e-3)}, .01 "
            f"{_rate(TUNED, 1e-2)}",
            "rates",
        ),
        (
            "which **rate** for a probe",
            "anything from .001 to .01",
            f"at 10 labels: .001 {_rate(PROBE, 1e-3)}, .003 {_rate(PROBE, 3.16e-3)}, .01 {_rate(PROBE, 1e-2)}",
            "rates",
        ),
        (
            "which **rate** to train from scratch with",
            "try .003 first",
            f"at 10 labels the same network: .001 {_rate(SCRATCH, 1e-3)}, .003 {_rate(SCRATCH, 3.16e-3)}, .01 "
            f"{_rate(SCRATCH, 1e-2)}; the raw CNN falls to {_rate(RAW, 3.16e-2)} at .03",
            "rates",
        ),
        (
            "you want **two answers** from one image",
            "one body with two heads; for one answer, transfer",
            f"digits with letters minus digits alone {_points(_partner('letters')(0.95))}; minus fine-tuning "
            f"{_points(_partner('letters', TUNED)(0.95))}",
            "two_heads",
        ),
        (
            "pictures with **words** beside them, and classes that change",
            "two towers and a contrastive loss; then name the classes, with words that were met",
            f"of letters never seen {lesson_13.stored('unseen among unseen')[0]:.2f} get their own name among those held "
            f"out, {lesson_13.stored('unseen among all')[0]:.2f} among all; with words never met "
            f"{lesson_13.stored('digits by their own names')[0]:.2f} of the digits",
            "pictures_and_words",
        ),
        (
            "**many tasks**, and little room to keep them",
            "one frozen backbone; for each task its norms, or low-rank adapters",
            "at 20 labels, minus fine-tuning: "
            + "; ".join(
                f"{way} {_points(lesson_14.over_tuning(way, shots=20))} with {1000 * lesson_14.megabytes(way):,.0f} kB"
                for way in (small.NORMS, small.LOW_RANK)
            )
            + f"; fine-tuning keeps {1000 * lesson_14.megabytes('fine-tuning'):,.0f} kB",
            "small_and_cheap",
        ),
        (
            "a **small network** must do the work, and there are unlabelled images",
            "let the fine-tuned one teach it",
            f"the raw CNN with a teacher minus labels alone {_points(lesson_14.gain(5))} at 5 labels per class, "
            f"{_points(lesson_14.gain(20))} at 20",
            "small_and_cheap",
        ),
        (
            "a trained network is to be **smaller and faster** on a processor",
            "int8, and measure it on your machine",
            "; ".join(f"{name}: {lesson_14.in_words(name)}" for name in lesson_14.EXPORTED),
            "small_and_cheap",
        ),
    ]
    table = "\n".join(f"| {have} | {do} | {why} | {csv(grid)} |" for have, do, why, grid in lines)
    return f"""# What should I do?

How many labels, how far from the source, how much computing: find your line. Each rests on stored results of this course,
computed anew by a test. "A minus B" is the lead of A over B, with its 95% interval. The results are about one small world,
handwritten digits and printed letters. On your own images a line here is where to start, and your validation images decide.

| you have | do | because | stored in |
|---|---|---|---|
{table}

"Related" means made of the same parts, as digits and letters are made of strokes; it need not be the same things. Where no
line helps, make the probe first. It costs seconds, and it tells you whether the features know anything about your
classes. All claims with their intervals: [CLAIMS.md](CLAIMS.md). How they were measured: [lesson 07](07_the_evidence.ipynb).
"""


def write(folder: Path = NOTEBOOKS) -> None:
    """Write both pages."""
    (folder / "CLAIMS.md").write_text(claims_page(), encoding="utf-8")
    (folder / "DECISIONS.md").write_text(decisions_page(), encoding="utf-8")


if __name__ == "__main__":
    write()
