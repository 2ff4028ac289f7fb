"""Two pages written from the stored results: notebooks/CLAIMS.md and notebooks/DECISIONS.md. Lesson 07 links to them.

`python -m tl_helpers.course.guide` writes them anew. No number is typed in: each is computed from a file of `data/results`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..engine.weights import DATA
from ..results import Interval, mean_interval
from . import lesson_07 as stored
from . import lesson_08, lesson_12, lesson_13, lesson_14, photographs, pictures_and_words, small
from .experiments import OTHERS, PIXELS, RAW, UNBENT, in_points
from .lesson_07 import BRIEF, FROM_SCRATCH, NEVER, SHIPPED, Claim, rows
from .methods import PROBE, SCRATCH, SHIFTS, TABLES, TUNED
from .without_labels import BARE, LABELLED, OWN

NOTEBOOKS = DATA.parent / "notebooks"
CENTROID, (LOGISTIC, FOREST) = "nearest centroid on letters features", PIXELS
UNLIKE = "letters without look-alikes"


# Leads that only this page asks for, in points; others are those of the lessons.


def _source(name: str, other: str | None = None, level: float = 0.95) -> Interval:
    """Of a backbone from a source over training from scratch, or over one from another source, at five labels."""
    rival = rows(shots=5, method=SCRATCH) if other is None else rows("sources", backbone=other, method=PROBE)
    return stored.lead(rows("sources", backbone=name, method=PROBE), rival, level=level)


def _swap(variant: str, level: float) -> Interval:
    return stored.lead(rows("components", variant=variant), rows("components", variant=""), level=level)


def _partner(partner: str, other: str = SCRATCH, level: float = 0.95) -> Interval:
    return stored.lead(rows("two_heads", variant=f"partner={partner}"), rows(shots=5, method=other), level=level)


def _body(name: str, level: float) -> Interval:
    return stored.lead(*(rows("backbones", backbone=name, method=method) for method in (TUNED, SCRATCH)), level=level)


def _varied(part: str, kind: str, level: float) -> Interval:
    """What it brings under a shift that the views vary "turning" or "thickness" too."""
    lost = lesson_12.change(part, kind, level)
    return Interval((-lost[0], -lost[2], -lost[1]), lost.covers)


def _suited(task: str, body: str, level: float) -> Interval:
    return in_points(photographs.suited(task, body, level=level))


def _norms(task: str, over: str, level: float) -> Interval:
    return in_points(photographs.norms_frozen(task, over, level=level))


def _over_scratch(task: str, shots: int, level: float) -> Interval:
    return in_points(photographs.over_scratch(task, shots, level))


def _named(measure: str, level: float) -> Interval:
    """The share that stored towers got right, in per cent; to be compared with guessing."""
    return in_points(lesson_13.stored(measure, level=level))


def _calibration(level: float) -> Interval:
    """How much smaller the calibration error of fine-tuned letters is than that of the same network, in points."""
    one, other = (rows(shots=10, method=method).sort_values("seed").calibration for method in (SCRATCH, TUNED))
    return mean_interval(100 * one.to_numpy(), minus=100 * other.to_numpy(), level=level)


# What is claimed. `figure` takes the level of the interval.


def _labels(number: int) -> str:
    return f"{number} label{'s' * (number > 1)} per class"


def _claims(grid: str, *lines: tuple[str, str, Callable[..., Interval]]) -> tuple[Claim, ...]:
    """Claims that one grid decides; of each what it says, what was measured, and its figure."""
    return tuple(Claim(says, measured, grid, figure) for says, measured, figure in lines)


LEADS = "Transfer leads the same network from scratch"
# Of pets there are four photographs per class, so that every draw is the same.
DRAWN = {task: shots for task, shots in photographs.WHOLE_SHOTS.items() if task != "pets"}
PHOTOGRAPHS = (  # what is said, of which method over which, and on which sets with how many labels
    ("ImageNet fine-tuned leads the same network from scratch", photographs.TUNED, photographs.SCRATCH, DRAWN),
    ("A probe (96 pixels) leads the same network from scratch", photographs.SMALL, photographs.SCRATCH, DRAWN),
    ("Fine-tuned after a probe (96 pixels) leads that probe", photographs.AFTER, photographs.SMALL, photographs.WHOLE_SHOTS),
    (
        "A probe leads logistic regression on pixels",
        photographs.PROBE,
        photographs.PIXELS,
        {"cats-and-dogs": (1, 20), "solar-cells": (1, 100)},
    ),
)
CLAIMS: dict[str, Sequence[Claim]] = {
    "Less training data": (
        *_claims("digits", *((LEADS, _labels(n), partial(stored.lead_at, n)) for n in (1, 2, 5, 10, 20, 50, 90))),
        stored.MATCHING,
        *_claims(
            "digits",
            *(("A probe on letters leads the raw CNN", _labels(n), partial(stored.lead_at, n, PROBE, RAW)) for n in (1, 10)),
        ),
        *_claims(
            "fair",
            *(
                ("Letters features lead fair random features", f"probe, {_labels(n)}", partial(stored.fair, n))
                for n in (1, 5, 50)
            ),
        ),
    ),
    "Generalises better": (
        *_claims(
            "digits",
            *((LEADS, f"under {kind}", partial(stored.shift_lead, kind)) for kind in SHIFTS),
            (LEADS, "mean of six shifts", stored.six_shifts),
            ("Transfer leads the raw CNN", "mean of six shifts", partial(stored.six_shifts, TUNED, RAW)),
            ("Transfer leads logistic regression", "under noise", partial(stored.shift_lead, "noise", TUNED, LOGISTIC)),
        ),
        *_claims(
            "bending",
            *(
                (
                    "Turned digits: shipped letters lead from scratch",
                    bent,
                    partial(stored.turned_lead, bend, SHIPPED, FROM_SCRATCH),
                )
                for bend, bent in (("bend=0", "never bent in training"), ("bend=1", "bent as in pretraining"))
            ),
        ),
        *_claims(
            "unbent",
            *(
                (f"Turned digits: {says}", "digits never bent", partial(stored.turned_lead, "bend=0", one, other))
                for says, one, other in (
                    ("bent letters lead letters never bent", BRIEF, NEVER),
                    ("letters never bent lead from scratch", NEVER, FROM_SCRATCH),
                )
            ),
        ),
        *_claims("digits", ("Transfer is better calibrated than from scratch", _labels(10), _calibration)),
    ),
    "Less brittle": _claims(
        "rates",
        ("More learning rates work than from scratch", f"nine rates, {_labels(10)}", stored.works_lead),
        (
            "More learning rates work than for the raw CNN",
            f"nine rates, {_labels(10)}",
            partial(stored.works_lead, TUNED, RAW),
        ),
    ),
    "Easier": (stored.TIMES,),
    "A related source": _claims(
        "sources",
        *(
            (f"A probe on {says} leads from scratch", _labels(5), partial(_source, source))
            for says, source in (
                ("a source of noise", "noise"),
                ("shuffled letters", "letters with shuffled pixels"),
                ("randomly named letters", "letters with random names"),
                ("letters upside down", "letters upside down"),
            )
        ),
        ("Letters without look-alikes lead from scratch", f"probe, {_labels(5)}", partial(_source, UNLIKE)),
        ("Look-alikes help", f"probe, {_labels(5)}", partial(_source, UNBENT[0], other=UNLIKE)),
    ),
    "An unrelated target": _claims("tables", *((LEADS, f"on {name}", partial(stored.table_lead, name)) for name in TABLES)),
    "Swapping one component": _claims(
        "components",
        ("A sigmoid is better than ReLU", f"raw CNN, {_labels(20)}", partial(_swap, "activation=sigmoid")),
        ("Batch norm helps", f"raw CNN, {_labels(20)}", partial(_swap, "norm=batch")),
    ),
    "Several tasks at once": (
        *_claims(
            "two_heads",
            ("Digits learned with letters lead digits alone", _labels(5), partial(_partner, "letters")),
            ("Digits learned with randomly named letters lead", _labels(5), partial(_partner, "letters with random names")),
            ("Digits learned with parity lead digits alone", _labels(5), partial(_partner, "parity")),
            ("Learned with letters, digits lead transfer", _labels(5), partial(_partner, "letters", TUNED)),
        ),
        *_claims(
            "together",
            *(
                (f"Small network: {says}", _labels(5), partial(lesson_08.over, *variants))
                for says, *variants in (
                    ("digits with letters (w = 1) lead alone", lesson_08.LETTERS),
                    ("letters first (transfer) lead alone", lesson_08.FIRST),
                    ("transfer leads learning together", lesson_08.FIRST, lesson_08.LETTERS),
                )
            ),
        ),
        *_claims(
            "crowded",
            *(
                (f"Small network, all labels: {task} gain from the other", "w = 10", partial(lesson_08.cost, task))
                for task in ("digits", "letters")
            ),
        ),
    ),
    "Without labels": _claims(
        "without_labels",
        *(
            (says, f"probe, {_labels(n)}", partial(lesson_12.over, one, other, n))
            for says, one, other, n in (
                ("Letters without labels lead fair random features", BARE, lesson_12.RANDOM, 1),
                ("Letters without labels lead fair random features", BARE, lesson_12.RANDOM, 5),
                ("Letters without labels lead plain pixels", BARE, lesson_12.PIXELS, 5),
                ("Digits without labels lead plain pixels", OWN, lesson_12.PIXELS, 5),
                ("Digits without labels lead letters without labels", OWN, BARE, 5),
                ("Letters with labels lead letters without labels", LABELLED, BARE, 5),
                ("Digits without labels lead the shipped backbone", OWN, lesson_12.SHIPPED, 5),
            )
        ),
        *(
            (f"Views that vary {part} lead views that do not", f"under {kind}, {_labels(10)}", partial(_varied, part, kind))
            for part, kind in (("turning", "rotation"), ("thickness", "thickness"))
        ),
    ),
    "Other backbones": _claims(
        "backbones", *((LEADS, f"{name.split('.')[0]}, 5 labels", partial(_body, name)) for name in OTHERS)
    ),
    "Pictures and words": (
        *(
            Claim(says, among, "pictures_and_words", partial(_named, measure), 100 * guessing, "% of pictures")
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
        *_claims(
            "pictures_and_words",
            *(
                ("A probe on a backbone that learned names leads classes", _labels(n), partial(lesson_13.lead, n))
                for n in pictures_and_words.SHOTS
            ),
        ),
    ),
    "Small and cheap": _claims(
        "small_and_cheap",
        *(
            (f"{way.capitalize()} lead fine-tuning", _labels(n), partial(lesson_14.over_tuning, way, shots=n))
            for way, n in ((small.NORMS, 5), (small.NORMS, 20), (small.BIASES, 5), (small.LOW_RANK, 5), (small.LOW_RANK, 20))
        ),
        *(
            (
                f"{way.capitalize()} lead fine-tuning",
                f"solar cells, {_labels(100)}, 96 pixels",
                partial(lesson_14.over_tuning, way, small.SOLAR),
            )
            for way in (small.NORMS, small.LOW_RANK)
        ),
        *(
            (
                "The raw CNN taught by a teacher leads it taught by labels",
                f"{_labels(n)}, 900 unlabelled",
                partial(lesson_14.gain, n),
            )
            for n in small.STUDENTS
        ),
        (
            "A teacher's soft answers lead its likeliest class",
            f"temperature 4, {_labels(5)}",
            partial(lesson_14.gain, 5, over=small.HARD),
        ),
        ("A student with unlabelled images leads one without", _labels(5), partial(lesson_14.gain, 5, over=small.LABELLED)),
        *(("int8 leads float32", name, partial(lesson_14.cost_of_int8, name)) for name in lesson_14.EXPORTED),
    ),
    "On photographs": _claims(
        "photographs",
        *(
            (says, f"{task}, {_labels(n)}", partial(stored.photographs_lead, task, n, one, other))
            for says, one, other, where in PHOTOGRAPHS
            for task, shots in where.items()
            for n in shots
        ),
        *(
            ("A probe leads resnet10t from scratch", f"{task}, {_labels(n)}", partial(_over_scratch, task, n))
            for task, (_, shots) in photographs.BARE.items()
            for n in (shots[0], shots[-1])
        ),
        *(
            (
                "Fine-tuned after a probe, as suits the pictures, leads that probe",
                f"{task}, {_labels(photographs.TASKS[task][-1])}, {body.split('.')[1]} weights",
                partial(_suited, task, body),
            )
            for task, body in photographs.SUITED
        ),
        *(
            (
                "Fine-tuned with the norms frozen leads fine-tuned whole",
                f"{task}, {_labels(shots[0])}",
                partial(_norms, task, photographs.TUNED),
            )
            for task, shots in photographs.WHOLE_SHOTS.items()
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
again. Figures are leads in points, hundredths of an accuracy, unless they say otherwise, paired by draw. The interval is the
usual 95% one, and "covers" says how many draws there were (three to ten) and what could have turned out otherwise.

{many} comparisons stand here, so a few of the 95% intervals must be expected to mislead. The verdict is therefore judged by
wider intervals, which hold together with 95% for all lines under one heading (Bonferroni). "True" and "the other way round"
are what survives that; "not shown" means that these runs cannot tell, and not that there is no difference. "At most" means
that it is not stored which images each network got right, so that the interval allows for the most that other test images
can do: a closer study would narrow it.

"Transfer" is the whole letters backbone fine-tuned, resnet10t unless another is named. 797 test images are handwritten
digits. Under the last heading the network is EfficientNet-Lite0 with ImageNet's weights or without (in one row the letters
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
    lead, shift, unlabelled = stored.lead_at, stored.shift_lead, lesson_12.over
    on_table = lambda name, method: f"{rows('tables', task=name, method=method).test.mean():.3f}"
    tables = "; ".join(
        f"{name}: {on_table(name, LOGISTIC)} and {on_table(name, FOREST)}, fine-tuned letters {on_table(name, TUNED)}"
        for name in TABLES
    )
    tuned = {name: rows("backbones", backbone=name, method=TUNED).test.mean() for name in OTHERS}
    architectures = ", ".join(f"{name.split('.')[0]} {mean:.3f}" for name, mean in tuned.items())
    kilobytes = lambda way: f"{1000 * lesson_14.megabytes(way):,.0f} kB"
    adapters = "; ".join(
        f"{way} {_points(lesson_14.over_tuning(way, shots=20))} with {kilobytes(way)}"
        for way in (small.NORMS, small.LOW_RANK)
    )
    int8 = "; ".join(f"{name}: {lesson_14.in_words(name)}" for name in lesson_14.EXPORTED)
    share = lambda measure: f"{lesson_13.stored(measure)[0]:.2f}"
    norms = lambda over: _points(_norms("cats-and-dogs", over, 0.95))
    return f"""# What should I do?

How many labels, how far from the source, how much computing: find your line. Each rests on stored results of this course,
computed anew by a test. "A minus B" is the lead of A over B, with its 95% interval. Most results are about one small world,
handwritten digits and printed letters; a line on others says so. On your own images a line here is where to start, and your
validation images decide.

| you have | do | because | stored in |
|---|---|---|---|
| **1 to 5** labels per class, a **related** source, little time | a **probe**, or a nearest centroid on the features | \
at 5 labels the probe reads {_mean(PROBE, 5)}, the centroid {_mean(CENTROID, 5)}, fine-tuning {_mean(TUNED, 5)}, \
from scratch {_mean(SCRATCH, 5)}; the probe takes {_seconds(PROBE, 5)}, fine-tuning {_seconds(TUNED, 5)} | {csv("digits")} |
| **about 10** labels per class, a related source, minutes | **fine-tune** all of it | \
at 10 labels fine-tuning minus the probe {_points(lead(10, TUNED, PROBE))}, \
minus training from scratch {_points(lead(10))} | {csv("digits")} |
| **20 or more** labels per class | fine-tune or train from scratch: accuracy does not decide it | \
fine-tuning minus training from scratch {_points(lead(20))} at 20 labels, {_points(lead(50))} at 50; both take about \
as long ({_seconds(TUNED, 50)} and {_seconds(SCRATCH, 50)}) | {csv("digits")} |
| images that will be **turned or moved** in use | a probe or fine-tuning from the letters, not from scratch | \
fine-tuning minus training from scratch {_points(shift("rotation"))} when turned, \
{_points(shift("translation"))} when moved; \
the probe minus fine-tuning {_points(shift("rotation", PROBE, TUNED))} when turned | {csv("digits")} |
| images that will be **noisy** in use | not this backbone: a small CNN or logistic regression | \
fine-tuned letters minus logistic regression {_points(shift("noise", TUNED, LOGISTIC))}, \
minus the raw CNN {_points(shift("noise", TUNED, RAW))} | {csv("digits")} |
| a target **far** from the source (numbers in a table) | no network: logistic regression or a random forest | \
{tables} | {csv("tables")} |
| which **source** for the backbone | one made of the same parts as your images | \
a probe at 5 labels minus training from scratch: from letters upside down {_points(_source("letters upside down"))}, \
from noise {_points(_source("noise"))} | {csv("sources")} |
| plenty of images, and **no labels** for them | pretrain on pairs of views of them, then a probe | \
a probe at 5 labels on 900 digits without labels: {lesson_12.accuracy(OWN)[0]:.3f}, \
minus plain pixels {_points(unlabelled(OWN, lesson_12.PIXELS))}, \
minus letters without labels {_points(unlabelled(OWN, BARE))}; \
these minus plain pixels {_points(unlabelled(BARE, lesson_12.PIXELS))}; \
their names add {_points(unlabelled(LABELLED, BARE))} | {csv("without_labels")} |
| which **architecture** | compare two or three on your validation images | \
fine-tuned at 5 labels, three draws: {architectures}; \
resnet10t, ten draws, {_mean(TUNED, 5)} (digits.csv) | {csv("backbones")} |
| which **rate** to fine-tune with | try .001 first, then a third and three times as much | \
at 10 labels: .0003 {_rate(TUNED, 3.16e-4)}, .001 {_rate(TUNED, 1e-3)}, .003 {_rate(TUNED, 3.16e-3)}, \
.01 {_rate(TUNED, 1e-2)} | {csv("rates")} |
| which **rate** for a probe | anything from .001 to .01 | \
at 10 labels: .001 {_rate(PROBE, 1e-3)}, .003 {_rate(PROBE, 3.16e-3)}, .01 {_rate(PROBE, 1e-2)} | {csv("rates")} |
| which **rate** to train from scratch with | try .003 first | \
at 10 labels the same network: .001 {_rate(SCRATCH, 1e-3)}, .003 {_rate(SCRATCH, 3.16e-3)}, .01 {_rate(SCRATCH, 1e-2)}; \
the raw CNN falls to {_rate(RAW, 3.16e-2)} at .03 | {csv("rates")} |
| you **fine-tune on photographs**, few or in small batches | leave the batch norms as they are: \
`tl.unfreeze(model, norms=False)` | cats and dogs, 20 labels: minus fine-tuning whole {norms(photographs.TUNED)}, \
minus a probe on as small pictures {norms(photographs.SMALL)}; solar cells, 200 labels: minus a probe \
{_points(_suited("solar-cells", photographs.LITE0, 0.95))} | {csv("photographs")} |
| you want **two answers** from one image | one body with two heads; for one answer, transfer | \
digits with letters minus digits alone {_points(_partner("letters"))}; \
minus fine-tuning {_points(_partner("letters", TUNED))} | {csv("two_heads")} |
| pictures with **words** beside them, and classes that change | \
two towers and a contrastive loss; then name the classes, with words that were met | \
of letters never seen {share("unseen among unseen")} get their own name among those held out, \
{share("unseen among all")} among all; with words never met {share("digits by their own names")} of the digits \
| {csv("pictures_and_words")} |
| **many tasks**, and little room to keep them | one frozen backbone; for each task its norms, or low-rank adapters | \
at 20 labels, minus fine-tuning: {adapters}; fine-tuning keeps {kilobytes("fine-tuning")} | {csv("small_and_cheap")} |
| a **small network** must do the work, and there are unlabelled images | let the fine-tuned one teach it | \
the raw CNN with a teacher minus labels alone {_points(lesson_14.gain(5))} at 5 labels per class, \
{_points(lesson_14.gain(20))} at 20 | {csv("small_and_cheap")} |
| a trained network is to be **smaller and faster** on a processor | int8, and measure it on your machine | \
{int8} | {csv("small_and_cheap")} |

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
