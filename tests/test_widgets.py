import functools
import gc
import time

import matplotlib.pyplot
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ipywidgets import Widget
from PIL import Image
from torch import nn

import tl_helpers as tl
from tl_helpers import widgets

ONE = [[140, 30, 140, 250]]
BAR = [[30, 140, 250, 140]]


class Wide(nn.Module):
    """Answers 1 to what is wider than high, 0 to the rest, out of ten classes."""

    pretrained_cfg = tl.RawCNN.pretrained_cfg

    def __init__(self, classes=10):
        super().__init__()
        self.weight, self.classes = nn.Parameter(torch.ones(1)), classes

    def forward(self, x):
        wide = x.amax((1, 2)).sum(1) > x.amax((1, 3)).sum(1)
        return nn.functional.one_hot(wide.long(), self.classes) * 9 * self.weight


@pytest.fixture
def drawing():
    return tl.widgets.draw({"wide": Wide(), "raw": tl.RawCNN()})


def box(picture):
    found = torch.nonzero(picture[0, 0] > 100)
    return (found.amax(0) - found.amin(0) + 1).tolist(), ((found.amax(0) + found.amin(0)) / 2).tolist()


INKS = {
    "bool": np.pad(np.ones((40, 20), bool), ((5, 300), (100, 7))),
    "uint8": np.pad(np.full((40, 20), 9, np.uint8), ((5, 300), (100, 7))),
    "int64": np.pad(np.full((40, 20), 2**60), ((5, 300), (100, 7))),
    "float16": np.pad(np.full((40, 20), 0.25, np.float16), ((5, 300), (100, 7))),
    "huge floats": np.pad(np.full((40, 20), 1e308), ((5, 300), (100, 7))),
    "colour": np.pad(np.full((40, 20, 3), 200, np.uint8), ((5, 300), (100, 7), (0, 0))),
    "a tensor": torch.nn.functional.pad(torch.ones(1, 1, 40, 20), (100, 7, 5, 300)),
    "an image of 16 bits": Image.fromarray(np.pad(np.full((40, 20), 60000, np.uint16), ((5, 300), (100, 7)))),
    "an image in CMYK": Image.fromarray(np.pad(np.full((40, 20), 255, np.uint8), ((5, 300), (100, 7)))).convert("CMYK"),
    "with no numbers in it": np.pad(np.ones((40, 20)), ((5, 300), (100, 7)), constant_values=np.nan),
}


@pytest.mark.parametrize("name", INKS)
def test_a_drawing_of_any_kind_fills_the_frame_with_its_proportions_and_stands_in_the_middle(name):
    picture = widgets.as_digit(INKS[name])
    assert picture.shape == (1, 1, 28, 28) and picture.dtype == torch.uint8 and picture.max() == 255
    (height, width), middle = box(picture)
    assert height == 28 and 12 <= width <= 17 and middle == [13.5, 13.5]


def test_drawings_look_as_the_training_digits_do():
    """Training digits, drawn large and to one side, come out nearly as they were."""
    images = tl.digits(1).train.x.float()
    large = torch.nn.functional.interpolate(images, scale_factor=5, mode="bicubic").clamp(0, 255)
    again = torch.cat([widgets.as_digit(torch.nn.functional.pad(image, (50, 10, 0, 90))) for image in large]).float()
    apart = torch.cdist(again.flatten(1), images.flatten(1), p=1) / 28**2  # levels of grey a pixel, of 255
    assert (apart.argmin(1) == torch.arange(10)).all() and apart.diag().mean() < 25 < apart.mean() / 2
    ink = np.mean([widgets.as_digit(widgets.drawn(stroke)).float().mean() / 255 for stroke in (widgets.SEVEN, ONE)])
    assert 0.15 < ink < 0.45  # the digits: 0.31


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (3, 4), (17, 2000)])
def test_one_pixel_and_extreme_proportions_are_drawings_too(shape):
    assert widgets.as_digit(np.ones(shape)).max() > 240


def test_a_drawing_of_100_million_pixels_takes_a_moment():
    ink = np.zeros((10_000, 10_000), np.uint8)
    ink[1000:9000, 4000:6000] = 255
    start = time.perf_counter()
    picture = widgets.as_digit(ink)
    assert time.perf_counter() - start < 20 and box(picture)[0][0] == 28


@pytest.mark.parametrize(
    "nothing, words",
    [
        (np.zeros((28, 28)), "no ink"),
        (np.zeros((0, 28)), "no ink"),
        (np.full((9, 9), np.nan), "no ink"),
        (np.full((9, 9), np.inf), "no ink"),
        (-np.ones((9, 9)), "no ink"),
        (np.ones((2, 5, 5)), "2 x 5 x 5"),
        (np.ones(7), "this is 7"),
        (3, "a single number"),
        ("seven", "array of numbers"),
        (None, "array of numbers"),
        (np.ones((3, 3), complex), "complex"),
    ],
)
def test_what_is_no_drawing_gets_a_sentence(nothing, words):
    with pytest.raises(ValueError, match=words):
        widgets.as_digit(nothing)


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.bool_, np.uint8, np.int32, np.float16, np.float32, np.float64, np.uint64]),
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=40),
    )
)
@pytest.mark.filterwarnings("error")
def test_any_array_is_a_picture_or_gets_a_sentence(ink):
    try:
        picture = widgets.as_digit(ink)
    except ValueError as sentence:
        assert "drawing" in str(sentence)
    else:
        assert picture.shape == (1, 1, 28, 28) and picture.max() > 200


def test_a_stroke_from_the_browser_is_answered_and_undo_and_clear_are(drawing):
    assert "Draw a digit" in drawing.pad.words and not drawing.picture.value

    def message(strokes):
        data = {"method": "update", "state": {"value": strokes}, "buffer_paths": []}
        drawing.pad._handle_msg({"content": {"data": data}, "buffers": []})
        return drawing.pad.words

    assert message(ONE).startswith("wide: 0 with 1.00; raw: ")
    assert 'alt="A picture of 28 x 28' in drawing.picture.value and drawing.pad.words in drawing.picture.value
    assert message(BAR).startswith("wide: 1 with 1.00")
    assert "Draw a digit" in message([]) and not drawing.picture.value


@pytest.mark.parametrize(
    "strokes", [[[140, 140]], [[]], [[1, 2, 3]], "scribble", 7, [[float("nan"), 1.0]], [[1e308, -1e308]]]
)
def test_whatever_the_browser_sends_gets_an_answer(drawing, strokes):
    drawing.pad.value = strokes
    assert drawing.pad.words and "Draw" not in drawing.pad.words


def test_small_drawings_are_drawn_as_thick_as_large_ones():
    small = [[x / 5 for x in stroke] for stroke in widgets.SEVEN]
    difference = np.abs(widgets.drawn(small).astype(int) - widgets.drawn(widgets.SEVEN))
    assert (difference > 100).mean() < 0.01


def test_two_pads_do_not_disturb_each_other(drawing):
    other = tl.widgets.draw(Wide())
    drawing.pad.value, other.pad.value = ONE, BAR
    assert drawing.pad.words.startswith("wide: 0") and other.pad.words.startswith("the network: 1")
    other.pad.value = []
    assert drawing.pad.words.startswith("wide: 0")


def objects() -> int:
    """How many are alive, without what matplotlib's own caches hold, which have their bounds (up to 3.10: 4,096 texts)."""
    for cache in gc.get_objects():
        if isinstance(cache, functools._lru_cache_wrapper) and cache.__module__.startswith("matplotlib."):
            cache.cache_clear()
    gc.collect()
    return len(gc.get_objects())


def test_hundreds_of_strokes_leave_nothing_behind(drawing):
    drawing.pad.value = ONE
    count = len(Widget.get_manager_state()["state"])
    before = objects()
    for i in range(100):
        drawing.pad.value = [*(BAR if i % 2 else ONE), [10, i, 20, i]]
    assert len(Widget.get_manager_state()["state"]) == count
    assert objects() - before < 2000 and not matplotlib.pyplot.get_fignums()


def test_models_that_do_not_fit_are_refused_at_once():
    with pytest.raises(ValueError, match="tells 3 classes apart, and 10 names"):
        tl.widgets.draw(Wide(3))
    figure = tl.widgets.answers(Wide(3), np.ones((4, 9)), "abc")
    assert "the network: b with 1.00" in figure.alt


def test_where_nothing_runs_a_picture_stands_in_for_the_pad(drawing):
    data = drawing._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "Run this cell" in data["text/html"] and 'alt="A picture' in data["text/html"]
