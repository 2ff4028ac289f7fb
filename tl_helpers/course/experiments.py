"""Is the claim true? Grids of method x shots x learning rate x seed: each cell is one training, each result a row of a CSV.

Lesson 07 opens this file. `python -m tl_helpers results` runs or continues a grid. Rows are appended as they come, so a
stopped run loses only what was in the making. A grid has two stages: on the seeds of its search every learning rate is
tried; then each method runs with the rate that did best on the validation images, on fresh seeds, and those are its results.
"""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import io
import itertools
import math
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ..device import device, machine
from ..engine.validate import check_choice, shown
from ..engine.weights import DATA
from ..results import Interval, mean_interval
from ..runs import Diverged
from . import methods, pretraining, without_labels
from .methods import MAIN, METHODS, PROBE, RESNET, SCRATCH, SHIFTS, STRENGTHS, TABLES, TASKS, TUNED, Cell

RESULTS = DATA / "results"


@dataclasses.dataclass(frozen=True)
class Grid:
    """Which cells an experiment consists of.

    seeds: of the results; search: of the search for a learning rate, others than those, at `search_shots` or all `shots`.
    rates: tried on all seeds in place of a search, by all methods.
    shift: which shifted test images to look at too, at 10 shots.
    """

    methods: Sequence[str]
    shots: Sequence[int]
    seeds: Sequence[int]
    search: Sequence[int] = ()
    backbones: Sequence[str] = (RESNET,)
    tasks: Sequence[str] = ("digits",)
    variants: Sequence[str] = ("",)
    search_shots: Sequence[int] | None = None
    rates: Sequence[float] | None = None
    shift: Sequence[str] = ()

    def _cells(self, seeds: Sequence[int], shots: Sequence[int], **more) -> Iterator[Cell]:
        for seed, task, n, variant, name in itertools.product(seeds, self.tasks, shots, self.variants, self.methods):
            for body in self.backbones if METHODS[name].on_backbone else [""]:
                yield Cell(name, body, n, math.nan, seed, task, variant, **more)

    def cells(self, rows: pd.DataFrame | None = None) -> Iterator[Cell]:
        """The cells of the search, and when `rows` holds all of those, the cells of the results."""
        replace = dataclasses.replace
        if self.rates:
            yield from (replace(cell, lr=lr) for cell in self._cells(self.seeds, self.shots) for lr in self.rates)
            return
        tried = self._cells(self.search, self.search_shots or self.shots, stage="search")
        tried = [replace(cell, lr=lr) for cell in tried for lr in METHODS[cell.method].rates if not math.isnan(lr)]
        yield from tried
        if not left(tried, rows):
            best = best_rates(rows) if tried else {}
            for cell in self._cells(self.seeds, self.shots):
                near = [n for *question, n in best if tuple(question) == cell.question and n <= cell.shots]
                yield replace(cell, lr=best[*cell.question, max(near)]) if near else cell


def best_rates(rows: pd.DataFrame) -> dict[tuple, float]:
    """For each question and number of shots searched, the learning rate with the best mean validation accuracy."""
    keys = ["method", "backbone", "task", "variant", "shots"]
    means = rows[rows.stage == "search"].groupby([*keys, "lr"]).val.mean().reset_index()
    best = means.loc[means.groupby(keys).val.idxmax()]
    return {tuple(row[key] for key in keys): row["lr"] for row in best.to_dict("records")}


RAW, CENTROID, FIVE = "raw CNN from scratch", "nearest centroid on letters features", range(5, 10)
PIXELS = ("logistic regression on pixels", "random forest on pixels")
SWAPS = (*(f"activation={name}" for name in ("sigmoid", "tanh", "gelu", "none")), "pooling=average", "kernel=3", "dropout=0")
PARTNERS = [f"partner={name}" for name in ("letters", "letters with random names", "parity")]
SUMMED, ALONE = "two heads, summed loss", "partner=parity,w=0"
TOGETHER = (
    ALONE,
    *(f"partner=letters,w={w}" for w in ("0.3", "1", "3", "10")),
    *(f"partner={name},w=1" for name in ("letters with random names", "parity", "coin toss")),
    "partner=letters first",
)
CROWDED = tuple(f"{name},steps=400" for name in (ALONE, "partner=other,w=10"))
CENTRED = "linear probe on centred features"
CONTROLS = ("weights=letters", "weights=random,watch=letters", "weights=random,watch=digits")
BENDS = ("bend=0", "bend=0.25", "bend=1")
UNBENT = ("letters, pretrained as briefly", "letters, never bent")
UNLABELLED = tuple(without_labels.PRETRAININGS)
THREE_BLOCKS = tuple(f"{name},blocks=3" for name in CONTROLS[:2])  # for `without_labels`, whose backbones have three
OTHERS = ("mobilenetv3_small_050_s1.letters", "convnext_atto_p2.letters")
GRIDS = {
    "digits": Grid(
        MAIN, (1, 2, 5, 10, 20, 50, 90), range(5, 15), range(5), search_shots=(1, 2, 5, 10, 20, 50), shift=SHIFTS
    ),
    "rates": Grid((RAW, SCRATCH, PROBE, TUNED), (10,), range(5), rates=[10 ** (-5 + i / 2) for i in range(9)]),
    "sources": Grid((CENTROID, PROBE, TUNED), (5,), FIVE, range(1), tuple(pretraining.SOURCES)[:6]),
    # 0 and all 5 are in "digits"
    "blocks": Grid(("some blocks from the letters",), (5,), FIVE, range(1), variants=[f"kept={n}" for n in range(1, 5)]),
    "tables": Grid(
        (*PIXELS, RAW, SCRATCH, "linear probe on random features", PROBE, TUNED), (10,), FIVE, range(1), tasks=TABLES
    ),
    "components": Grid((RAW,), (20,), FIVE, range(1), variants=("", *SWAPS, "norm=batch", "images=0")),
    "two_heads": Grid(("two heads",), (5,), FIVE, range(1), variants=PARTNERS),
    "together": Grid((SUMMED,), (5,), FIVE, range(1), variants=TOGETHER),
    "crowded": Grid((SUMMED,), (90,), FIVE, range(1), tasks=("digits", "letters"), variants=CROWDED),
    "fair": Grid((CENTRED,), (1, 2, 5, 10, 20, 50), range(5, 15), range(3), variants=CONTROLS),
    "fair_tables": Grid((CENTRED,), (10,), FIVE, range(1), tasks=TABLES, variants=CONTROLS[:2]),
    "bending": Grid((SCRATCH, TUNED), (10,), FIVE, range(1), variants=BENDS, shift=("rotation",)),
    "unbent": Grid((TUNED,), (10,), FIVE, range(1), UNBENT, variants=BENDS[:2], shift=("rotation",)),
    "without_labels": Grid((CENTRED,), (1, 5, 10), FIVE, range(1), UNLABELLED, search_shots=(1, 5), shift=SHIFTS),
    "three_blocks": Grid((CENTRED,), (1, 5, 10), FIVE, range(1), variants=THREE_BLOCKS, search_shots=(1, 5)),
    "backbones": Grid((SCRATCH, CENTROID, PROBE, TUNED), (5,), range(5, 8), range(1), OTHERS),
}


def measure(cell: Cell, shift: Sequence[str] = ()) -> dict:
    """Run one cell: its row, with what is needed to run it again.

    train, val and test are accuracies (for fraud the area under the ROC curve); loss is the mean cross-entropy on the test
    images in nats, and calibration their expected calibration error (Guo et al. 2017; 10 bins). right has a bit for each
    test image that was named rightly, as hexadecimal digits: of results whose test accuracy is the share of these.
    """
    start = time.perf_counter()
    task = methods._task(cell, **cell.options)
    try:
        answer, trainable = METHODS[cell.method].run(task, cell, **cell.options)
    except Diverged:  # a result too: such a network names the classes at random
        answer, trainable = lambda split: torch.full((len(split), len(task.classes)), 1 / len(task.classes)), 0
    scores = {
        split: _score(cell.task, answer(getattr(task, split)), getattr(task, split).y) for split in ("train", "val", "test")
    }
    row = dataclasses.asdict(cell) | scores | {"trainable": trainable}
    p, y = answer(task.test).double(), task.test.y
    row |= {"loss": F.nll_loss(p.clamp_min(1e-9).log(), y).item(), "calibration": _calibration_error(p, y)}
    if ((p == 0) | (p == 1)).all():  # names, no probabilities
        row |= {"loss": "", "calibration": ""}
    row["seconds"] = round(time.perf_counter() - start, 2)
    wanted = shift and cell.shots == 10 and cell.stage == "result"
    for kind, strength in itertools.product(shift, STRENGTHS):
        there = methods.apply_shift(task.test, kind, strength) if wanted else None
        row[f"{kind} {strength}"] = _score(cell.task, answer(there), there.y) if wanted else ""
    told = cell.stage == "result" and cell.task != "fraud"
    return row | {"right": as_text(p.argmax(1) == y) if told else ""}


def repeat(name: str, **axes) -> pd.DataFrame:
    """Run a part of a stored grid again, now and on this machine, and return the new rows; nothing is stored.

    Args:
        name: a key of GRIDS.
        axes: what to run, as lists: methods, shots, seeds (any, old or new), backbones, tasks, variants; what is left out
            is as in the grid. Learning rates are those that the stored search chose.

    Raises:
        ValueError: the grid has no such method, number of shots, and so on.
    """
    from tqdm import tqdm

    check_choice("name", name, GRIDS)
    grid, stored = GRIDS[name], load(name)
    for axis, wanted in axes.items():
        known = getattr(grid, axis, None)
        if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not known:
            raise ValueError(f"{axis}={wanted!r}: give a list for one of methods, shots, seeds, backbones, tasks, variants.")
        strange = [value for value in wanted if value not in known and axis != "seeds"]
        if strange:
            raise ValueError(f"The grid {name!r} has no {axis} {strange}; it has {list(known)}.")
    searched = grid.search_shots or grid.shots
    part = dataclasses.replace(grid, **axes, search_shots=[n for n in searched if n <= max(axes.get("shots", searched))])
    cells = [cell for cell in part.cells(stored) if cell.stage == "result"]
    return pd.DataFrame([measure(cell) for cell in tqdm(cells, disable=None, leave=False)])


def _score(task: str, p: Tensor, y: Tensor) -> float:
    if task == "fraud":  # naming every row honest would be an accuracy of .95
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(y, p[:, 1]))
    return (p.argmax(1) == y).double().mean().item()


def as_text(right: Tensor | np.ndarray) -> str:
    """Which test images were named rightly, as it is stored: a bit for each, as hexadecimal digits."""
    return np.packbits(np.asarray(right)).tobytes().hex()


def from_text(word: str, count: int) -> list[int]:
    """The same for each of so many images: 1 where it was named rightly, else 0."""
    if len(word) != 2 * -(-count // 8):  # what is missing would be read as wrong answers
        raise ValueError(f"The answers to {count} images are {2 * -(-count // 8)} hexadecimal digits, not {len(word)}.")
    return np.unpackbits(np.frombuffer(bytes.fromhex(word), np.uint8), count=count).tolist()


def _calibration_error(p: Tensor, y: Tensor) -> float:
    sure, named = p.max(1)
    where = (sure * 10).long().clamp(max=9)
    gaps = torch.zeros(10, dtype=sure.dtype).index_add(0, where, (named == y).to(sure.dtype) - sure)
    return (gaps.abs().sum() / len(y)).item()


def run(name: str, processes: int | None = None) -> pd.DataFrame:
    """Run or continue a grid, and return all of its rows.

    Args:
        name: a key of GRIDS.
        processes: how many at once, each with a share of the cores; None for one a core (on a GPU, one).
    """
    from tqdm import tqdm

    path, grid = RESULTS / f"{name}.csv", GRIDS[name]
    processes = processes or (os.cpu_count() or 1 if device().type == "cpu" else 1)
    facts = _facts()
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        processes, spawn, _worker, (max(1, torch.get_num_threads() // processes),)
    ) as pool:
        try:
            while cells := sorted(_missing(name), key=lambda cell: cell.backbone):  # what one makes of images is kept
                wanted = dict.fromkeys(cell.backbone for cell in cells)
                list(pool.map(pretraining.source, [body for body in wanted if body in pretraining.SOURCES]))
                list(pool.map(without_labels.pretrained, [body for body in wanted if body in UNLABELLED]))
                running = concurrent.futures.as_completed([pool.submit(measure, cell, grid.shift) for cell in cells])
                for future in tqdm(running, total=len(cells), disable=None):  # None: shown in a terminal only
                    _append(path, facts | future.result())
        except BaseException:  # Ctrl-C too: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return load(name)


def _worker(threads: int) -> None:
    """A share of the cores; and an end when the process that started this one is gone."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _missing(name: str) -> list[Cell]:
    rows = load(name) if _rows(RESULTS / f"{name}.csv") else None
    return left(GRIDS[name].cells(rows), rows)


def continued(path: Path, read: Callable, waiting: Callable, measure: Callable) -> pd.DataFrame:
    """Run or continue a grid of a kind of its own in this process, and return all rows.

    Args:
        path: its file.
        read: gives the rows of the file.
        waiting: the cells to run next, of the rows (None where there are none); asked again when they are done.
        measure: gives the rows of a cell, which are written together.
    """
    from tqdm import tqdm

    facts = _facts()
    while cells := waiting(read() if _rows(path) else None):
        for cell in tqdm(cells, disable=None):
            for row in measure(cell):
                _append(path, facts | row)
    return read()


def left(cells: Iterable[Cell], rows: pd.DataFrame | None) -> list[Cell]:
    """Those of the cells that have no row yet, each once."""
    done = set() if rows is None else {Cell.of(row).key for row in rows.to_dict("records")}
    return [cell for cell in dict.fromkeys(cells) if cell.key not in done]


def _facts() -> dict[str, str]:
    git = ["git", "-C", str(DATA.parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "tl_helpers"]).returncode if commit else 0
    except OSError:  # no git here
        commit, changed = "", 0
    commit += "-dirty" if changed else ""
    facts = machine()
    return {"commit": commit or "unknown", "device": facts["device"], "versions": facts["versions"]}


def _append(path: Path, row: dict) -> None:
    """One whole line, on the disk before this returns.

    Raises:
        ValueError: the file has other columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", newline="", encoding="utf-8") as file:
        file.seek(0)
        columns = next(csv.reader(file), None)
        if columns and set(columns) != set(row):
            raise ValueError(f"{path} has the columns of another version ({set(columns) ^ set(row)}): move it away.")
        writer = csv.DictWriter(file, columns or list(row), lineterminator="\n")
        if not columns:
            writer.writeheader()
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        file.flush()
        os.fsync(file.fileno())


def _rows(path: Path) -> list[dict]:
    """The rows of a stored grid. A last line that a crash cut short is removed from the file."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        os.truncate(path, len(whole))
    return list(csv.DictReader(whole.decode().splitlines()))


CELL = tuple(field.name for field in dataclasses.fields(Cell))


def read(path: Path, words: str, keys: Sequence[str], missing: Sequence[str]) -> pd.DataFrame:
    """The rows of a stored grid; where two runs at once wrote a row twice, one of them.

    They are kept until the file changes: pages of results ask for the same ones hundreds of times.

    Args:
        words: what to say where there is no such file.
        keys: the columns that tell rows apart.
        missing: the columns in which a number may be missing.

    Raises:
        ValueError: there is no such file.
    """
    if not path.exists():
        raise ValueError(words)
    now = path.stat()
    return _read(path, now.st_mtime_ns, now.st_size, tuple(keys), tuple(missing)).copy()


@functools.lru_cache(maxsize=32)
def _read(path: Path, changed: int, size: int, keys: tuple[str, ...], missing: tuple[str, ...]) -> pd.DataFrame:
    none, text = dict.fromkeys(missing, ["nan", ""]), path.read_text(encoding="utf-8")
    whole = io.StringIO(text[: text.rfind("\n") + 1])  # less a last line that a crash cut short
    try:
        rows = pd.read_csv(whole, keep_default_na=False, dtype={"right": str, "variant": str}, na_values=none)
    except ValueError as error:  # pandas' own errors are of this kind
        raise ValueError(f"{shown(path)} is no table of results ({error}): get it anew, or run its grid.") from error
    return rows.drop_duplicates(list(keys))


def load(name: str) -> pd.DataFrame:
    """The stored rows of a grid: those of Cell, train, val and test accuracy, loss, calibration, trainable, seconds, ..."""
    words = f"There are no results of {name!r} in {RESULTS}: run `python -m tl_helpers results {name}`."
    shifts = (f"{kind} {strength}" for kind, strength in itertools.product(SHIFTS, STRENGTHS))
    return read(RESULTS / f"{name}.csv", words, CELL, ("lr", "loss", "calibration", *shifts))


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are results: learning rates were chosen before, on other seeds and on validation images."""
    return frame[frame.stage == "result"]


def select(frame: pd.DataFrame, **wanted) -> pd.DataFrame:
    """The rows that have these values: select(frame, shots=5, method=PROBE)."""
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def values(rows: pd.DataFrame) -> tuple[tuple[int, ...] | float, ...]:
    """For each row which test images were named rightly, if it is stored, or else the accuracy; see `mean_interval`."""
    return tuple(
        tuple(from_text(row["right"], test_images(row["task"]))) if row.get("right") else row["test"]
        for row in rows.to_dict("records")
    )


def test_images(task: str) -> int | None:
    """How many there are; None for fraud, whose results are no accuracies."""
    return len(methods._held_out(task)[1]) if task != "fraud" else None


def interval(rows: pd.DataFrame, minus: pd.DataFrame | None = None) -> Interval:
    """The mean test accuracy of results of one method and task, or its lead over another's with the same seeds.

    Where it is stored which test images were named rightly, the 95% interval covers draws and test images. Where it is not,
    that of an accuracy does as well, and is wider than it need be; that of a lead covers the draws only.

    Raises:
        ValueError: there are no results, several of one seed, or not the same seeds of both.
    """
    parts = [part[part.seed.isin(rows.seed)].sort_values("seed") for part in (rows, minus) if part is not None]
    if rows.empty or not all(part.seed.is_unique and len(part) == len(rows) for part in parts):
        raise ValueError("interval takes results of one method and task, one a seed, and of another with the same seeds.")
    task, shots, variant = rows[["task", "shots", "variant"]].iloc[0]
    stored = all("right" in part and part.right.astype(bool).all() for part in parts)
    first, *other = [values(part) if stored else part.test for part in parts]
    of = "initial weights, all with the same training images" if _same_images(task, shots, variant) else "training images"
    return mean_interval(first, test_images(task) if stored or not other else None, minus=other[0] if other else None, of=of)


def in_points(found: Interval) -> Interval:
    """An interval of shares in points, which are hundredths."""
    return Interval([100 * value for value in found], found.covers)


def crossed_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """The mean of values by pretraining, draw and test image, and what others of each of the three leave open.

    For each of the three it takes the margin of its own means (`mean_interval`), which holds some of the other two as well;
    the squares add up (Zou and Donner 2008), so that the interval is rather too wide. tests/test_without_labels.py counts.

    Args:
        values: pretrainings x draws x images, or without the last; in any unit. What there is only one of is not covered.
    """
    sizes = {axis: size for axis, size in enumerate(values.shape) if size > 1}
    margins = []
    for axis, size in sizes.items():
        middle, low, _ = mean_interval(np.moveaxis(values, axis, 0).reshape(size, -1).mean(1), level=level)
        margins.append(middle - low)
    middle, margin = values.mean(), math.hypot(*margins)
    names = ("pretrainings", "draws of training images", "test images")
    covers = ", ".join(f"{size} {names[axis]}" for axis, size in sizes.items())
    return Interval((middle, middle - margin, middle + margin), covers)


@functools.lru_cache
def _same_images(task: str, shots: int, variant: str) -> bool:
    """Whether all seeds train on the same images, because there are no more or because the variant says so."""
    one, other = (TASKS[task](shots, seed).train.x.flatten(1).numpy() for seed in (0, 1))
    return "images=" in variant or np.array_equal(*(part[np.lexsort(part.T)] for part in (one, other)))


def prediction_interval(values: Sequence[float], level: float = 0.99, runs: int = 1) -> Interval:
    """The mean of several runs, and where the mean of so many new ones on the same test images will lie (Student's t).

    Raises:
        ValueError: there are fewer than two values or one new run, or they do not fit.
    """
    if len(values) < 2 or runs < 1 or np.ndim(values) > 1:
        raise ValueError("Where one new run or more will lie can be told from two old ones or more: give their results.")
    middle, _, high = mean_interval(values, level=level)
    margin = (high - middle) * np.sqrt(1 + len(values) / runs)
    return Interval((middle, middle - margin, middle + margin), f"new runs on the same test images; {runs} at once")


def labels_to_match(curve: pd.DataFrame, goals: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """How many labelled images per class a method needs to reach the mean of `goals`, with a bootstrap interval over seeds.

    Args:
        curve: accuracies of the method: a row for each seed, a column for each number of images per class, ascending.
        goals: accuracies of the other method, one for each seed; the rows of `curve` and these are drawn anew together.
        level: of the interval.

    Returns: the number, and the ends of its percentile interval. Between two columns the number is read off a straight line
        over its logarithm; a goal below the first column gives that column, one above all of them infinity.
    """
    if len(goals) != len(curve) or not curve.columns.is_monotonic_increasing:
        raise ValueError("Give a goal for each row of the curve, whose columns ascend.")
    if isinstance(goals, pd.Series) and not goals.index.equals(curve.index):
        raise ValueError("The goals are of other draws than the rows of the curve, or in another order: give one index.")
    for accuracies in (curve.to_numpy().ravel(), goals):  # raises a ValueError where they are none
        mean_interval(accuracies, level=level)
    shots, values, goals = np.log(curve.columns.to_numpy(float)), curve.to_numpy(float), np.asarray(goals, float)

    def needed(rows: np.ndarray) -> float:
        means, goal = np.maximum.accumulate(values[rows].mean(0)), goals[rows].mean()
        after = int(np.searchsorted(means, goal))
        if after in (0, len(means)):
            return float(np.exp(shots[0])) if after == 0 else np.inf
        share = (goal - means[after - 1]) / (means[after] - means[after - 1])
        return float(np.exp(shots[after - 1] + share * (shots[after] - shots[after - 1])))

    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    found = [needed(rows) for rows in draws]  # some may be infinite, so the ends are drawn values and nothing in between
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return needed(np.arange(len(values))), float(low), float(high)


def table(frame: pd.DataFrame, by: str = "shots") -> pd.DataFrame:
    """Mean test accuracy and its 95% interval (see `interval`): a row for each method, a column for each value of `by`."""
    rows = chosen(frame)
    order = [name for name in METHODS if name in set(rows.method)]
    groups = rows.groupby(["method", by], sort=False)
    found = {keys: "{:.3f} ({:.3f}-{:.3f})".format(*np.clip(interval(part), 0, 1)) for keys, part in groups}
    return pd.Series(found).rename_axis(["method", by]).unstack(sort=False).loc[order]


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown."""
    rows = [
        [{"shots": "labelled images per class"}.get(frame.columns.name, frame.columns.name), *frame.columns],
        ["---"] * (len(frame.columns) + 1),
        *map(list, frame.itertuples()),
    ]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
