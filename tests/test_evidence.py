"""Each bold sentence of lessons 07 and 08 is bound to the stored results: where it becomes false, its test names it."""

import functools
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tl_helpers.course import experiments
from tl_helpers.course.experiments import labels_to_match
from tl_helpers.course.methods import PROBE, SCRATCH, STRENGTHS, TUNED
from tl_helpers.results import mean_interval

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
RAW, LOGISTIC, CENTROID = "raw CNN from scratch", "logistic regression on pixels", "nearest centroid on letters features"


class Stored:
    """The results of the grids; `change` is done to each frame first."""

    def __init__(self, change=lambda frame: frame):
        self.load = functools.cache(lambda name: change(experiments.chosen(experiments.load(name))))

    def wide(self, name="digits", index=("shots", "seed"), columns="method", value="test", **only):
        frame = self.load(name)
        for column, wanted in only.items():
            frame = frame[frame[column] == wanted]
        return frame.pivot(index=list(index), columns=columns, values=value)

    def rows(self, name="digits", **only):
        """Of one method and one question; at five labels a class unless told."""
        frame = self.load(name)
        for column, wanted in (({"shots": 5} if name == "digits" else {}) | only).items():
            frame = frame[frame[column] == wanted]
        return frame

    def lead(self, shots, one=TUNED, other=SCRATCH):
        """Of one method over another, in points: mean, low, high."""
        return points(self.rows(method=one, shots=shots), self.rows(method=other, shots=shots))

    def shift(self, kind):
        ten = self.load("digits")
        ten = ten[ten.shots == 10].set_index(["seed", "method"])[[f"{kind} {s}" for s in STRENGTHS]]
        return ten.mean(axis=1).unstack()

    def shift_lead(self, kind, one=TUNED, other=SCRATCH):
        means = self.shift(kind)
        return tuple(100 * v for v in mean_interval(means[one], minus=means[other]))


def points(rows, minus):
    """The lead of results over others, paired by seed, in points: mean, low, high."""
    return tuple(100 * v for v in experiments.interval(rows, minus))


def above(interval, least=0.0):
    return interval[1] > least


def within(interval, low, high):
    return low < interval[0] < high


AFTER = "fine-tuned after a probe"
SHOTS = (1, 2, 5, 10, 20, 50, 90)
TABLES = ("wine", "breast_cancer", "fraud")


def _ten(stored, column, one=None, other=None):
    """At ten labels a class: the mean of a column for each method, or of the difference of two with its interval."""
    wide = stored.wide(index=["seed"], value=column, shots=10)
    return mean_interval(wide[one], minus=wide[other]) if one else wide.mean()


def _gap(stored):
    wide = stored.wide(index=["seed"], value="train", shots=10) - stored.wide(index=["seed"], value="test", shots=10)
    return wide * 100


def _works(stored):
    """The share of learning rates at which a method reaches 90% of its best mean: a row for each seed."""
    rates = stored.wide("rates", index=["lr", "seed"])
    return (rates >= 0.9 * rates.groupby("lr").mean().max()).groupby("seed").mean()


def _tables(stored):
    wide = stored.wide("tables", index=["task", "seed"])
    return [wide.loc[task] for task in TABLES]


def _on_tables(stored, one, other):
    return [points(*(stored.rows("tables", task=task, method=method) for method in (one, other))) for task in TABLES]


def _swap(stored, variant):
    return points(stored.rows("components", variant=variant), stored.rows("components", variant=""))


def _blocks(stored):
    """The mean accuracy with so many blocks from the letters."""
    some = stored.wide("blocks", index=["seed"], columns="variant")
    ends = stored.wide().loc[5].reindex(some.index)[[SCRATCH, TUNED]].mean()
    return [ends[SCRATCH], *(some[f"kept={n}"].mean() for n in range(1, 5)), ends[TUNED]]


RANDOM, BRIEF = "letters with random names", "letters, pretrained as briefly"


def _source(stored, name):
    return stored.wide("sources", index=["seed"], backbone=name)


def _over_scratch(stored, source, method):
    return points(stored.rows("sources", backbone=source, method=method), stored.rows(method=SCRATCH))


def _heads(stored, partner, other=SCRATCH):
    """The lead of two heads with a partner over a method that learns the digits alone, at five labels a class, in points."""
    return points(stored.rows("two_heads", variant=f"partner={partner}"), stored.rows(method=other))


def _same(stored):
    middle, low, high = points(*(stored.rows("two_heads", variant=f"partner={name}") for name in ("letters", RANDOM)))
    return low < 0 < high


CLAIMS = {
    "07": {
        "With one labelled image a class, the letters are worth more than twenty points; with fifty, nothing.": lambda s: (
            above(s.lead(1), 20) and abs(s.lead(50)[0]) < 0.6 and s.lead(50)[1] < 0.3
        ),
        "At ten labels a class one or two points of the lead are left.": lambda s: within(s.lead(10), 0.7, 2.3),
        "Up to five labels a class it does not matter which head reads the letters features: nearest centroid, which "
        "trains nothing, probe and fine-tuning lie within three points of each other.": lambda s: all(
            np.ptp([s.wide()[name].loc[shots].mean() for name in (CENTROID, PROBE, TUNED)]) < 0.03 for shots in (1, 2, 5)
        ),
        "On ten fresh seeds, fine-tuning leads the probe by about one point at ten labels a class.": lambda s: (
            s.load("digits").seed.nunique() == 10
            and within(s.lead(10, TUNED, PROBE), 0.6, 1.4)
            and above(s.lead(10, TUNED, PROBE))
        ),
        "Fine-tuning after a probe was at no number of labels better than fine-tuning at once, beyond doubt.": lambda s: all(
            s.lead(shots, AFTER, TUNED)[1] <= 0 for shots in SHOTS
        ),
        "To do as well as transfer with five labels a class, the same network needs about twice as many from scratch.": (
            lambda s: 1.5 < labels_to_match(s.wide()[SCRATCH].unstack("shots"), s.wide()[TUNED].loc[5])[0] / 5 < 2.6
        ),
        "Transfer narrows the gap: to between two and three points, where the same network from scratch has about four.": (
            lambda s: (
                2 < _gap(s)[TUNED].mean() < 3
                and 3.5 < _gap(s)[SCRATCH].mean() < 4.5
                and above(mean_interval(_gap(s)[SCRATCH], minus=_gap(s)[TUNED]))
            )
        ),
        "Turned, moved, blurred or thickly written digits: there the letters lead by more than ten points.": lambda s: all(
            above(s.shift_lead(kind), 5) and s.shift_lead(kind)[0] > 10
            for kind in ("rotation", "translation", "blur", "thickness")
        ),
        "Under noise it is the other way round: the letters are worse than the same network from scratch, and the small raw "
        "CNN is far ahead of both.": lambda s: s.shift_lead("noise")[2] < 0 and s.shift_lead("noise", RAW, SCRATCH)[1] > 20,
        "With less contrast, too, the raw CNN does better than fine-tuned letters, by more than twenty points.": lambda s: (
            s.shift_lead("contrast", RAW, TUNED)[0] > 20 and above(s.shift_lead("contrast", RAW, TUNED), 10)
        ),
        "Transfer does not bring better calibration: its error is below 0.03, but that of the same network from scratch is "
        "smaller.": lambda s: _ten(s, "calibration")[TUNED] < 0.03 and above(_ten(s, "calibration", TUNED, SCRATCH)),
        "The fragile one is the raw CNN: about half of its settings work; of the other three, about three quarters.": (
            lambda s: 0.4 < _works(s)[RAW].mean() < 0.6 and min(_works(s)[m].mean() for m in (SCRATCH, PROBE, TUNED)) > 0.7
        ),
        "Pretraining itself adds little: on the same network, the share that works rises by less than a tenth.": lambda s: (
            0 <= (_works(s)[TUNED] - _works(s)[SCRATCH]).mean() < 0.1
        ),
        "Noise and shuffled pixels are a bad school: a probe on their backbone names fewer than half of the digits.": (
            lambda s: all(_source(s, name)[PROBE].mean() < 0.5 for name in ("noise", "letters with shuffled pixels"))
        ),
        "Letters with random names lie between: a probe on them stays behind training from scratch, and fine-tuned they are "
        "level with it.": lambda s: (
            _over_scratch(s, RANDOM, PROBE)[2] < 0
            and _over_scratch(s, RANDOM, TUNED)[1] < 0 < _over_scratch(s, RANDOM, TUNED)[2]
            and _source(s, "noise")[PROBE].mean() < _source(s, RANDOM)[PROBE].mean()
        ),
        "Even upside down, letters help: a probe on them beats training from scratch.": lambda s: above(
            _over_scratch(s, "letters upside down", PROBE)
        ),
        "Without all the letters that look like digits a probe loses only about one point, and still beats training from "
        "scratch.": lambda s: (
            above(_over_scratch(s, "letters without look-alikes", PROBE))
            and 0 < 100 * (_source(s, BRIEF) - _source(s, "letters without look-alikes"))[PROBE].mean() < 1.6
        ),
        "With all the labels there are, training from scratch is as good as transfer.": lambda s: -0.4 < s.lead(90)[0] < 0.2,
        "On none of the three tables do the letters lead the same network from scratch, beyond doubt.": lambda s: all(
            lead[1] <= 0 for lead in _on_tables(s, TUNED, SCRATCH)
        ),
        "A probe on frozen letters features does worse than plain logistic regression on all three, on average.": lambda s: (
            all(part[PROBE].mean() < part[LOGISTIC].mean() for part in _tables(s))
        ),
        "Only the sigmoid makes this network clearly worse, by about four points; other swaps cost one at most.": (
            lambda s: (
                within(_swap(s, "activation=sigmoid"), -5, -3)
                and _swap(s, "activation=sigmoid")[2] < 0
                and all(_swap(s, name)[0] > -1.2 for name in s.load("components").variant.unique() if "sigmoid" not in name)
            )
        ),
        "Batch norm helps, by between half a point and two and a half.": lambda s: (
            0.3 < _swap(s, "norm=batch")[1] and _swap(s, "norm=batch")[2] < 2.6
        ),
        "Runs with the same images still spread, from their beginning and order alone, by about half a point.": lambda s: (
            0.003 < s.wide("components", index=["seed"], columns="variant")["images=0"].std() < 0.008
        ),
        "The first two of the five blocks bring more than half of the gain, and the last one adds nothing that shows.": (
            lambda s: (
                _blocks(s)[2] - _blocks(s)[0] > 0.5 * (_blocks(s)[5] - _blocks(s)[0]) > 0.01
                and abs(_blocks(s)[5] - _blocks(s)[4]) < 0.005
            )
        ),
    },
    "08": {
        "Learned together with letters, the digits gain about three points over learning alone.": lambda s: (
            within(_heads(s, "letters"), 2, 4) and above(_heads(s, "letters"))
        ),
        "With random names on the letters the gain is hardly smaller, and five seeds cannot tell the two apart.": lambda s: (
            above(_heads(s, RANDOM)) and 0 < _heads(s, "letters")[0] - _heads(s, RANDOM)[0] < 1.5 and _same(s)
        ),
        "Parity is no help: with it the digits are named no better than alone.": lambda s: _heads(s, "parity")[0] <= 0.5,
        "Fine-tuned letters lead two heads with letters by about a point, and even the probe is ahead of them.": lambda s: (
            -2 < _heads(s, "letters", TUNED)[0] < -0.5 and _heads(s, "letters", PROBE)[0] < -0.3
        ),
    },
}
STORED = Stored()
ALL = [(number, sentence) for number, claims in CLAIMS.items() for sentence in claims]


@pytest.mark.parametrize("number, sentence", ALL, ids=[f"{number}: {sentence[:50]}" for number, sentence in ALL])
def test_the_sentence_is_true_of_the_stored_results(number, sentence):
    assert CLAIMS[number][sentence](STORED), f"No longer true in lesson {number}: {sentence}"


@pytest.mark.parametrize("number", CLAIMS)
def test_every_bold_sentence_is_bound(number):
    path = next(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    cells = nbformat.read(path, as_version=4).cells
    text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    bold = [" ".join(sentence.split()) for sentence in re.findall(r"\*\*([A-Z][^*]+\.)\*\*", text)]
    headings = {"The question."}
    assert sorted(set(bold) - headings) == sorted(CLAIMS[number])


def _swapped(frame):
    """The first of each axis changes its place with the last, the second with the last but one, and so on."""
    for column in ("method", "backbone", "variant", "task"):
        kinds = sorted(frame[column].unique())
        frame = frame.assign(**{column: frame[column].map(dict(zip(kinds, reversed(kinds))))})
    return frame


def _shuffled(frame):
    random = np.random.default_rng(0)
    results = frame.select_dtypes("number").columns.difference(["shots", "seed", "lr"])
    shuffled = {column: frame[column].copy() for column in (*results, "right")}
    for column in shuffled.values():
        there = column.notna()
        column[there] = random.permutation(column[there])
    return frame.assign(**shuffled)


def _mirrored(frame):
    """What was best is worst."""
    results = [name for name in frame.columns if name in ("train", "val", "test", "calibration") or name[-1].isdigit()]
    return frame.assign(**{name: 1 - frame[name] for name in results}, right="")


def _helped(frame):
    """Whatever stands on the letters is better by ten points."""
    return frame.assign(test=frame.test + 0.1 * frame.method.isin([TUNED, PROBE, AFTER, CENTROID]), right="")


@pytest.mark.parametrize("number, sentence", ALL, ids=[f"{number}: {sentence[:50]}" for number, sentence in ALL])
def test_the_sentence_would_fail_on_other_results(number, sentence):
    """On at least two of three, or, if it says that there is no lead, where there is one."""
    held = [CLAIMS[number][sentence](Stored(change)) for change in (_swapped, _shuffled, _mirrored)]
    assert sum(held) < 2 or not CLAIMS[number][sentence](Stored(_helped))
