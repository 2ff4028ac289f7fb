import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tl_helpers import experiments
from tl_helpers.experiments import Cell, Grid, chosen, mean_interval, table

ROOT = Path(__file__).resolve().parent.parent
SMALL = Grid(
    ["resnet10t.letters"],
    (1, 2),
    range(2),
    ("nearest centroid on pixels", "raw CNN from scratch", "linear probe on letters features"),
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    monkeypatch.setitem(experiments.GRIDS, "small", SMALL)
    return tmp_path / "small.csv"


def test_a_grid_has_one_cell_for_each_method_rate_and_draw():
    cells = list(SMALL.cells())
    assert len(cells) == len({cell.key for cell in cells}) == 2 * 2 * (1 + 3 + 3)
    assert {cell.backbone for cell in cells if cell.method.startswith("raw")} == {""}


def test_a_grid_is_stored_as_it_goes_and_continued_where_it_stood(here):
    whole = experiments.run("small", processes=1)
    assert len(whole) == len(list(SMALL.cells())) and whole.test.between(0.1, 1).all()
    assert {"commit", "device", "versions", "seconds", "trainable"} <= set(whole) and whole.seconds.gt(0).all()
    lines = here.read_text().splitlines(keepends=True)
    here.write_text("".join(lines[:9]) + lines[9][:20])  # as a crash in the middle of a row leaves it
    again = experiments.run("small", processes=1)
    columns = ["method", "backbone", "shots", "lr", "seed", "train", "val", "test", "trainable"]
    order = ["method", "shots", "lr", "seed"]
    pd.testing.assert_frame_equal(
        again[columns].sort_values(order, ignore_index=True), whole[columns].sort_values(order, ignore_index=True)
    )
    assert here.read_text().splitlines(keepends=True)[:9] == lines[:9]


def test_a_learning_rate_is_chosen_by_validation_alone():
    rows = [
        {"method": "raw CNN from scratch", "backbone": "", "shots": 5, "lr": lr, "seed": seed, "val": val, "test": test}
        for lr, val, test in ((0.1, 0.5, 0.9), (0.01, 0.7, 0.6))
        for seed in range(3)
    ]
    rows += [
        {
            "method": "nearest centroid on pixels",
            "backbone": "",
            "shots": 5,
            "lr": np.nan,
            "seed": 0,
            "val": 0.4,
            "test": 0.4,
        }
    ]
    best = chosen(pd.DataFrame(rows))
    assert best.lr.dropna().unique().tolist() == [0.01] and len(best) == 4
    assert table(pd.DataFrame(rows)).loc["raw CNN from scratch", 5] == "0.600 (0.600-0.600)"


def test_the_interval_of_a_mean_is_students():
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 1.0368, 4.9632), abs=1e-4)
    assert mean_interval([0.5]) == (0.5, 0.5, 0.5)


def test_results_that_are_not_there_are_asked_for():
    with pytest.raises(ValueError, match="python -m tl_helpers results nothing"):
        experiments.load("nothing")


def test_a_cell_can_be_run_again_to_the_same_numbers():
    cell = Cell("linear probe on letters features", "resnet10t.letters", 2, 1e-2, 0)
    one, again = (experiments.measure(cell) for _ in range(2))
    assert one | {"seconds": 0} == again | {"seconds": 0} and one["test"] > 0.8


def test_a_file_that_a_crash_left_empty_gets_its_header_and_a_row_counts_once(here):
    row = {"method": "m", "backbone": "", "shots": 1, "lr": 0.1, "seed": 0, "test": 0.5}
    here.write_text("meth")
    assert experiments._rows(here) == [] and here.read_text() == ""
    for _ in range(2):
        experiments._append(here, row)
    assert len(experiments._rows(here)) == 2 and len(experiments.load("small")) == 1


@pytest.mark.slow
def test_a_grid_that_is_killed_at_any_moment_loses_at_most_what_was_in_the_making(here, interruptible):
    code = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from tl_helpers import experiments
import test_experiments
experiments.RESULTS = Path({str(here.parent)!r})
experiments.GRIDS["small"] = test_experiments.SMALL
if __name__ == "__main__":
    experiments.run("small", processes=1)
"""
    script = here.parent / "grid.py"
    script.write_text(code)
    seen = []
    for wait, how in ((9, signal.SIGKILL), (11, signal.SIGKILL), (10, signal.SIGINT), (12, signal.SIGKILL), (600, None)):
        process = subprocess.Popen([sys.executable, str(script)], cwd=ROOT, start_new_session=True)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, how)
            process.wait(60)  # Ctrl-C too ends soon: what has not begun is not begun
        time.sleep(0.1)
        rows = here.read_text().splitlines() if here.exists() else []
        assert rows[: len(seen)] == seen  # nothing that was stored is lost
        seen = [row for row in rows if row.count(",") == rows[0].count(",")] if rows else []
    assert process.returncode == 0
    assert len(experiments.load("small")) == len(list(SMALL.cells()))
