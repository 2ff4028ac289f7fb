import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tl_helpers as tl
from tl_helpers.course import experiments, lesson_06, lesson_07, lesson_12, methods, pretraining
from tl_helpers.course.experiments import Grid, best_rates, chosen, labels_to_match, measure, table
from tl_helpers.course.methods import PROBE, RESNET, SHIFTS, Cell, apply_shift
from tl_helpers.results import mean_interval

ROOT = Path(__file__).resolve().parent.parent
SMALL = Grid(("nearest centroid on pixels", "raw CNN from scratch", PROBE), (1, 2), (5, 6), search=(0,))
SEARCH, RESULTS = 2 * (3 + 3), 2 * 2 * 3
TINY = Grid(("nearest centroid on pixels", PROBE), (1,), (5, 6), search=(0,))  # of cells that take no time
COLUMNS = [field.name for field in dataclasses.fields(Cell)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    monkeypatch.setitem(experiments.GRIDS, "small", SMALL)
    monkeypatch.setitem(experiments.GRIDS, "tiny", TINY)
    return tmp_path / "small.csv"


def test_a_grid_searches_every_rate_and_then_has_one_cell_for_each_method_and_draw():
    cells = list(SMALL.cells())
    assert len(cells) == len({cell.key for cell in cells}) == SEARCH
    assert {(cell.stage, cell.seed) for cell in cells} == {("search", 0)}  # no result before the search is whole
    assert {cell.backbone for cell in cells if cell.method.startswith("raw")} == {""}
    rows = pd.DataFrame([dataclasses.asdict(cell) | {"val": cell.lr} for cell in cells])
    results = [cell for cell in SMALL.cells(rows) if cell.stage == "result"]
    assert len(results) == RESULTS and {cell.seed for cell in results} == {5, 6}
    assert {cell.lr for cell in results if cell.method != "nearest centroid on pixels"} == {1e-2}
    assert list(SMALL.cells(rows[1:])) == cells


def test_where_no_rate_was_searched_the_one_of_the_next_smaller_number_of_shots_is_taken():
    grid = Grid(("raw CNN from scratch",), (1, 2, 90), (5,), search=(0,), search_shots=(1, 2))
    rows = pd.DataFrame([dataclasses.asdict(cell) | {"val": -cell.lr * cell.shots} for cell in grid.cells()])
    assert [(cell.shots, cell.lr) for cell in grid.cells(rows) if cell.stage == "result"] == [
        (1, 1e-3),
        (2, 1e-3),
        (90, 1e-3),
    ]


def test_the_stored_grids_are_whole():
    for name in experiments.GRIDS:
        assert not experiments._missing(name), name


def test_a_grid_is_stored_as_it_goes_and_continued_where_it_stood(here):
    whole, here = experiments.run("tiny", processes=1), here.with_name("tiny.csv")
    assert whole.stage.value_counts().to_dict() == {"search": 3, "result": 4} and whole.test.between(0.1, 1).all()
    assert {"commit", "device", "versions", "seconds", "trainable", "loss", "calibration"} <= set(whole)
    lines = here.read_text().splitlines(keepends=True)
    here.write_text("".join(lines[:5]) + lines[5][:20])  # as a crash in the middle of a row leaves it
    again = experiments.run("tiny", processes=1)
    columns = [*COLUMNS, "train", "val", "test", "loss", "trainable"]
    one, two = (frame[columns].sort_values(COLUMNS, ignore_index=True) for frame in (again, whole))
    pd.testing.assert_frame_equal(one, two)
    assert here.read_text().splitlines(keepends=True)[:5] == lines[:5]


def test_a_learning_rate_is_chosen_by_validation_alone_and_results_are_of_other_seeds():
    cell = Cell("raw CNN from scratch", "", 5, 0.1, 0, stage="search")
    rows = [
        dataclasses.asdict(dataclasses.replace(cell, lr=lr, seed=seed)) | {"val": val, "test": test}
        for lr, val, test in ((0.1, 0.5, 0.9), (0.01, 0.7, 0.6))
        for seed in range(3)
    ]
    rows.append(dataclasses.asdict(dataclasses.replace(cell, lr=0.01, seed=7, stage="result")) | {"val": 0.4, "test": 0.4})
    frame = pd.DataFrame(rows)
    assert best_rates(frame) == {("raw CNN from scratch", "", "digits", "", 5): 0.01}
    assert chosen(frame).seed.tolist() == [7]
    low, high = tl.results.Evaluation(0.4, 0.0, 797).interval
    assert table(frame).loc["raw CNN from scratch", 5] == f"0.400 ({low:.3f}-{high:.3f})"


def rows_of(method, seeds=range(3), **more):
    cell = Cell(method, "", 2, float("nan"), 0)
    return pd.DataFrame([measure(dataclasses.replace(cell, seed=seed, **more)) for seed in seeds])


def test_a_result_knows_which_test_images_were_named_rightly_and_its_interval_uses_it():
    one, other = rows_of("nearest centroid on pixels"), rows_of("logistic regression on pixels", range(4))
    answers = np.array(experiments.values(one))
    assert answers.shape == (3, 797) and answers.mean(1) == pytest.approx(one.test)
    assert experiments.interval(one) == mean_interval(answers)
    assert experiments.interval(one).covers == "3 draws of training images, 797 test images"
    lead = experiments.interval(one[::-1], minus=other)  # paired by seed
    assert lead == mean_interval(answers, minus=experiments.values(other[:3]))
    for blank in (one.assign(right=""), one.assign(right=["", *one.right[1:]]), one.drop(columns="right")):
        assert experiments.interval(blank) == mean_interval(one.test, 797)
        lead = experiments.interval(blank, minus=other)
        assert lead == mean_interval(one.test, minus=other.test[:3]) and "not other test images" in lead.covers


def test_an_interval_of_no_one_question_is_refused():
    one, other = rows_of("nearest centroid on pixels"), rows_of("nearest centroid on pixels", range(1, 4))
    for wrong in ([one[:0]], [pd.concat([one, one])], [one, other], [one, pd.concat([one, one])], [one, one[:0]]):
        with pytest.raises(ValueError, match="interval takes results of one method"):
            experiments.interval(*wrong)


def test_an_interval_says_where_all_draws_have_the_same_images():
    assert (
        "all with the same training images" in experiments.interval(rows_of("nearest centroid on pixels", shots=90)).covers
    )
    assert experiments.interval(rows_of("nearest centroid on pixels", shots=50)).covers.startswith(
        "3 draws of training images,"
    )
    rows = rows_of("logistic regression on pixels", (0, 1), task="fraud", shots=5)
    assert not rows.right.any() and "not other test images" in experiments.interval(rows).covers  # no accuracy


def test_how_many_labels_match_is_read_off_the_curve():
    curve = pd.DataFrame([[0.5, 0.7, 0.9], [0.5, 0.7, 0.9]], columns=[1, 4, 16])
    assert labels_to_match(curve, [0.8, 0.8]) == pytest.approx((8, 8, 8))
    assert labels_to_match(curve, [0.4, 0.4])[0] == 1 and labels_to_match(curve, [0.95, 0.95])[0] == np.inf
    noisy = curve + np.array([[0.02] * 3, [-0.02] * 3])
    middle, low, high = labels_to_match(noisy, [0.8, 0.8])
    assert low < middle < high and middle == pytest.approx(8)


def test_results_that_are_not_there_are_asked_for():
    with pytest.raises(ValueError, match="python -m tl_helpers results nothing"):
        experiments.load("nothing")


def test_a_cell_can_be_run_again_to_the_same_numbers():
    cell = Cell(PROBE, RESNET, 2, 1e-2, 0)
    one, again = (measure(cell) for _ in range(2))
    assert one | {"seconds": 0} == again | {"seconds": 0} and one["test"] > 0.8


@pytest.mark.parametrize("name", experiments.METHODS)
def test_every_method_runs_and_beats_chance_as_it_should(name, monkeypatch):
    def fit(model, task, *, epochs, **more):  # a quarter of the epochs on images, which take their time
        return tl.fit(model, task, epochs=epochs if task.train.are_vectors else math.ceil(epochs / 4), **more)

    monkeypatch.setattr(methods, "fit", fit)
    variant = {"some blocks from the letters": "kept=5", "two heads": "partner=parity"}.get(name, "")
    method = experiments.METHODS[name]
    row = measure(Cell(name, RESNET if method.on_backbone else "", 2, method.rates[-1], 0, variant=variant))
    assert row["test"] == pytest.approx(0.1, abs=0.02) if name == "chance" else row["test"] > 0.15
    if "centroid" in name:  # which has no probabilities
        assert row["calibration"] == row["loss"] == ""
    else:
        assert 0 <= row["calibration"] <= 1 and row["loss"] > 0
    assert (row["trainable"] == 0) == (method.rates[0] != method.rates[0])


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "fraud"])
def test_tables_become_pictures_with_disjoint_splits(name):
    task = methods.TASKS[name](10, 0)
    assert task.train.x.shape[1:] == (1, 28, 28) and len(task.val) and len(task.test)
    counts = task.train.y.bincount()
    assert counts.min() == 10 and (counts.max() > 100) == (name == "fraud")
    seen = [{picture.numpy().tobytes() for picture in split.x} for split in (task.train, task.val, task.test)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    assert (methods.TASKS[name](10, 1).test.x == task.test.x).all()
    row = measure(Cell("logistic regression on pixels", "", 10, float("nan"), 0, name))
    assert row["test"] > 0.7


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_shift_grows_with_its_strength_and_is_the_same_every_time(kind):
    split = tl.digits().test[:64]
    changes = [(apply_shift(split, kind, s).x.float() - split.x.float()).abs().mean().item() for s in methods.STRENGTHS]
    assert 0 < changes[0] and changes == sorted(changes)
    again = methods.apply_shift.__wrapped__(split, kind, 3)
    assert (again.x == apply_shift(split, kind, 3).x).all() and again.x.dtype == split.x.dtype


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    p = torch.tensor([[0.8, 0.2]] * 10)
    assert experiments._calibration_error(p, torch.tensor([0] * 8 + [1] * 2)) == pytest.approx(0, abs=1e-6)
    assert experiments._calibration_error(p, torch.tensor([0] * 3 + [1] * 7)) == pytest.approx(0.5, abs=1e-6)


def test_a_network_that_keeps_blocks_has_them_from_the_letters_and_the_others_not(monkeypatch):
    caught = []
    monkeypatch.setattr(methods, "_network", lambda model, *_, **__: caught.append(model) or model)
    letters = tl.backbone(RESNET).state_dict()
    for kept in range(6):
        experiments.measure(Cell("some blocks from the letters", RESNET, 1, 1e-3, 0, variant=f"kept={kept}"))
        model = caught.pop()
        parts = tl.models.blocks(model)
        weights = model.state_dict()
        same = [all((weights[name] == letters[name]).all() for name in part) for part in parts]
        assert same == [i < kept for i in range(5)]
        layers = {name.rpartition(".")[0] for part in parts[:kept] for name in part}
        stats = [name for name in letters if name.endswith(("running_mean", "running_var"))]
        found = {name for name in stats if torch.equal(weights[name], letters[name])}
        assert len(stats) == 28 and found == {name for name in stats if name.rpartition(".")[0] in layers}


def test_the_stored_grids_can_be_continued():
    cell = Cell("nearest centroid on pixels", "", 10, float("nan"), 0)
    for name, grid in experiments.GRIDS.items():
        row = measure(cell, grid.shift) | experiments._facts()
        assert set(experiments._rows(experiments.RESULTS / f"{name}.csv")[0]) == set(row), name


@pytest.mark.slow
@pytest.mark.parametrize("name", pretraining.SOURCES)
def test_a_source_is_made_once_and_kept(name, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "DATA", tmp_path / "data")
    one = pretraining.source(name, epochs=1)
    assert len(list((tmp_path / "pretrained").glob("*.safetensors"))) == 1
    again = pretraining.source(name, epochs=99)  # read, not trained
    assert all((a == b).all() for a, b in zip(one.state_dict().values(), again.state_dict().values()))
    if "look-alikes" in name:
        assert set(pretraining.LOOK_ALIKES) <= set(tl.letters().classes)
        assert not set(pretraining.LOOK_ALIKES) & set(tl.letters(pretraining.LOOK_ALIKES).classes)


def test_a_file_that_a_crash_left_empty_gets_its_header_and_a_row_counts_once(here):
    row = dataclasses.asdict(Cell("m", "", 1, 0.1, 0)) | {"test": 0.5}
    here.write_text("meth")
    assert experiments._rows(here) == [] and here.read_text() == ""
    for _ in range(2):
        experiments._append(here, row)
    assert len(experiments._rows(here)) == 2 and len(experiments.load("small")) == 1


def test_a_stored_grid_is_read_again_when_it_has_grown_and_everybody_gets_a_copy(here):
    row = dataclasses.asdict(Cell("m", "", 1, 0.1, 0)) | {"test": 0.5}
    experiments._append(here, row)
    mine = experiments.load("small")
    mine["test"] = 0.0
    assert experiments.load("small").test.tolist() == [0.5]
    experiments._append(here, row | {"seed": 1, "test": 0.7})
    assert experiments.load("small").test.tolist() == [0.5, 0.7]


def test_a_row_is_written_under_the_columns_of_its_file_or_not_at_all(here):
    row = {name: str(value) for name, value in dataclasses.asdict(Cell("m", "", 1, 0.1, 0)).items()}
    experiments._append(here, row)
    experiments._append(here, dict(reversed(row.items())))
    assert experiments._rows(here) == [row, row]
    before = here.read_bytes()
    for other in (row | {"new": 1}, {name: row[name] for name in ("method", "seed")}):
        with pytest.raises(ValueError, match="the columns of another version"):
            experiments._append(here, other)
    assert here.read_bytes() == before


def test_the_stored_answers_are_those_of_the_stored_accuracies():
    rows = experiments.chosen(experiments.load("digits"))
    stored = rows[rows.right != ""]
    assert [np.mean(answers) for answers in experiments.values(stored)] == pytest.approx(stored.test, abs=1e-6)
    whole = stored.groupby(["method", "shots"]).size()
    assert len(whole) and (whole == 10).all() and (10, 10) == (whole.max(), stored[stored.shots == 10].seed.nunique())


@pytest.mark.slow
def test_a_grid_that_is_killed_at_any_moment_loses_at_most_what_was_in_the_making(here, interruptible):
    code = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from tl_helpers.course import experiments
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
    assert len(experiments.load("small")) == SEARCH + RESULTS


class Stop(Exception):
    pass


def test_of_a_continued_grid_only_what_is_missing_is_pretrained(here, monkeypatch):
    stored = pd.read_csv(ROOT / "data" / "results" / "without_labels.csv", keep_default_na=False, dtype=str)
    gone, asked = experiments.UNLABELLED[1], []
    stored[stored.backbone != gone].to_csv(here.with_name("without_labels.csv"), index=False)

    class Pool:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def shutdown(self, **_):
            pass

        def map(self, function, names):
            asked.extend(names)
            return []

        def submit(self, *_):
            raise Stop

    monkeypatch.setattr(experiments.concurrent.futures, "ProcessPoolExecutor", Pool)
    with pytest.raises(Stop):
        experiments.run("without_labels", processes=1)
    assert asked == [gone]


def test_a_grid_of_a_kind_of_its_own_goes_on_where_it_stood(here):
    cells, asked = [Cell("m", "", 1, 0.1, seed) for seed in range(3)], []

    def measured(cell):
        asked.append(cell.seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return [dataclasses.asdict(cell) | {"test": 0.5}]

    def go():
        read = lambda: experiments.load("small")
        return experiments.continued(here, read, lambda rows: experiments.left(cells, rows), measured)

    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(go()) == 3 and asked == [0, 1, 1, 2]


def test_a_row_that_was_cut_short_is_no_result(tmp_path, monkeypatch):
    """The missing answers of its test images would be read as wrong ones."""
    whole = (experiments.RESULTS / "fair.csv").read_bytes()
    rows = experiments.load("fair")
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    for cut in (51, 151, 197):
        (tmp_path / "fair.csv").write_bytes(whole[:-cut])
        assert experiments.load("fair").equals(rows[:-1])
    for damaged in (b"", b'a,b\n1,"2\n'):
        (tmp_path / "fair.csv").write_bytes(damaged)
        with pytest.raises(ValueError, match="fair.csv is no table of results"):
            experiments.load("fair")
    with pytest.raises(ValueError, match="The answers to 797 images are 200 hexadecimal digits, not 198"):
        experiments.from_text("0" * 198, 797)


def test_goals_of_other_draws_are_not_matched():
    curve = pd.DataFrame([[0.5, 0.7], [0.6, 0.8]], columns=[1, 2], index=[5, 6])
    goals = pd.Series([0.6, 0.7], [6, 5])
    with pytest.raises(ValueError, match="give one index"):
        experiments.labels_to_match(curve, goals)
    assert experiments.labels_to_match(curve, goals[[5, 6]])


def test_a_race_on_digits_is_run_as_it_is_called():
    with pytest.raises(ValueError, match="method must be one of 'probe', 'fine-tuned', 'from scratch'; not 'fine-tune'"):
        lesson_06.on_digits("fine-tune", 1, 0, 1e-3)
    one, other = (lesson_06.on_digits("probe", 1, 0, 1e-2, epochs=n) for n in (1, 2))
    assert not torch.equal(one.fc.weight, other.fc.weight)
    body = tl.backbone("convnext_atto_p2.letters")
    task = tl.digits(1)
    for pretrained in (True, False):
        assert type(lesson_06.whole_on(task, body, pretrained, 1e-3)).__name__ == "ConvNeXt"


def test_names_of_nothing_stored_are_said():
    for use in (
        lambda: experiments.repeat("photographs", seeds=[1]),
        lambda: lesson_07.under_shift("turning"),
        lambda: lesson_12.change("turn", "none"),
    ):
        with pytest.raises(ValueError, match="must be one of"):
            use()
    with pytest.raises(ValueError, match="There are no results of 'letters without label'"):
        lesson_12.over("letters without label", lesson_12.PIXELS)
    assert len(lesson_12.nearest(torch.eye(3), 0)) == 2
