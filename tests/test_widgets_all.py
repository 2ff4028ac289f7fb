"""What holds of every widget, and what the plain functions beside them answer."""

import copy
import dataclasses
import functools
import gc
import io
import re
import sys
import types
import weakref

import IPython
import ipywidgets
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import LayerGradCam
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import tl_helpers as tl
from tl_helpers import widgets
from tl_helpers.course import experiments
from tl_helpers.engine.parts import Facts
from tl_helpers.images import prepare
from tl_helpers.widgets import base, looking, trying

TASK = tl.digits(2)


@functools.cache
def raw():
    return tl.fit(tl.RawCNN(), tl.digits(5), epochs=10, lr=3e-3, progress=False).model


@functools.cache
def probe():
    body = tl.backbone("resnet10t.letters")
    return tl.fit(tl.head(body, TASK), tl.features(body, TASK), progress=False).model


def file_of(degrees: int) -> bytes:
    """A 7, black on white, turned, as the bytes of a file."""
    Image.fromarray(255 - np.pad(widgets.drawn(widgets.SEVEN), 30)).rotate(degrees).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


PART = TASK.test[:40]
MOVES = {  # what makes each widget, and what is done to it again and again
    "swap": (lambda: widgets.swap(TASK, epochs=1), "kernel", (3, 5)),
    "explore": (widgets.explore, "shots", (5, 10)),
    "shots": (widgets.shots, "seed", (0, 1)),
    "walk": (lambda: widgets.walk({"raw": raw(), "letters": probe()}, PART), "picture", (0, 1)),
    "gallery": (lambda: widgets.gallery(raw(), TASK.test, TASK.classes), "picture", (0, 1)),
    "thaw": (lambda: widgets.thaw(probe(), TASK, epochs=1), "block_4", (True, False)),
    "upload": (lambda: widgets.upload({"raw": raw()}), "picture", (file_of(0), file_of(180))),
}


@pytest.fixture(params=MOVES)
def widget(request):
    made = MOVES[request.param][0]()
    made.again, *made.moves = MOVES[request.param]
    yield made
    made.close()


def test_every_control_has_a_label_and_every_picture_words(widget):
    for control in widget.controls.values():
        assert getattr(control, "description", "has its own") or isinstance(control, ipywidgets.Button)
    assert all(button.description for button in widget.buttons)
    assert 'alt="' in widget.picture.value and len(widget.still.alt) > 40
    data = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and 'alt="' in data["text/html"]


def move(widget, times: int) -> None:
    name, values = widget.moves
    for i in range(times):
        widget.controls[name].value = values[(i + 1) % 2]


def test_moving_a_control_changes_the_picture_and_leaves_nothing_behind(widget, times=6):
    move(widget, 2)
    before = widget.picture.value
    move(widget, 1)
    assert widget.picture.value != before and not matplotlib.pyplot.get_fignums()
    count = len(ipywidgets.Widget.get_manager_state()["state"])
    gc.collect()
    objects = len(gc.get_objects())
    move(widget, times)
    gc.collect()
    assert len(ipywidgets.Widget.get_manager_state()["state"]) == count and not matplotlib.pyplot.get_fignums()
    assert len(gc.get_objects()) - objects < 500 + times


@pytest.fixture
def one_thread():
    """Several threads on a busy machine do not always add up in the same order: the last bit differs now and then."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_hundreds_of_moves_leave_nothing_behind(widget):
    test_moving_a_control_changes_the_picture_and_leaves_nothing_behind(widget, times=400)


def test_a_widget_shown_twice_answers_for_itself(widget):
    other = widget.again()
    before = other.picture.value
    other.moves = widget.moves
    move(widget, 1)
    assert other.picture.value == before
    move(other, 1)
    assert other.picture.value == widget.picture.value
    other.close()


# What is remembered


def copied(norm="batch"):
    """A network of its own for a test that changes it."""
    model = tl.RawCNN(norm=norm, seed=1)
    model.load_state_dict(raw().state_dict(), strict=False)
    return model.eval()


@torch.no_grad()
def in_place(model):
    model.fc2.weight[:] = model.fc2.weight.flip(0)


def through_data(model):
    model.fc2.weight.data = model.fc2.weight.data.flip(0)


def loaded(model):
    model.load_state_dict({name: values.flip(0) if values.ndim else values for name, values in model.state_dict().items()})


def trained(model):
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.5)
    for _ in range(3):
        nn.functional.nll_loss(model(torch.rand(40, 1, 28, 28)), PART.y).backward()
        optimizer.step()


def statistics(model):
    model.norm1.running_mean += torch.linspace(-1, 1, 10)


def swapped(model):
    model.act = nn.Sigmoid()


def hooked(model):
    model.norm1.register_forward_hook(lambda module, given, found: 0.2 * found)


def fed_otherwise(model):
    model.pretrained_cfg = dict(model.pretrained_cfg, mean=(0.9,), std=(0.05,))


def asked(model):
    """What every plain function with something to remember says of a network."""
    return [
        widgets.confusion(model, PART, TASK.classes).tolist(),
        widgets.mistakes(model, PART, TASK.classes).alt,
        widgets.seen(model, PART, layer="conv2").alt,
        widgets.loss_around(model, PART, steps=3).tolist(),
    ]


def patched(model):
    model.act.forward = torch.sigmoid


def replaced(model):
    model.act.forward = lambda x: x.sigmoid()


CHANGES = [in_place, through_data, loaded, trained, statistics, swapped, patched, replaced, hooked, fed_otherwise]


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_that_was_changed_is_asked_anew(change):
    model = copied()
    before = asked(model)
    change(model)
    counts, mistakes, seen, around = asked(model)
    right = tl.evaluate(model, PART)
    assert np.trace(counts) == round(right.accuracy * 40) and f"mistakes: {40 - np.trace(counts)} of 40" in mistakes
    assert around[1][1] == pytest.approx(right.loss, rel=1e-4)
    x = looking._normalised(model, PART)
    most = widgets.feature_maps(model.eval(), x, "conv2")["conv2"][:, 0].amax((1, 2)).sort(descending=True)[0]
    assert f"with {most[0]:.2g}, {most[1]:.2g}" in seen
    assert counts != before[0] and mistakes != before[1] and around != before[3]
    assert (seen != before[2]) == (change not in (in_place, through_data)), "conv2 lies before the head"


def test_classes_in_another_order_are_not_counted_as_mistakes():
    model = copied()
    model.facts = Facts(tuple("0123456789"))
    moved = tl.Task("", ("1", "x"), *[tl.Split(PART.x[PART.y < 2], PART.y[PART.y < 2])] * 3).test
    with pytest.raises(ValueError, match="The model counts '1' as class 1, and these labels count it as class 0"):
        widgets.confusion(model, moved, moved.classes)


def test_names_of_classes_are_those_of_the_model_all_of_them_and_in_its_order():
    model = copied()
    model.facts = Facts(tuple("abcdefghij"))
    assert "network: " in (said := widgets.answers(model, widgets.drawn(widgets.SEVEN)).alt)
    assert said.partition("network: ")[2][0] in "abcdefghij", "not the digits, which it has never seen"
    for classes in (np.array([*"abcdefghij"]), []):
        with pytest.raises(ValueError, match="names"):
            widgets.answers(model, widgets.drawn(widgets.SEVEN), classes)
    for ask in (widgets.confusion, widgets.mistakes, widgets.gallery):
        with pytest.raises(ValueError, match="learned its classes in another order: a, b, c"):
            ask(model, PART, "jihgfedcba")
        with pytest.raises(ValueError, match="learned its classes in another order: a, b, c"):
            ask(model, PART, ["background", *"abcdefghij"])  # every picture would be named as the class before its own
        with pytest.raises(ValueError, match="There are 5 names of classes, and a label or an answer is 9"):
            ask(model, PART, "abcde")
    with pytest.raises(ValueError, match="learned its classes in another order: a, b, c"):
        widgets.answers(model, widgets.drawn(widgets.SEVEN), "jihgfedcba")


def test_a_cell_may_be_an_array():
    model, classes = copied(), TASK.classes
    counts = widgets.confusion(model, PART, classes)
    cell = np.argwhere(counts == counts.max())[0]
    assert widgets.mistakes(model, PART, classes, cell).alt == widgets.mistakes(model, PART, classes, cell.tolist()).alt


def test_of_an_empty_split_there_is_nothing_to_see():
    asked = (widgets.gallery, widgets.confusion, widgets.mistakes)
    for ask in (widgets.walk, widgets.seen, *(functools.partial(ask, classes=TASK.classes) for ask in asked)):
        with pytest.raises(ValueError, match="no pictures to look at"):
            ask(copied(), PART[:0])


def test_pictures_that_were_changed_are_looked_at_anew_too(tmp_path):
    split, model = tl.Split(PART.x.clone(), PART.y.clone()), copied()
    ask = lambda: (widgets.confusion(model, split, TASK.classes).tolist(), widgets.seen(model, split).alt)
    before = ask()
    split.x[:] = split.x.flip(2)
    assert all(one != other for one, other in zip(ask(), before))
    Image.new("L", (28, 28), 255).save(tmp_path / "picture.png")
    split = tl.Split(tl.data.Files([tmp_path / "picture.png"]), PART.y[:1])
    ask = lambda: widgets.seen(model, split).alt.partition("excite it most")[2]
    before = ask()
    Image.new("L", (28, 28), 9).save(tmp_path / "picture.png")
    assert before and ask() != before


def test_a_widget_shows_the_network_as_it_is_now():
    model = copied()
    gallery, walk = widgets.gallery(model, PART, TASK.classes), widgets.walk(model, PART)
    pictures = gallery.picture.value, walk.picture.value
    loaded(model)
    gallery.controls["picture"].value = 1
    walk.controls["picture"].value = 1
    walk.controls["picture"].value = 0
    assert np.trace(gallery.controls["cell"].counts) == round(tl.evaluate(model, PART).accuracy * 40)
    assert gallery.picture.value != pictures[0] and walk.picture.value != pictures[1]
    gallery.close(), walk.close()


MAKERS = {
    "draw": lambda model: widgets.draw(model, task=TASK),
    "gallery": lambda model: widgets.gallery(model, PART, TASK.classes),
    "thaw": lambda model: widgets.thaw(model, TASK, epochs=1),
    "upload": lambda model: widgets.upload(model),
    "walk": lambda model: widgets.walk({"one": model}, PART),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_widget_that_is_closed_keeps_no_network_alive(name):
    model, before = copy.deepcopy(probe() if name == "thaw" else raw()), len(ipywidgets.Widget.get_manager_state()["state"])
    widget, gone = MAKERS[name](model), weakref.ref(model)
    del model
    gc.collect()
    assert gone() or name == "thaw"  # which works on a copy of its own
    widget.close()
    gc.collect()
    assert not gone() and len(ipywidgets.Widget.get_manager_state()["state"]) == before


def test_plain_functions_keep_no_network_alive():
    model = copied()
    asked(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert not gone()


@pytest.mark.parametrize("error", [ValueError("too much"), RuntimeError("shape"), KeyboardInterrupt()])
def test_no_button_stays_busy_whatever_happens(error):
    def fails(level):
        raise error

    slider = ipywidgets.IntSlider(description="level")
    widget = base.Widget(lambda level: widgets.sampled(1), {"Try": fails}, level=slider)
    button = widget.buttons[0]
    try:
        button.click()
    except KeyboardInterrupt:
        pass
    assert not button.disabled and button.description == "Try"
    assert isinstance(error, KeyboardInterrupt) or str(error) in widget.words.value and widget.picture.value


def test_what_a_figure_cannot_show_becomes_a_sentence_and_the_next_one_can():
    def show(level):
        if level == 1:
            raise ValueError("not <1>")
        if level == 2:
            raise ZeroDivisionError("by nought")
        return widgets.sampled(1)

    slider = ipywidgets.IntSlider(description="level")
    widget = base.Widget(show, level=slider)
    for value, words in ((1, "not &lt;1&gt;"), (2, "ZeroDivisionError: by nought")):
        slider.value = value
        assert words in widget.words.value and not widget.picture.value
    slider.value = 3
    assert not widget.words.value and widget.picture.value


def test_a_cell_that_is_run_again_closes_the_widgets_of_its_last_run(monkeypatch):
    parent = {"metadata": {"cellId": "one"}, "header": {"msg_id": "1"}}
    shell = types.SimpleNamespace(kernel=types.SimpleNamespace(get_parent=lambda channel: parent))
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    start = len(ipywidgets.Widget.get_manager_state()["state"])
    counts = []
    for run in range(3):
        parent["header"]["msg_id"] = str(run)
        made = [widgets.shots(), widgets.swap(TASK)]  # two in one cell live side by side
        counts.append(len(ipywidgets.Widget.get_manager_state()["state"]) - start)
        assert all(widget.comm is not None for widget in made)
    assert counts[0] == counts[1] == counts[2] > 0
    for widget in made:
        widget.close()
    assert len(ipywidgets.Widget.get_manager_state()["state"]) == start


# Swap


@pytest.mark.parametrize("parts", [{}, {"kernel": 9, "pooling": "average"}, {"norm": "batch", "activation": "none"}])
def test_layers_add_up_to_the_network(parts):
    model = tl.RawCNN(**parts)
    words = widgets.layers(model).alt
    found = [int(number.replace(",", "")) for number in re.findall(r", ([\d,]+) parameters", words)]
    assert sum(found) == tl.models.count_parameters(model)[0]
    assert "fc2: Linear gives 10" in words


def test_swap_shows_the_new_shapes_at_once_and_keeps_runs_side_by_side():
    widget = widgets.swap(TASK, epochs=1)
    assert "act: ReLU gives 10 x 12 x 12" in widget.picture.value
    widget.controls["kernel"].value, widget.controls["activation"].value = 9, "tanh"
    assert "act: Tanh gives 10 x 10 x 10" in widget.picture.value and "Validation" not in widget.picture.value
    for activation in ("tanh", "relu"):
        widget.controls["activation"].value = activation
        widget.buttons[0].click()
    assert "kernel 9: validation accuracy" in widget.words.value
    assert "tanh activation, kernel 9 0." in widget.picture.value and "; kernel 9 0." in widget.picture.value
    widget.buttons[1].click()
    assert "Validation" not in widget.picture.value


# Explore


def test_the_surface_has_the_loss_in_its_middle_and_is_kept():
    values = widgets.loss_around(raw(), TASK.train, steps=5)
    assert values[2, 2] == pytest.approx(tl.evaluate(raw(), TASK.train).loss, rel=1e-4) and np.ptp(values) > 0.1
    assert widgets.loss_around(raw(), TASK.train, steps=5) is values
    assert widgets.loss_around(raw(), TASK.train, steps=5, seed=1) is not values
    assert f"{values[2, 2]:.2g} at the weights" in widgets.surface(raw(), TASK.train, steps=5).alt


def test_a_filter_made_larger_moves_further_so_that_the_surface_looks_the_same():
    """Li and others' point: ReLU networks do not mind a layer times ten and the next a tenth; nor does the surface."""
    small = nn.Sequential(nn.Flatten(), nn.Linear(784, 8, bias=False), nn.ReLU(), nn.Linear(8, 10, bias=False))
    large = nn.Sequential(nn.Flatten(), nn.Linear(784, 8, bias=False), nn.ReLU(), nn.Linear(8, 10, bias=False))
    small.pretrained_cfg = large.pretrained_cfg = tl.RawCNN.pretrained_cfg
    large.load_state_dict({"1.weight": small[1].weight * 10, "3.weight": small[3].weight / 10})
    one, other = (widgets.loss_around(model, TASK.train, steps=3) for model in (small, large))
    assert np.allclose(one, other, rtol=1e-3)


def test_explore_trains_and_draws_the_surface_of_the_last_run():
    widget = widgets.explore(epochs=1)
    train, look, clear = widget.buttons
    look.click()
    assert "Train first" in widget.words.value
    widget.controls["shots"].value, widget.controls["lr"].value = 1, 0.01
    train.click()
    assert "rate 0.01, seed 0" in widget.picture.value and "around" not in widget.picture.value
    look.click()
    assert "The loss around the weights" in widget.picture.value
    clear.click()
    assert "made here" not in widget.picture.value
    with pytest.raises(ValueError, match="No stored runs of 'a witch'"):
        widgets.rates("a witch", 5)


def test_the_surface_is_that_of_the_images_the_run_learned_from():
    widget = widgets.explore(epochs=1)
    train, look, _ = widget.buttons
    train.click()
    widget.controls["shots"].value, widget.controls["seed"].value = 1, 5
    look.click()
    assert "The loss on the 100 training digits around the weights of 10 a class" in widget.words.value
    run = tl.fit(tl.RawCNN(), tl.digits(10), lr=3e-3, epochs=1, progress=False)
    words = f"{widgets.loss_around(run.model, tl.digits(10).train)[9, 9]:.2g} at the weights"
    assert words in widget.picture.value


@pytest.mark.parametrize("grid", ["tables", "bending", "components", "rates", "fair_tables", "crowded", "photographs"])
def test_what_is_of_several_tasks_or_settings_is_not_averaged(grid):
    shots = int(experiments.chosen(experiments.load(grid)).shots.iloc[0])
    with pytest.raises(ValueError, match=f"The grid '{grid}' has several tasks, networks or settings under one name"):
        widgets.sampled(shots, grid=grid)


@pytest.mark.parametrize("grid", ["backbones", "sources"])
def test_rates_of_several_networks_are_not_averaged(grid):
    rows = experiments.load(grid)
    rows = rows[rows.method == "linear probe on letters features"]
    with pytest.raises(ValueError, match=f"The grid '{grid}' has several"):
        widgets.rates("linear probe on letters features", int(rows.shots.iloc[0]), grid=grid)


# Shots


def test_shots_shows_what_is_stored_whatever_methods_and_columns_come(monkeypatch):
    rows = experiments.load("digits")
    more = rows[rows.method == "nearest centroid on pixels"].assign(method="a new one", test=0.5, right="", colour="blue")
    monkeypatch.setattr(trying, "load", lambda grid: pd.concat([rows, more]))
    words = widgets.sampled(5, grid="with a new one").alt
    equal = "a new one {:.3f} ({:.3f} to {:.3f})".format(*tl.results.mean_interval([0.5] * 10, 797))
    assert equal in words and "10 draws, 797 test images" in words
    stored = experiments.chosen(rows)
    part = stored[(stored.method == "raw CNN from scratch") & (stored.shots == 5)]
    assert "raw CNN from scratch {:.3f} ({:.3f} to {:.3f})".format(*experiments.interval(part)) in words
    with pytest.raises(ValueError, match="not for 7"):
        widgets.sampled(7)


# Thaw


def test_thawed_frees_the_blocks_that_were_named_and_says_how_norms_behave():
    before = {name: p.requires_grad for name, p in probe().named_parameters()}
    model = widgets.thawed(probe(), [0, 4])
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    names = tl.models.blocks(model)
    assert free == {*names[0], *names[4], *(f"fc.{end}" for end in ("weight", "bias"))}
    assert before == {name: p.requires_grad for name, p in probe().named_parameters()}
    still, moving = (widgets.thawed(probe(), [], norms).train() for norms in ("still", "moving"))
    still(torch.zeros(2, 1, 32, 32)), moving(torch.zeros(2, 1, 32, 32))
    kinds = [m for m in still.modules() if isinstance(m, nn.BatchNorm2d)]
    assert (
        kinds
        and not any(m.training for m in kinds)
        and all(m.training for m in moving.modules() if isinstance(m, nn.BatchNorm2d))
    )
    assert "0 of 14 batch norms adapt" in widgets.parts(still).alt
    assert "14 of 14 batch norms adapt" in widgets.parts(moving).alt
    for wrong, words in (([5], "0 to 4"), ([-1], "0 to 4")):
        with pytest.raises(ValueError, match=words):
            widgets.thawed(probe(), wrong)
    with pytest.raises(ValueError, match="'still' or 'moving'"):
        widgets.thawed(probe(), [], "frozen")
    with pytest.raises(ValueError, match="letters backbone"):
        widgets.letters_read(raw())


def test_thaw_asks_about_both_tasks():
    widget = widgets.thaw(probe(), TASK, epochs=2)
    assert "before: letters 0.6" in widget.picture.value and "0 of 14 batch norms" in widget.picture.value
    widget.controls["block_4"].value, widget.controls["lr"].value = True, 0.1
    assert "3,678,218 of 4,927,186 parameters learn" in widget.picture.value
    widget.buttons[0].click()
    assert "blocks 4, 0.1, norms still: digits 0." in widget.words.value and "letters 0." in widget.words.value
    assert "blocks 4, 0.1, norms still: letters 0." in widget.picture.value
    widget.buttons[1].click()
    assert "blocks 4, 0.1" not in widget.picture.value and "before: letters" in widget.picture.value


# Walk


def test_feature_maps_are_those_of_the_network(one_thread):
    x = torch.randn(2, 1, 28, 28)
    model = raw()
    maps = widgets.feature_maps(model, x)
    assert list(maps) == ["conv1", "pool", "act", "conv2", "pool (2)", "act (2)"]
    assert torch.equal(maps["act (2)"], model.forward_features(x))
    assert torch.equal(widgets.feature_maps(model, x, "conv2")["conv2"], maps["conv2"])
    found = widgets.feature_maps(probe(), torch.randn(2, 1, 32, 32))
    assert found["block 4"].shape == (2, 512, 1, 1) and found["layer1.0.conv1"].shape == (2, 64, 8, 8)
    assert (found["layer1.0.conv2"] < 0).any()  # the activation after it works in place


def test_a_unit_sees_as_much_as_its_kernel_and_the_loudest_pictures_are_the_loudest():
    x = looking._normalised(raw(), PART)
    out = widgets.feature_maps(raw(), x)["conv1"]
    top, pictures, places = looking._loudest(raw(), PART)["conv1"]
    assert torch.allclose(top[3], out[:, 3].amax((1, 2)).sort(descending=True)[0][: len(top[3])])
    left, over, width, height = looking._fields(looking._ends(raw(), "conv1"), places[3])[0]
    assert (round(width * 28), round(height * 28)) == (5, 5)
    assert [round(over * 28), round(left * 28)] == [places[3, 0].item() // 24, places[3, 0].item() % 24]


@pytest.mark.parametrize(
    "network, layer, expected",  # where the first part ends and the last begins, the step, and the side of the maps
    [(raw, "conv1", (5, 23, 1, 24)), (raw, "act", (6, 22, 2, 12)), (raw, "conv2", (14, 14, 2, 8)),
     (raw, "act (2)", (16, 12, 4, 4)), (probe, "conv1.0", (2, 29, 2, 16)), (probe, "block 4", (32, 0, 0, 1))],
)  # fmt: skip
def test_what_a_unit_sees_is_what_the_layers_before_it_make_of_it(network, layer, expected):
    found = looking._ends(network(), layer)
    assert [part.tolist() for part in found[:4]] == [[number] * 2 for number in expected]


@pytest.mark.parametrize(
    "wrong, words", [({"layer": "conv9"}, "it has conv1, pool"), ({"unit": 10}, "0 to 9"), ({"picture": -1}, "0 to 39")]
)
def test_what_is_not_there_is_not_seen(wrong, words):
    with pytest.raises(ValueError, match=words):
        widgets.seen(raw(), PART, **wrong)


def test_what_no_unit_class_or_name_is_gets_a_sentence():
    with pytest.raises(ValueError, match="unit must be a whole number"):
        widgets.seen(raw(), PART, unit=1.5)
    for classes in ([3, 99], [3], [-1, 3]):
        with pytest.raises(ValueError, match="a class for each of 2 images, from 0 to 9"):
            widgets.grad_cam(raw(), PART[:2], classes)
    with pytest.raises(TypeError, match="the names of the classes in order"):
        widgets.mistakes(raw(), PART, set("0123456789"))


def test_a_walk_offers_the_units_of_the_network_that_is_shown():
    wide = tl.RawCNN(kernel=5)
    wide.conv1, wide.conv2 = nn.Conv2d(1, 30, 5), nn.Conv2d(30, 20, 5)
    widget = widgets.walk({"raw": raw(), "wide": wide}, PART)  # both begin with a "conv1"
    widget.controls["model"].value = wide
    assert widget.controls["unit"].max == 29
    widget.controls["unit"].value = 29
    widget.controls["model"].value = raw()
    assert widget.controls["unit"].max == widget.controls["unit"].value == 9 and not widget.words.value


def test_labels_in_another_order_are_refused_whatever_was_asked_before():
    plain = tl.Split(PART.x, PART.y)
    turned = dataclasses.replace(plain, classes=tuple("1234567890"))
    widgets.confusion(raw(), plain, TASK.classes)
    with pytest.raises(ValueError, match="counts '1' as class 1, and these labels count it as class 0"):
        widgets.confusion(raw(), turned, TASK.classes)


def test_a_walk_goes_from_network_to_network():
    widget = widgets.walk({"raw": raw(), "letters": probe()}, PART)
    widget.controls["unit"].value = 9
    widget.controls["layer"].value = "conv2"
    assert widget.controls["unit"].max == 19 and "layer conv2: 20 maps of 8 x 8. Unit 9" in widget.picture.value
    widget.controls["model"].value = probe()
    assert "layer conv1.0: 24 maps of 16 x 16" in widget.picture.value
    widget.controls["layer"].value = "block 4"
    widget.controls["unit"].value = 511
    assert "512 maps of 1 x 1. Unit 511" in widget.picture.value and not widget.words.value


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050_s1.letters", "convnext_atto_p2.letters", "vit_tiny_patch16_224", "resnet18"]
)
def test_every_layer_of_other_kinds_of_networks_can_be_seen(name):
    import timm

    tl.models.register()
    model = timm.create_model(name, pretrained="letters" in name, num_classes=10)
    for layer in looking._loudest(model, PART[:9]):
        assert widgets.seen(model, PART[:9], layer=layer).html()


# Gallery


def test_grad_cam_looks_where_a_network_still_has_places_also_after_it_was_rebuilt():
    body = tl.backbone("resnet10t.letters", classes=10).eval()
    assert looking._last_with_places(body) == looking._last_with_places(body) == "layer2"
    body.pretrained_cfg = body.pretrained_cfg | {"input_size": (1, 64, 64)}
    assert looking._last_with_places(body) == "layer3"
    body.maxpool = torch.nn.Identity()
    assert looking._last_with_places(body) == "layer4"


def test_grad_cam_is_that_of_the_paper():
    x = looking._normalised(raw(), PART[:3])
    act = widgets.feature_maps(raw(), x, "conv2")["conv2"]
    found = LayerGradCam(raw(), raw().conv2).attribute(x, torch.tensor([1, 2, 3]), relu_attributions=True)
    heat = widgets.grad_cam(raw(), PART[:3], [1, 2, 3], "conv2")
    assert heat.shape == (3, 28, 28) and heat.amax((1, 2)).tolist() == pytest.approx([1, 1, 1]) and heat.min() >= 0
    leaf = act.detach().requires_grad_()
    model = raw()
    score = model.forward_head(model.act(model.pool(leaf)))[torch.arange(3), torch.tensor([1, 2, 3])].sum()
    weights = torch.autograd.grad(score, leaf)[0].mean((2, 3), keepdim=True)
    assert torch.allclose((weights * leaf).sum(1).relu(), found[:, 0], atol=1e-5)


def test_grad_cam_looks_where_there_are_enough_places_and_says_where_there_are_none(one_thread):
    assert widgets.grad_cam(probe(), PART[:1], [0]).shape == (1, 32, 32)
    assert torch.equal(widgets.grad_cam(probe(), PART[:1], [0]), widgets.grad_cam(probe(), PART[:1], [0], "layer2"))
    for layer in ("fc", "conv9"):
        with pytest.raises(ValueError, match="feature maps"):
            widgets.grad_cam(probe(), PART[:1], [0], layer)


def test_the_gallery_shows_the_cell_that_was_clicked_the_most_certain_first():
    widget = widgets.gallery(raw(), TASK.test, TASK.classes)
    matrix, counts = widget.controls["cell"], widgets.confusion(raw(), TASK.test, TASK.classes)
    wrong = counts.sum() - counts.trace()
    assert counts.sum() == 797 and f"mistakes: {wrong} of 797" in widget.picture.value
    shares = tl.predict(raw(), TASK.test)
    off = np.where(np.eye(10), 0, counts)
    true, said = map(int, np.unravel_index(off.argmax(), off.shape))
    matrix.value = [true, said]
    picked = (TASK.test.y == true) & (shares.argmax(1) == said)
    assert f"{true} named as {said}: {off.max()} of 797" in widget.picture.value
    assert f"The most certain: {true}, said {said} with {shares[picked].max():.3f}" in widget.picture.value
    assert widget.controls["picture"].max == off.max() - 1
    none = next([i, j] for i in range(10) for j in range(10) if i != j and counts[i, j] == 0)
    matrix.value = none
    assert "No picture here" in widget.words.value and not widget.picture.value
    matrix.value = []
    assert f"mistakes: {wrong} of 797" in widget.picture.value and not widget.words.value
    for nonsense in ([99, 0], [1]):
        matrix.value = nonsense
        assert widget.words.value


# Upload

KINDS = [
    ("PNG", "L"), ("PNG", "I;16"), ("PNG", "RGBA"), ("PNG", "1"), ("PNG", "P"), ("JPEG", "CMYK"), ("JPEG", "RGB"),
    ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "CMYK"), ("TIFF", "F"), ("WEBP", "RGB"), ("PPM", "L"), ("ICO", "RGBA"),
]  # fmt: skip


def written(kind: str, mode: str, size=(340, 340)) -> bytes:
    image = Image.fromarray(255 - np.pad(widgets.drawn(widgets.SEVEN), 30))
    if mode == "I;16":
        image = Image.fromarray((np.asarray(image).astype(np.uint16)) * 257)
    else:
        image = image.convert("RGB").convert(mode) if mode != "F" else image.convert("F")
    image.resize(size, Image.Resampling.NEAREST).save(file := io.BytesIO(), kind)
    return file.getvalue()


@functools.cache
def of_the_seven():
    return widgets.recognise(raw(), written("PNG", "L")).alt


@pytest.mark.parametrize("kind, mode", KINDS)
def test_a_seven_is_the_same_seven_in_every_kind_of_file(kind, mode):
    answer = widgets.recognise(raw(), written(kind, mode)).alt
    assert answer.split(" with ")[0] == of_the_seven().split(" with ")[0]


def test_a_camera_that_was_turned_an_animation_and_white_on_black_are_read_right():
    image = Image.open(io.BytesIO(written("PNG", "L")))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: to be turned back
    image.rotate(90, expand=True).save(turned := io.BytesIO(), "JPEG", exif=exif, quality=100)
    image.save(moving := io.BytesIO(), "GIF", save_all=True, append_images=[Image.new("L", image.size)] * 3)
    for data in (turned.getvalue(), moving.getvalue(), Image.eval(image, lambda v: 255 - v)):
        assert widgets.recognise(raw(), data).alt.split(" with ")[0] == of_the_seven().split(" with ")[0]


@pytest.mark.parametrize("nothing", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"<svg/>", None, 7, "missing.png"])
def test_what_is_no_picture_gets_a_sentence(nothing):
    with pytest.raises(ValueError, match="picture") as sentence:
        widgets.recognise(raw(), nothing)
    assert len(str(sentence.value)) < 200 and "\n" not in str(sentence.value)


def test_empty_and_tiny_pictures_get_a_sentence_too():
    for size in ((1, 1), (300, 200)):
        with pytest.raises(ValueError, match="no ink"):
            widgets.recognise(raw(), Image.new("RGB", size, "white"))


def test_a_model_of_photographs_sees_them_as_it_was_made_to():
    import timm

    model = timm.create_model("resnet10t", num_classes=3)
    assert "A picture of 176 x 176" in widgets.recognise(model, written("JPEG", "RGB"), "abc").alt
    with pytest.raises(ValueError, match="3 classes apart, and 10 names"):
        widgets.recognise(model, written("JPEG", "RGB"))


def test_a_large_photograph_is_fed_as_predict_feeds_its_path(tmp_path, monkeypatch):
    import timm

    model, fed = timm.create_model("resnet10t", num_classes=3), []
    wanted = tl.models.input_of(model)
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path := tmp_path / "large.png", compress_level=1)
    module = sys.modules["tl_helpers.widgets.uploading"]
    monkeypatch.setattr(module, "named", lambda models, split, *_: fed.append(prepare(split, wanted)))
    right = prepare(tl.Split(tl.data.Files(path), [0]), wanted)
    for door in (path, path.read_bytes(), Image.open(path)):
        widgets.recognise(model, door, "abc")
        assert torch.equal(fed.pop(), right)


@pytest.mark.slow
def test_100_megapixels_are_read_and_300_refused():
    side = Image.new("L", (10_000, 10_000), 255)
    side.paste(0, (4000, 1000, 6000, 9000))
    side.save(file := io.BytesIO(), "PNG")
    assert "the network:" in widgets.recognise(raw(), file.getvalue()).alt
    Image.new("1", (20_000, 15_000)).save(file := io.BytesIO(), "PNG")
    with pytest.raises(ValueError, match="limit"):
        widgets.recognise(raw(), file.getvalue())


def any_file():
    """The bytes of a good file, damaged: cut, with bytes changed, or with another's end; or any bytes at all."""

    def damage(kind, cut, changes):
        data = bytearray(written(*kind, (28, 28)))
        for place, value in changes:
            data[place % len(data)] = value
        return bytes(data[: max(1, round(cut * len(data)))])

    changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12)
    return st.one_of(st.builds(damage, st.sampled_from(KINDS), st.floats(0, 1), changes), st.binary(max_size=300))


def answered(data: bytes) -> None:
    widget = the_widget()
    widget.controls["picture"].value = memoryview(data)
    words = widget.words.value
    assert words and "Traceback" not in words and "stopped with" not in words, words
    assert bool(widget.picture.value) == ("the network:" in words)


@functools.cache
def the_widget():
    return widgets.upload(raw())


@settings(max_examples=150, deadline=None)
@given(any_file())
def test_any_bytes_get_an_answer_or_a_sentence(data):
    answered(data)


@pytest.mark.slow
@settings(max_examples=4000, deadline=None)
@given(any_file())
def test_thousands_of_damaged_files_get_an_answer_or_a_sentence(data):
    answered(data)


# Keep


def test_a_kept_drawing_changes_the_answer_and_can_be_forgotten():
    task = tl.digits(5)
    body = tl.backbone("resnet10t.letters")
    first = tl.fit(tl.head(body, task), tl.features(body, task), lr=1e-2, progress=False).model
    pad = widgets.draw({"probe": first, "raw": raw()}, task=task)
    pad.pad.value = [[*stroke] for stroke in widgets.SEVEN]
    assert "probe: 7" in pad.pad.words
    pad.controls["label"].value = "3"  # a 7 taught as a 3
    pad.buttons[0].click()
    assert pad.pad.words.startswith("Kept as a 3: 51 examples.") and "probe: 3" in pad.pad.words
    assert len(task.train) == 50 and "probe: 7" in widgets.answers({"probe": first}, widgets.drawn(widgets.SEVEN)).alt
    pad.buttons[1].click()
    assert "as they were" in pad.pad.words and "probe: 7" in pad.picture.value
    pad.pad.value = []
    pad.buttons[0].click()
    assert "no ink" in pad.pad.words and not pad.buttons[0].disabled
    with pytest.raises(ValueError, match="no class 'x'"):
        widgets.keep(first, task, widgets.drawn(widgets.SEVEN), "x")
    for other in (tl.letters(), tl.features(tl.backbone("resnet10t.letters", pretrained=False), task, progress=False)):
        with pytest.raises(ValueError, match="A drawing is a picture of 1 x 28 x 28 in bytes"):
            widgets.keep(first, other, widgets.drawn(widgets.SEVEN), other.classes[3])
    one, more = widgets.keep(first, task, widgets.drawn(widgets.SEVEN), "3")
    assert len(more.train) == 51 and isinstance(one, nn.Module)


def test_a_loss_surface_has_the_network_in_its_middle_or_is_refused():
    model, images = tl.RawCNN(), tl.digits(1).train
    middle = tl.widgets.surface(model, images, steps=3).alt
    assert f"{tl.evaluate(model, images).loss:.2g} at the weights" in middle
    for steps in (2, 4, 1, 2.5):
        with pytest.raises(ValueError, match="steps must be an odd number from 3"):
            tl.widgets.surface(model, images, steps=steps)
    with pytest.raises(ValueError, match="no images here to take the loss of"):
        tl.widgets.surface(model, images[:0])


def test_thaw_calls_a_task_by_its_name():
    few = dataclasses.replace(tl.digits(1), name="shapes, 1 per class")
    body = tl.backbone("resnet10t.letters")
    model = tl.fit(tl.head(body, few), tl.features(body, few), epochs=1, progress=False).model
    widget = tl.widgets.thaw(model, few, epochs=1)
    assert "before: shapes" in widget.still.alt and "digits" not in widget.still.alt
    widget.close()


def test_what_is_no_choice_of_a_widget_is_said(tmp_path):
    body = tl.backbone("resnet10t.letters", classes=10)
    with pytest.raises(TypeError, match="thawed takes the numbers of blocks, a list"):
        tl.widgets.thawed(body, 4)
    with pytest.raises(ValueError, match="Sequential does not say which images it takes"):
        tl.widgets.layers(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)))
    with pytest.raises(ValueError, match="none.png cannot be read as a picture"):
        tl.widgets.upload(body, example=tmp_path / "none.png")
    with pytest.raises(ValueError, match="picture must be a whole number from 0"):
        tl.widgets.mistakes(body, tl.digits(1).test[:20], tuple("0123456789"), picture=1.5)
