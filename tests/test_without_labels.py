"""Pretraining without labels: the loss, the loop of lesson 12 and of its stored grid, and what views leave out."""

import functools
import itertools
import math
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets import Dropdown, FloatSlider

import tl_helpers as tl
from conftest import ROOT
from tl_helpers.course import experiments, lesson_12, methods, without_labels
from tl_helpers.course.without_labels import BARE, LABELLED, RECIPES, Recipe, learn, pair_loss, three_blocks
from tl_helpers.results import mean_interval
from tl_helpers.widgets.base import Widget

TINY = Recipe(steps=4, batch=8)
LETTERS, NAMES = without_labels.images_of("letters")


def weights(body) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in body.state_dict().values()])


def test_the_loss_is_that_of_a_guess_among_the_others_and_falls_to_nothing():
    assert pair_loss(torch.ones(16, 4)).item() == pytest.approx(math.log(15))
    apart, wrong = torch.eye(8).repeat(2, 1), torch.cat([torch.eye(8), torch.eye(8).roll(1, 0)])
    assert pair_loss(apart, 0.01).item() < 1e-6 and pair_loss(wrong, 0.01).item() > 10
    assert pair_loss(5 * apart) == pair_loss(apart)  # only directions count
    near = torch.eye(8) + 0.9 * torch.eye(8).roll(1, 0)  # each view is almost as near to another's as to its partner's
    assert pair_loss(torch.cat([near, near]), 0.1) < pair_loss(torch.cat([near, near]), 1.0)


def test_the_lesson_runs_the_loop_of_the_stored_grid():
    cells = nbformat.read(ROOT / "notebooks" / "12_without_labels.ipynb", as_version=4).cells
    loop = next(cell.source for cell in cells if cell.cell_type == "code" and cell.source.startswith("def learn("))
    names = {"torch": torch, "nn": torch.nn, "tl": tl, "lesson_12": lesson_12}
    exec(loop, names)
    body = three_blocks(tl.backbone("resnet10t.letters", pretrained=False, seed=3))
    torch.manual_seed(3)
    names["learn"](body.train(), tl.letters().train.x / 255, steps=TINY.steps, batch=TINY.batch)
    assert torch.equal(weights(body), weights(learn(LETTERS, seed=3, recipe=TINY)))


def test_labels_play_no_part_unless_they_are_used_and_each_seed_learns_another_network():
    one = weights(learn(LETTERS, recipe=TINY))
    assert torch.equal(one, weights(learn(LETTERS, recipe=TINY)))
    assert not torch.equal(one, weights(learn(LETTERS, seed=1, recipe=TINY)))
    assert not torch.equal(weights(learn(LETTERS, NAMES, recipe=TINY)), weights(learn(LETTERS, NAMES.flip(0), recipe=TINY)))


def test_the_controls_differ_in_one_thing_each():
    plain = vars(RECIPES[BARE])
    for name, recipe in RECIPES.items():
        assert sum(value != plain[key] for key, value in vars(recipe).items()) == (name != BARE), name
    assert RECIPES[LABELLED].labels


def test_views_leave_out_what_they_are_told():
    bar = torch.zeros(400, 1, 32, 32)
    bar[..., 4:28, 14:18] = 1
    columns = torch.arange(32.0)

    def seen(without):
        """How much the bars are tilted, and how much their ink differs from bar to bar."""
        image = tl.glyphs.augment(bar, torch.Generator().manual_seed(0), 1.0, without)[:, 0]
        image = image / image.amax((1, 2), keepdim=True)
        ends = [image[:, 8:12].sum(1), image[:, 20:24].sum(1)]
        upper, lower = ((end * columns).sum(1) / end.sum(1).clamp_min(1e-6) for end in ends)
        return (upper - lower).std().item(), image.sum((1, 2)).std().item()

    tilt, ink = seen(None)
    assert seen("turning")[0] < 0.6 * tilt and seen("thickness")[0] > 0.8 * tilt
    assert seen("thickness")[1] < 0.8 * ink and seen("turning")[1] > 0.8 * ink
    with pytest.raises(ValueError, match="without must be one of None, 'turning', 'thickness'; not 'slant'"):
        tl.glyphs.augment(bar, without="slant")


def test_a_pretraining_is_kept_and_a_cell_of_the_grid_takes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(without_labels, "DATA", tmp_path / "data")
    monkeypatch.setitem(RECIPES, BARE, TINY)
    made = without_labels.pretrained(f"{BARE}, 1")
    assert torch.equal(weights(made), weights(learn(LETTERS, seed=1, recipe=TINY)))
    assert not any(p.requires_grad for p in made.parameters()) and not made.training
    monkeypatch.setattr(without_labels, "learn", None)  # it is there
    assert torch.equal(weights(without_labels.pretrained(f"{BARE}, 1")), weights(made))
    with pytest.raises(TypeError, match="NoneType"):  # asks for it to be learned: the file is of another recipe
        monkeypatch.setitem(RECIPES, BARE, Recipe(steps=3, batch=8))
        without_labels.pretrained(f"{BARE}, 1")
    asked = []
    monkeypatch.setattr(methods, "_unlabelled", lambda name: asked.append(name) or made)
    methods._fair_probe(tl.digits(1, 6), methods.Cell(lesson_12.CENTRED, f"{BARE}, 1", 1, 1e-2, 6))
    assert asked == [f"{BARE}, 1"]


def test_three_blocks_hand_over_what_the_fourth_would_get():
    body = tl.backbone("resnet10t.letters").eval()
    taken, handle = [], body.layer4.register_forward_hook(lambda _, given, __: taken.append(given[0].flatten(1)))
    images, before = 2 * LETTERS[:3] - 1, weights(body)
    seen = body(images)
    handle.remove()
    low = three_blocks(body)
    assert taken[0].shape == (3, 1024) and torch.allclose(low(images), taken[0], atol=1e-5)
    assert torch.equal(weights(body), before) and torch.equal(body(images), seen)
    task, cell = tl.digits(1, 6), methods.Cell(lesson_12.CENTRED, methods.RESNET, 1, 1e-2, 6)
    answer, trained = methods._fair_probe(task, cell, weights="letters", blocks="3")
    assert trained == 10 * 1025 and answer(task.test).shape == (797, 10)
    with pytest.raises(ValueError, match="takes a resnet10t only"):
        three_blocks(tl.backbone("convnext_atto_p2.letters"))


def test_the_lesson_shows_views_and_neighbours():
    assert lesson_12.views("Ж", 0.5, "turning").alt.endswith("made with strength 0.5. They leave out turning.")
    with pytest.raises(ValueError, match="'7' is none of the 172 letters"):
        lesson_12.views("7")
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.2, 1]]), dim=1)
    assert lesson_12.nearest(vectors, 0, 3) == [1, 3, 2]
    task = tl.digits(1)
    figure = lesson_12.neighbours(torch.eye(10), task, 3)
    assert figure.alt.startswith("A 3, and the nine images that are nearest to it")


def test_a_slider_and_a_choice_change_the_views():
    widget = Widget(lesson_12.views, strength=FloatSlider(1.0, min=0, max=2), without=Dropdown(options=[None, "turning"]))
    assert "made with strength 1." in widget.picture.value
    widget.controls["strength"].value = 0.5
    widget.controls["without"].value = "turning"
    assert "made with strength 0.5. They leave out turning." in widget.picture.value


def test_an_interval_covers_pretrainings_draws_and_test_images():
    rng = np.random.default_rng(0)
    alone = rng.random((1, 5, 1))
    found = experiments.crossed_interval(100 * alone)
    plain = mean_interval(alone.ravel())
    assert found == pytest.approx([100 * value for value in plain]) and found.covers == "5 draws of training images"
    truth, inside = 50.0, 0
    for _ in range(200):  # each of the three effects as large as the next
        effects = [rng.normal(0, 0.02, shape) for shape in ((3, 1, 1), (1, 5, 1))]
        values = 0.5 + sum(effects) + rng.normal(0, 0.5, (1, 1, 797)) + rng.normal(0, 0.01, (3, 5, 797))
        _, low, high = found = experiments.crossed_interval(100 * values)
        inside += low <= truth <= high
    assert found.covers == "3 pretrainings, 5 draws of training images, 797 test images" and inside > 0.93 * 200


def test_leads_are_differences_of_means_of_the_stored_results(monkeypatch):
    frame = pd.read_csv(ROOT / "data" / "results" / "without_labels.csv", keep_default_na=False)
    frame = frame[(frame.stage == "result") & (frame.shots == 5)]
    means = frame.groupby(frame.backbone.str.rsplit(", ", n=1).str[0]).test.mean()
    assert set(means.index) == {*RECIPES} and (frame.groupby("backbone").size() == 5).all()
    for name in means.index:
        assert lesson_12.over(BARE, name)[0] == pytest.approx(100 * (means[BARE] - means[name]), abs=1e-3)
        assert lesson_12.accuracy(name)[0] == pytest.approx(means[name], abs=1e-5)
        if name in lesson_12.WAYS:
            assert lesson_12.table().loc[name, 5] == pytest.approx(means[name], abs=6e-4)
    ways = (lesson_12.OWN, BARE, LABELLED)
    assert all(lesson_12.over(one, other)[1] <= 0 for one in ways for other in ways if one != other)
    assert lesson_12.best() == "too close to tell"
    monkeypatch.setattr(lesson_12, "over", lambda one, other, _: (1, 1 if one == BARE else -1, 2))
    assert lesson_12.best() == BARE
    monkeypatch.undo()
    frame = pd.read_csv(ROOT / "data" / "results" / "three_blocks.csv", keep_default_na=False)
    frame = frame[(frame.stage == "result") & (frame.shots == 5)]
    for name, weights_ in ((lesson_12.RANDOM, "weights=random"), (lesson_12.SHIPPED, "weights=letters")):
        part = frame[frame.variant.str.startswith(weights_) & frame.variant.str.endswith(",blocks=3")]
        assert len(part) == 5
        assert lesson_12.over(name, BARE)[0] == pytest.approx(100 * (part.test.mean() - means[BARE]), abs=1e-3)
        assert lesson_12.table().loc[name, 5] == pytest.approx(part.test.mean(), abs=6e-4)
    pixels = pd.read_csv(ROOT / "data" / "results" / "digits.csv", keep_default_na=False)
    pixels = pixels[(pixels.stage == "result") & (pixels.method == "logistic regression on pixels")]
    for shots in (1, 5):
        mean = pixels[(pixels.shots == shots) & pixels.seed.isin(range(5, 10))].test.mean()
        bare = lesson_12.stored(BARE, shots).test.mean()
        lead = lesson_12.over(BARE, lesson_12.PIXELS, shots)
        assert lead[0] == pytest.approx(100 * (bare - mean), abs=1e-3)
        assert ("test images" in lead.covers) == (shots == 5)  # at one label it is not stored which images were right


def test_pixels_are_a_control_on_the_same_draws():
    task = tl.digits("all")
    assert torch.equal(lesson_12.seen_by(None, task).test.x, task.test.x.flatten(1) / 255)
    found = lesson_12.probes({"pixels": None}, shots=(10,), draws=1)
    assert found.accuracy.item() > 0.8
    shares = lesson_12.nearest_shares({"pixels": None})
    assert list(shares.columns) == ["as they are", "turned by 20 degrees"]
    assert shares.iloc[0, 0] > 0.95 > 0.85 > shares.iloc[0, 1]  # pixels find clean digits, and lose turned ones


def told(value: float) -> str:
    return f"{abs(value):.1f}".removeprefix("0") if abs(value) < 1 else f"{abs(value):.1f}"


def as_told(found) -> set[tuple[str, str, str]]:
    """A lead in points, with its interval, as the lesson writes it: as a lead, or the other way round, as what is lost."""
    sign = lambda value: "-" * (round(value, 1) < 0)
    lead = [told(found[0]), *(sign(value) + told(value) for value in found[1:])]
    loss = [told(found[0]), *(sign(-value) + told(value) for value in (found[2], found[1]))]
    return {tuple(lead), tuple(loss)}


def test_each_interval_that_the_lesson_tells_is_stored(monkeypatch):
    """Whatever the sentence: the lead before it and its two ends are those of one stored comparison."""
    monkeypatch.setattr(lesson_12, "_answers", functools.cache(lesson_12._answers))
    pairs = [*itertools.combinations(lesson_12.WAYS, 2)]
    stored = [lesson_12.over(*pair, shots) for shots in lesson_12.SHOTS for pair in pairs]
    stored += [lesson_12.change(part, kind) for part in ("turning", "thickness") for kind in ("none", *methods.SHIFTS)]
    known = set().union(*map(as_told, stored))
    cells = nbformat.read(ROOT / "notebooks" / "12_without_labels.ipynb", as_version=4).cells
    text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found = list(re.finditer(r"(-?\d*\.\d) to (-?\d*\.\d)(?!\d)", text))
    assert len(found) > 10
    for one in found:
        before = re.findall(r"(?<![\d.-])\d*\.\d(?!\d)", text[max(0, one.start() - 90) : one.start()])
        assert {(lead, *one.groups()) for lead in before} & known, text[max(0, one.start() - 90) : one.end()]


@pytest.mark.parametrize("many", [0, 2, 5])
def test_what_is_no_pairs_has_no_loss_of_pairs(many):
    with pytest.raises(ValueError, match="two views of each of at least two images"):
        without_labels.pair_loss(torch.randn(many, 8))
