"""The grid on photographs: stored whole, read without the photographs, and found again where they are."""

import dataclasses
import math
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

import tl_helpers as tl
from conftest import REAL, ROOT, need
from tl_helpers.course import lesson_09, photographs
from tl_helpers.course.methods import Cell


@pytest.fixture(scope="module")
def rows():
    return photographs.load()


@pytest.fixture(scope="module")
def gains():
    return photographs.gains()


def test_the_stored_grid_is_whole_and_no_rate_wins_at_an_edge(rows):
    assert {cell.key for cell in photographs.cells(rows)} == {Cell.of(row).key for row in rows.to_dict("records")}
    search = rows[rows.stage == "search"]
    for _, part in search.groupby(["method", "backbone", "task", "shots"]):
        means = part.groupby("lr").val.mean()
        best = means.index[means > means.max() - 1e-5]  # as stored, with six digits, two may be equal
        ends = {means.index.min(), means.index.max()} - {photographs.LADDER[0], photographs.LADDER[-1]}
        assert set(best) - ends, part


def new(rows):
    """The cells that are not in these rows."""
    done = {Cell.of(row).key for row in rows.to_dict("records")}
    return [cell for cell in photographs.cells(rows) if cell.key not in done]


def test_an_unfinished_search_asks_for_what_is_missing_and_goes_on_beyond_an_edge(rows):
    question = (rows.method == photographs.PROBE) & (rows.task == "pets") & (rows.shots == 1) & (rows.backbone != "")
    part = rows[~question]
    missing = new(part)
    assert missing and all((c.method, c.task, c.shots, c.stage) == (photographs.PROBE, "pets", 1, "search") for c in missing)
    assert {cell.lr for cell in missing} == {1e-3, 3e-3, 1e-2}
    edge = pd.DataFrame([dataclasses.asdict(cell) | {"val": cell.lr} for cell in missing])  # the highest rate wins
    beyond = new(pd.concat([part, edge]))
    assert {(cell.lr, cell.stage) for cell in beyond} == {(3e-2, "search")}


def test_what_is_stored_of_each_image_agrees_with_the_accuracy(rows):
    results = rows[rows.stage == "result"]
    for row, right in zip(results.to_dict("records"), photographs.right(results)):
        assert len(right) == row["images"] and np.mean(right) == pytest.approx(row["test"], abs=1e-5)


def test_an_interval_is_of_one_method_and_covers_draws_and_images(rows):
    part = rows[(rows.method == photographs.CENTROID) & (rows.task == "pets") & (rows.shots == 4)]
    mean, low, high = found = photographs.interval(part)
    assert low < mean < high and mean == pytest.approx(part.test.mean(), abs=1e-5) and "5 draws" in found.covers
    assert f"{int(part.images.iloc[0])} test images" in found.covers
    same = photographs.interval(part, minus=part)
    assert same[0] == 0 and same[1] < 0 < same[2]


def test_an_interval_says_where_all_draws_had_the_same_images(rows):
    """A nearest centroid has no initial weights: on the same images it answers the same."""
    centroid = rows[(rows.method == photographs.CENTROID) & (rows.stage == "result")]
    for (task, shots), part in centroid.groupby(["task", "shots"]):
        same, said = part.right.nunique() == 1, "the same training images" in photographs.interval(part).covers
        assert same == said == (shots == photographs.ALL.get(task)), (task, shots)


def test_results_that_do_not_pair_get_a_sentence_and_no_interval(rows):
    part = rows[(rows.method == photographs.CENTROID) & (rows.task == "pets") & (rows.stage == "result")]
    four, two = part[part.shots == 4], part[part.shots == 2]
    for wrong in ((four[:0], None), (part, None), (four, two[1:]), (four, two.assign(seed=two.seed + 1)), (four, part)):
        with pytest.raises(ValueError, match="one a seed, and of another with the same seeds"):
            photographs.interval(wrong[0], minus=wrong[1])


def test_a_table_has_each_mean_of_its_set_and_nothing_of_another(rows):
    for task, shots in photographs.TASKS.items():
        table, part = photographs.table(task), rows[(rows.stage == "result") & (rows.task == task)]
        assert list(table.columns) == list(shots)
        means = part.groupby(["method", "backbone", "variant", "shots"]).test.mean()
        cells = [cell for cell in table.to_numpy().ravel() if cell]
        assert sorted(cell[:5] for cell in cells) == sorted(f"{mean:.3f}" for mean in means)
        assert table.loc[photographs.CHANCE, 1].startswith(f"{means[photographs.CHANCE, '', '', 1]:.3f} (")


def test_gains_have_each_task_and_number_of_labels_once(gains):
    asked = {(task, n) for task, shots in photographs.TASKS.items() for n in shots}
    assert (
        set(zip(gains.task, gains["labels per class"])) >= asked and not gains.duplicated(["task", "labels per class"]).any()
    )
    assert (gains.low < gains.lead).all() and (gains.lead < gains.high).all()
    assert not set(gains["without"]) - set(photographs.WITHOUT) and not set(gains["with"]) & set(photographs.WITHOUT)
    figure = photographs.figure()
    assert all(task in figure.alt for task in photographs.TASKS)


def test_what_lesson_09_says_of_the_grid(gains):
    """Near to ImageNet its features are far ahead at once; of solar cells a few labels show nothing."""
    at = gains.set_index(["task", "labels per class"])
    for task in ("ants-and-bees", "cats-and-dogs", "pets"):
        assert (at.loc[task].low > 0).all() and at.loc[task].lead.iloc[-1] > 0.3, at.loc[task]
    solar = at.loc["solar-cells"]
    assert (solar.low > 0).to_dict() == {shots: shots >= 20 for shots in photographs.TASKS["solar-cells"]}

    def points(leads) -> str:
        return f"{100 * leads.min():.0f} to {100 * leads.max():.0f}"

    near = points(at.loc[["ants-and-bees", "cats-and-dogs", "pets"]].lead)
    clothes, far = at.loc["clothes"], points(solar.lead[solar.low > 0])
    assert (clothes.low > 0).to_dict() == {shots: shots < 100 for shots in photographs.TASKS["clothes"]}
    over = [photographs.over_scratch("solar-cells", shots) for shots in photographs.BARE["solar-cells"][1]]
    assert all(0.05 < mean < 0.07 and low > 0 for mean, low, _ in over)
    few, fifty = points(clothes.lead[clothes.index <= 20]), f"{100 * clothes.lead[50]:.0f}"
    lesson = nbformat.read(ROOT / "notebooks" / "09_photographs.ipynb", as_version=4)
    lesson = " ".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    assert f"(37 breeds) gain {near} points" in lesson
    assert f"gain {few} with up to twenty labels, {fifty} with fifty, and at a hundred nothing that can be shown" in lesson
    assert f"was {near.split()[0]} points and more" in lesson
    assert f"could not be shown below twenty labels per class, and was {far} points from there on" in lesson
    assert f"There are {len(gains)} of them" in lesson
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert (
        f"the lead is {near} points. On clothes it is {few} with up to twenty labels per class, {fifty} with fifty" in readme
    )
    assert f"up to ten labels per class; from twenty on it is {far} points" in readme


def test_what_lesson_11_says_of_more_labels(rows):
    solar = rows[(rows.stage == "result") & (rows.task == "solar-cells") & (rows.method == photographs.PROBE)]
    means = solar[solar.backbone == photographs.LITE0].groupby("shots").test.mean()
    text = (ROOT / "notebooks" / "11_where_next.ipynb").read_text(encoding="utf-8")
    said = re.search(r"a hundred labels of each kind in place of five brought a probe from (\.\d+) to (\.\d+)", text)
    assert said.groups() == (f"{means[5]:.3f}"[1:], f"{means[100]:.3f}"[1:])


@pytest.mark.parametrize("lesson", ["09_photographs", "deeper/09_photographs"])
def test_what_the_lessons_say_of_where_fine_tuning_pays(rows, lesson):
    """Behind a frozen probe on pictures as small; ahead of its own on clothes, where no other is clearly better."""
    found = rows[(rows.stage == "result") & (rows.method == photographs.TUNED) & (rows.variant == "")]
    for task, shots in photographs.WHOLE_SHOTS.items():
        probe = rows[(rows.stage == "result") & (rows.method == photographs.SMALL) & (rows.task == task)]
        behind = photographs.interval(found[found.task == task], minus=probe[probe.shots == shots[0]])
        assert behind[0] < 0 and (behind[2] < 0) == (task != "solar-cells")
    ahead = photographs.suited("clothes", photographs.LETTERS)
    assert ahead[1] > 0 > photographs.suited("clothes", photographs.LETTERS, photographs.LITE0)[1]
    text = (ROOT / "notebooks" / f"{lesson}.ipynb").read_text(encoding="utf-8")
    said = re.search(r"letters backbone (?:was|got \.\d+ fine-tuned, a lead of) (\.\d+) \((\.\d+) to (\.\d+)\)", text)
    assert said.groups() == tuple(f"{value:.3f}"[1:] for value in ahead)
    suited = rows[(rows.stage == "result") & (rows.variant == photographs.RECIPE) & (rows.task == "clothes")]
    suited = suited[(suited.backbone == photographs.LETTERS) & (suited.shots == 100)]
    scratch, right = (suited[suited.method == method] for method in (photographs.SCRATCH, photographs.AFTER))
    low, high = photographs.interval(right, minus=scratch)[1:]
    assert re.search(r"the same network from scratch got (as far|\.\d+)", text) and low < 0 < high
    assert photographs.over_scratch("clothes", 100)[1] < 0 < photographs.over_scratch("clothes", 50)[1]
    solar = photographs.suited("solar-cells", photographs.LITE0)
    said = re.search(r"it was (\S+) \((\S+) to (\S+)\) ahead of (?:the frozen|a) probe", text)
    assert said.groups() == tuple(f"{value:.3f}"[1:] for value in solar) and solar[1] > 0
    frozen = f"{photographs.norms_frozen('cats-and-dogs')[0]:.3f}"[1:]
    if lesson == "09_photographs":
        assert f"and fine-tuning gets {frozen}; still not .88" in text
    else:
        got = [f"{part.test.mean():.3f}"[1:] for part in (right, scratch)]
        assert f"letters backbone got {got[0]} fine-tuned" in text and f"from scratch got {got[1]}" in text
        gain = photographs.suited("clothes", photographs.LITE0)
        said = re.search(r"EfficientNet-Lite0's gain there, (\S+) \((\S+) to (\S+)\), is (not )?clear", text)
        assert said.groups()[:3] == tuple(f"{value:.3f}".replace("0.", ".", 1) for value in gain)
        assert bool(said[4]) == (gain[1] <= 0 <= gain[2])
        leads = [photographs.norms_frozen(task, photographs.TUNED) for task in ("cats-and-dogs", "pets")]
        said = re.search(
            r"it got (\S+) more on cats and dogs \((\S+) to (\S+)\) and (\S+) more on pets \((\S+) to (\S+)\)", text
        )
        assert said.groups() == tuple(f"{value:.3f}"[1:] for lead in leads for value in lead)
        assert all(photographs.norms_frozen(task, photographs.SMALL)[1] < 0 for task in photographs.WHOLE_SHOTS)


def test_a_verdict_needs_an_interval_that_leaves_zero_out():
    assert lesson_09.verdict((0.1, -0.1, 0.3), "a", "b") == "too close to call"
    assert lesson_09.verdict((0.2, 0.1, 0.3), "a", "b") == "a" and lesson_09.verdict((-0.2, -0.3, -0.1), "a", "b") == "b"


@pytest.mark.slow
def test_stored_rows_are_found_again_on_the_photographs(rows, tmp_path, monkeypatch):
    need(REAL.exists(), "real photographs")
    (tmp_path / "hymenoptera_data").symlink_to(REAL / "hymenoptera_data")
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    for method, body, lr in ((photographs.CENTROID, photographs.LITE0, math.nan), (photographs.PIXELS, "", math.nan)):
        again = photographs.measure(Cell(method, body, 5, lr, 5, "ants-and-bees"))
        same = rows[(rows.method == method) & (rows.task == "ants-and-bees") & (rows.shots == 5) & (rows.seed == 5)]
        same = same[same.stage == "result"].iloc[0]
        assert again["images"] == same.images and again["test"] == pytest.approx(same.test, abs=0.021)  # 3 of 153


def test_four_of_each_kind_come_from_all_over_the_kind(monkeypatch):
    """Neighbours may be alike in what has nothing to do with the kind."""
    split = tl.Split(torch.arange(38, dtype=torch.uint8).view(38, 1, 1, 1), [0] * 18 + [1] * 20)
    monkeypatch.setattr(lesson_09.plots, "images", lambda some, names, **_: (some.x.flatten().tolist(), names))
    task = tl.data.Task("cells", ("sound", "defective"), split, split, split)
    places, names = lesson_09.four_of_each(task)
    assert places == [0, 4, 9, 13, 18, 23, 28, 33] and names == ["sound"] * 4 + ["defective"] * 4
