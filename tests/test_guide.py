"""The two pages that cite stored results: each number on them is computed again from the files of data/results."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tl_helpers.course import experiments, guide, lesson_07, photographs, pictures_and_words, small
from tl_helpers.results import mean_interval

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"CLAIMS.md": guide.claims_page, "DECISIONS.md": guide.decisions_page}
PROBE, TUNED = "linear probe on letters features", "fine-tuned letters backbone"
SCRATCH, RAW = "same backbone from scratch", "raw CNN from scratch"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_stored_results_say(name):
    stored = (ROOT / "notebooks" / name).read_text(encoding="utf-8")
    assert stored == PAGES[name](), "write it anew: python -m tl_helpers.course.guide"


@pytest.mark.parametrize("name", PAGES)
def test_each_line_cites_a_grid_that_is_there(name):
    lines = [line for line in PAGES[name]().splitlines() if line.startswith("| ") and "](" in line]
    cited = [re.findall(r"\(\.\./data/results/(\w+)\.csv\)", line) for line in lines]
    assert len(lines) > 9 and all(cited)
    assert all((ROOT / "data" / "results" / f"{grid}.csv").exists() for grids in cited for grid in grids)


@pytest.fixture
def other_results(monkeypatch):
    """Called, it makes every accuracy a little lower and every training longer; on photographs, more images are missed."""
    load, load_photographs, load_small = experiments.load, photographs.load, small.load
    load_names = pictures_and_words.load

    def other(name):
        frame, rng = load(name), np.random.default_rng(0)
        columns = ["test", "calibration", *(c for c in frame if c[-1].isdigit())]
        noise = {c: pd.to_numeric(frame[c]) * (0.6 + 0.3 * rng.random(len(frame))) for c in columns}
        return frame.assign(**noise, seconds=frame.seconds * (1 + 9 * rng.random(len(frame))), right="")

    def other_photographs():
        frame, rng = load_photographs(), np.random.default_rng(0)
        missed = [
            bytes(np.frombuffer(bytes.fromhex(r), np.uint8) & rng.integers(0, 256, len(r) // 2, np.uint8))
            for r in frame.right
        ]
        return frame.assign(right=[bits.hex() for bits in missed], trainable=frame.trainable + 1e6 * rng.random(len(frame)))

    def other_small():
        frame, rng = load_small(), np.random.default_rng(0)
        missed = [
            bytes(np.frombuffer(bytes.fromhex(r), np.uint8) & rng.integers(0, 256, len(r) // 2, np.uint8))
            for r in frame.right
        ]
        return frame.assign(right=[bits.hex() for bits in missed], bytes=frame.bytes * (1 + 9 * rng.random(len(frame))))

    def other_names():
        frame, rng = load_names(), np.random.default_rng(0)
        missed = [
            bytes(np.frombuffer(bytes.fromhex(r), np.uint8) & rng.integers(0, 256, len(r) // 2, np.uint8))
            for r in frame.right
        ]
        return frame.assign(test=frame.test * (0.6 + 0.3 * rng.random(len(frame))), right=[bits.hex() for bits in missed])

    def change():
        monkeypatch.setattr(pictures_and_words, "load", other_names)
        monkeypatch.setattr(small, "load", other_small)
        for module in (experiments, lesson_07):
            monkeypatch.setattr(module, "load", other)
        monkeypatch.setattr(photographs, "load", other_photographs)

    return change


def test_no_number_is_typed_in(other_results):
    """With other results, each line of both pages changes."""
    before = [page().splitlines() for page in PAGES.values()]
    other_results()
    after = [page().splitlines() for page in PAGES.values()]
    for one, two in zip(before, after):
        same = [a for a, b in zip(one, two) if a == b and a.startswith("| ") and "](../data" in a]
        assert not same and len(one) == len(two), same


def plain(name):
    """The results of a grid, read without the course's own functions."""
    frame = pd.read_csv(ROOT / "data" / "results" / f"{name}.csv", keep_default_na=False)
    return frame[frame.stage == "result"]


def line(text, *parts):
    found = [row for row in text.splitlines() if all(part in row for part in parts)]
    assert len(found) == 1, (parts, found)
    return found[0]


def test_the_leads_are_differences_of_means():
    page, frame = guide.claims_page(), plain("digits")
    for shots in (1, 2, 5, 10, 20, 50, 90):
        means = frame[frame.shots == shots].groupby("method").test.mean()
        row = line(page, "leads the same network from scratch", f"| {shots} label")
        assert f"| {100 * (means[TUNED] - means[SCRATCH]):+.1f} points |" in row
    for kind in ("rotation", "noise"):
        columns = [f"{kind} {strength}" for strength in range(1, 6)]
        ten = frame[frame.shots == 10]
        means = ten.groupby("method")[columns].agg(lambda column: column.astype(float).mean()).mean(axis=1)
        row = line(page, "leads the same network from scratch", f"under {kind}")
        assert f"| {100 * (means[TUNED] - means[SCRATCH]):+.1f} points |" in row
    tables = plain("tables").groupby(["task", "method"]).test.mean()
    for task in ("wine", "breast_cancer", "fraud"):
        row = line(page, f"on {task}")
        assert f"| {100 * (tables[task, TUNED] - tables[task, SCRATCH]):+.1f} points |" in row


def test_the_decisions_cite_means():
    page, means = guide.decisions_page(), plain("digits").groupby(["method", "shots"]).test.mean()
    row = line(page, "**1 to 5** labels")
    assert all(f"{means[name, 5]:.3f}"[1:] in row for name in (PROBE, TUNED, SCRATCH))
    rates = plain("rates").groupby(["method", "lr"]).test.mean()
    row = line(page, "**rate** to fine-tune")
    assert all(f"{value:.3f}"[1:] in row for lr, value in rates[TUNED].items() if 2e-4 < float(lr) < 2e-2)


def test_a_lead_is_wider_where_test_images_are_covered():
    """Beside the interval that covers draws only, and beside the one that compares image by image."""
    one, other = (lesson_07.rows(shots=10, method=method) for method in (TUNED, SCRATCH))
    exact, widest = lesson_07.lead(one, other), lesson_07.lead(one.assign(right=""), other)
    draws = mean_interval(100 * one.sort_values("seed").test, minus=100 * other.sort_values("seed").test.to_numpy())
    assert exact[0] == pytest.approx(widest[0], abs=1e-3) == pytest.approx(draws[0], abs=1e-3)
    width = lambda found: found[2] - found[1]
    assert width(draws) < width(exact) < width(widest)
    assert "test images" in exact.covers and "at most" in widest.covers


def test_widened_intervals_hold_together():
    assert lesson_07.joint(8) == pytest.approx(1 - 0.05 / 8)
    alone, together = lesson_07.verdicts(level=0.95), lesson_07.verdicts()
    assert together.equals(lesson_07.verdicts(lesson_07.joint(10)))  # nine rows less one that is counted, two on photographs
    for side in ("on digits", "on photographs"):
        texts = [frame[side].measured.str.extract(r"\(([+-]?[\d.]+) to ([+-]?[\d.]+)\)") for frame in (together, alone)]
        (low, high), (low_alone, high_alone) = (ends.dropna().astype(float).to_numpy().T for ends in texts)
        assert len(low) == {"on digits": 8, "on photographs": 2}[side]
        assert (low <= low_alone).all() and (high >= high_alone).all() and (low < low_alone).any()
        assert set(together[side].verdict) - {""} <= {"true", "not shown", "the other way round"}


def test_the_row_of_each_claim_says_on_photographs_what_is_stored_there_or_that_nothing_is(other_results):
    """Computed here from the file alone: images named rightly by the same network with ImageNet's weights and without."""
    table, frame = lesson_07.verdicts(), plain("photographs")
    means = frame[frame.variant.fillna("") == ""].groupby(["task", "shots", "method"]).test.mean()
    for task, shots in (("cats-and-dogs", 20), ("solar-cells", 100)):
        of = means[task, shots]
        cell = table[("on photographs", "measured")].iloc[0 if task == "cats-and-dogs" else 1]
        assert cell.startswith(f"{task.replace('-', ' ')}, lead at {shots} labels per class: ")
        assert f": {100 * (of['fine-tuned'] - of['from scratch']):+.1f} points (" in cell
    whole = frame[frame.task == "cats-and-dogs"].groupby("method").trainable.max()
    fewer = 100 * (1 - whole["linear probe"] / whole["fine-tuned"])
    assert table["on photographs"].measured.loc["fewer parameters to train"].endswith(f": {fewer:.1f}% fewer (counted)")
    assert not [column for column in frame if column[-1].isdigit()]  # nothing under shifts
    assert list(table["on photographs"].measured).count("not measured") == 6
    nothing = table["on photographs"].measured == "not measured"
    assert (table["on photographs"].verdict[nothing] == "").all() and (table["on photographs"].verdict[~nothing] != "").all()
    other_results()
    changed = table["on photographs"].measured != lesson_07.verdicts()["on photographs"].measured
    assert (changed == ~nothing).all()
