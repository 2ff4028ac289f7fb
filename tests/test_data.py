import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits

import tl_helpers as tl
from tl_helpers.data import Files, InputConfig, Split, Task
from tl_helpers.images import prepare


def pictures(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.x}


def test_digits_are_plain_images_with_fixed_test_and_validation():
    task = tl.digits(shots=5, seed=3)
    assert task.train.x.shape == (50, 1, 28, 28) and task.train.x.dtype == torch.uint8 and task.train.y.dtype == torch.int64
    assert task.classes == tuple("0123456789")
    assert len(task.val) == 100 and len(task.test) == 797
    assert torch.equal(task.test.x, tl.digits(shots=20, seed=9).test.x)
    assert torch.equal(task.val.x, tl.digits(shots=20, seed=9).val.x)
    assert task.train.y.bincount().tolist() == [5] * 10 and task.val.y.bincount().tolist() == [10] * 10


def test_the_test_split_is_stratified():
    from sklearn.datasets import load_digits

    whole = np.bincount(load_digits().target)
    assert tl.digits().test.y.bincount().tolist() == (whole - 100).tolist()


def test_no_draw_of_shots_ever_meets_the_test_or_validation_images():
    held_out = pictures(tl.digits().test) | pictures(tl.digits().val)
    assert len(held_out) == 897
    for seed in range(200):
        assert not pictures(tl.digits(90 if seed % 10 == 0 else 1 + seed % 90, seed).train) & held_out


def test_more_shots_hold_fewer_and_another_seed_draws_others():
    few, many, other = pictures(tl.digits(5, 1).train), pictures(tl.digits(10, 1).train), pictures(tl.digits(5, 2).train)
    assert few < many and few != other
    assert len(tl.digits("all").train) == 900


@pytest.mark.parametrize("shots", [0, 91, -1, 2.5, "many", True, None])
def test_wrong_shots_get_a_clear_sentence(shots):
    with pytest.raises(ValueError, match="1 to 90"):
        tl.digits(shots=shots)


def test_letters_hold_no_digit_and_can_leave_some_out():
    task = tl.letters()
    assert len(task.classes) == 172 and not any(name.isdigit() for name in task.classes)
    assert len(task.train) == len(task.test) == 2752 and task.train.x.shape[1:] == (1, 32, 32)
    fewer = tl.letters(without="OlISZB")
    assert len(fewer.classes) == 166 and fewer.train.y.max() == 165 and not set("OlISZB") & set(fewer.classes)
    with pytest.raises(ValueError, match="at least two letters"):
        tl.letters(without="".join(task.classes[1:]))


def test_a_task_of_arrays():
    grey = np.zeros((4, 8, 8), np.uint8), [0, 1, 1, 0]
    colour = np.zeros((2, 8, 8, 3), np.uint8), [0, 1]
    task = Task.of("mine", ["cat", "dog"], grey, colour, grey)
    assert task.train.x.shape == (4, 1, 8, 8) and task.val.x.shape == (2, 3, 8, 8)
    assert "2 classes" in repr(task) and repr(task.train) == "Split: 4 images 1 x 8 x 8"
    with pytest.raises(ValueError, match="uint8"):
        Task.of("mine", ["cat", "dog"], (np.zeros((4, 8, 8)), [0, 1, 1, 0]), colour, grey)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Task.of("mine", ["cat", "dog"], (grey[0], [0, 1, 2, 0]), colour, grey)
    for labels in (["a", "b", "b", "a"], [0.9, 1.0, 0.0, 0.0], np.eye(4, dtype=int)):
        with pytest.raises(ValueError, match="one per image"):
            Task.of("mine", ["cat", "dog"], (grey[0], labels), colour, grey)
    with pytest.raises(ValueError, match="4 examples and 3 labels"):
        Task.of("mine", ["cat", "dog"], (grey[0], [0, 1, 1]), colour, grey)


def test_images_that_are_black_to_a_network_are_refused():
    """As scikit-learn's digits, 0 to 16, are when they are made bytes."""
    raw = load_digits()
    images = raw.images.astype(np.uint8)
    with warnings.catch_warnings(action="ignore"):  # that all are copies
        with pytest.raises(ValueError, match="brightest pixel of all training images is 16, and white is 255"):
            Task.of("digits", range(10), *[(images, raw.target)] * 3)
        Task.of("black", "ab", *[(np.zeros((2, 8, 8), np.uint8), [0, 1])] * 3)
    bright = (images * 15, raw.target)
    with pytest.warns(UserWarning, match="brightest pixel of all test images is 16"):  # which may be dark on purpose
        Task.of("digits", range(10), bright, (bright[0][:0], raw.target[:0]), (images, raw.target))


def test_images_that_are_learned_from_and_tested_on_are_told():
    images, labels = np.arange(6 * 64, dtype=np.uint32).astype(np.uint8).reshape(6, 8, 8), [0, 1] * 3
    images[:, 0, 0] = range(6)
    with pytest.warns(UserWarning, match="Of the 3 test images 2 are training images too"):
        Task.of("mine", "ab", (images[:2], [0, 1]), (images[2:3], [0]), (images[[0, 1, 4]], [0, 1, 0]))
    with warnings.catch_warnings(action="error"):
        Task.of("mine", "ab", *[(images[part::3], labels[part::3]) for part in range(3)])


@pytest.mark.parametrize(
    "x, words",
    [
        (torch.rand(4, 1, 28, 28), r"uint8.*float32, 4 x 1 x 28 x 28.*\(x \* 255\)\.round\(\)"),
        (torch.rand(4, 1, 28, 28) * 255, "uint8"),
        (torch.zeros(4, 1, 28, 28, dtype=torch.int64), "uint8.*int64"),
        (torch.zeros(4, 28, 28, dtype=torch.uint8), "N x C x H x W.*uint8, 4 x 28 x 28"),
        (torch.zeros(4, 28, 28, 3, dtype=torch.uint8), "28 channels"),
        (torch.zeros(4, 1, 0, 28, dtype=torch.uint8), "4 x 1 x 0 x 28"),
        (torch.zeros(4, 9, dtype=torch.uint8), "floats.*uint8, 4 x 9"),
        (torch.full((4, 9), torch.nan), "NaN"),
        (torch.zeros(4), "N x D.*float32, 4"),
        (["a", "b", "c", "d"], "N x D"),
        (None, "N x D"),
    ],
)
def test_what_is_no_image_and_no_vector_is_said(x, words):
    with pytest.raises(ValueError, match=words) as caught:
        Split(x, [0, 1, 0, 1])
    assert "\n" not in str(caught.value)


def test_pixels_as_floats_are_refused_where_they_were_divided_twice():
    task, model = tl.digits(5), tl.backbone("resnet10t.letters", classes=10)
    images = Split(task.test.x[:40], task.test.y[:40])
    with pytest.raises(ValueError, match="uint8"):
        tl.evaluate(model, Split(images.x / 255, images.y))
    again = Split(((images.x / 255) * 255).round().to(torch.uint8), images.y)  # as the sentence advises
    assert torch.equal(tl.predict(model, again), tl.predict(model, images))


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int16, torch.float32, torch.float64])
def test_whole_numbers_of_any_kind_are_labels(kind):
    split = Split(torch.zeros(3, 2), torch.tensor([0, 1, 2]).to(kind))
    assert split.y.dtype == torch.int64 and split.y.tolist() == [0, 1, 2]
    assert Split(np.zeros((3, 2)), [True, False, True]).y.tolist() == [1, 0, 1]
    assert Split(np.zeros((3, 2)), [1, 0, 1]).x.dtype == torch.float32


@pytest.mark.parametrize("kind", [">i4", "uint16", "uint32", "uint64"])
def test_an_array_of_any_kind_becomes_a_tensor_of_its_own(kind, recwarn):
    x, y = np.arange(6, dtype=np.uint8).reshape(3, 1, 1, 2), np.array([2, 1, 0], kind)
    mirrored = Split(x[..., ::-1], y)
    x[:], y[:] = 0, 0  # as a buffer is filled again and again
    assert mirrored.x.flatten().tolist() == [1, 0, 3, 2, 5, 4] and mirrored.y.tolist() == [2, 1, 0]
    x.flags.writeable = False
    assert not Split(x, y).x.any() and not recwarn.list
    with pytest.raises(ValueError, match="finite"):
        Split(np.full((3, 2), 1e300), y)


@pytest.mark.parametrize("y", [[0, -1, 2], [0.5, 1, 2], [0, 1, np.nan], np.eye(3), ["a", "b", "c"], None, [1j, 0, 0]])
def test_what_is_no_label_is_said(y):
    with pytest.raises(ValueError, match="Labels must be whole numbers from 0, one per image") as caught:
        Split(torch.zeros(3, 2), y)
    assert "\n" not in str(caught.value)


def test_a_task_holds_labels_within_its_classes_and_one_kind_of_examples():
    images, vectors = Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), [0, 1]), Split(torch.zeros(2, 5), [0, 1])
    for place in range(3):
        splits = [images] * 3
        splits[place] = Split(images.x, [0, 2])
        with pytest.raises(ValueError, match=f"between 0 and 1; in {('train', 'val', 'test')[place]} they go from 0 to 2"):
            Task("mine", ["cat", "dog"], *splits)
    with pytest.raises(ValueError, match="not images and vectors 5"):
        Task("mine", ["cat", "dog"], vectors, vectors, images)
    with pytest.raises(ValueError, match="not vectors 4 and vectors 5"):
        Task("mine", ["cat", "dog"], vectors, Split(vectors.x[:, :4], [0, 1]), vectors)
    with pytest.raises(TypeError, match="as val; this is a Tensor"):
        Task("mine", ["cat", "dog"], images, images.x, images)
    with pytest.raises(TypeError, match="takes the names of its classes; this is 2"):
        Task("mine", 2, images, images, images)
    for classes in ({"cat", "dog"}, {0: "cat", 1: "dog"}, {"dog": 1, "cat": 0}):
        with pytest.raises(TypeError, match="in order, as a list"):
            Task("mine", classes, images, images, images)
    assert Task("mine", ["cat", 3], vectors, images[:0], images[:0]).classes == ("cat", "3")


def test_parts_of_a_split():
    split = Split(torch.arange(5).view(5, 1, 1, 1).byte(), torch.arange(5))
    for index, wanted in ((2, [2]), (-1, [4]), ([], []), ([3, 1], [3, 1]), (split.y > 2, [3, 4]), (slice(1, 3), [1, 2])):
        assert split[index].y.tolist() == split[index].x.flatten().tolist() == wanted
    for places in (np.array([3, 1], np.uint8), np.array([4, 3, 2, 1, 0], np.uint8)):  # small numbers are no mask
        assert split[places].y.tolist() == split[places].x.flatten().tolist() == places.tolist()
    assert split[pd.Series([True, False, False, True, False], dtype=object)].y.tolist() == [0, 3]  # of a table that had gaps
    for no_part in ((split.y == 1).float(), 1.7, ["a"], None):  # 1.0 and 0.0 were taken for positions
        with pytest.raises(ValueError, match="whole numbers"):
            split[no_part]


def test_prepare_brings_any_image_to_any_input():
    grey = Split(torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8), torch.zeros(3, dtype=torch.long))
    same = prepare(grey, InputConfig((1, 28, 28), (0.0,), (1.0,)))
    assert torch.equal((same * 255).round().byte(), grey.x)
    large = prepare(grey, InputConfig((3, 64, 64), (0.0,) * 3, (1.0,) * 3))
    assert large.shape == (3, 3, 64, 64) and torch.equal(large[:, 0], large[:, 2]) and 0 <= large.min() <= large.max() <= 1
    red = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    red[:, 0] = 255
    assert prepare(Split(red, torch.zeros(1)), InputConfig((1, 8, 8), (0.0,), (1.0,))).mean().item() == pytest.approx(0.299)
    with pytest.raises(ValueError, match="2 channels"):
        prepare(
            Split(torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1)), InputConfig((3, 8, 8), (0.0,) * 3, (1.0,) * 3)
        )


def test_an_array_is_prepared_as_the_same_picture_in_a_file_is(tmp_path):
    """Square or not, grey or colour, whatever the model crops: at most rounding apart."""
    rng = np.random.default_rng(0)
    ways = [(3, 32, 32), (1, 32, 32), (3, 32, 24), (3, 48, 48)]
    for number, (height, width, colours) in enumerate([(40, 60, 3), (60, 40, 1), (32, 32, 3), (28, 28, 1), (50, 50, 3)]):
        pixels = rng.integers(0, 256, (height, width, colours), dtype=np.uint8)
        Image.fromarray(pixels.squeeze(2) if colours == 1 else pixels).save(tmp_path / f"{number}.png")
        array = Split(torch.from_numpy(pixels).permute(2, 0, 1)[None], [0])
        file = Split(Files(tmp_path / f"{number}.png"), [0])
        for size in ways:
            for crop, mode, way in ((1.0, "center", "bicubic"), (0.875, "center", "bilinear"), (0.9, "squash", "bicubic")):
                middle = (0.5,) * size[0]
                wanted = InputConfig(size, middle, middle, way, crop, mode)
                one, two = (wanted.normalise(prepare(split, wanted)) / 2 + 0.5 for split in (array, file))
                assert (one - two).abs().max() <= 0.5001 / 255, (number, size, crop, mode)


def test_what_is_prepared_is_taken_as_it_is_and_by_no_other_model():
    wanted = InputConfig((1, 32, 32), (0.5,), (0.5,), crop_pct=0.875)
    raw = Split(torch.randint(256, (3, 1, 32, 32), dtype=torch.uint8), [0, 1, 2])
    once = prepare(raw, wanted)
    assert not torch.equal(once, raw.x)  # the middle of it
    ready = Split(once, raw.y, prepared=True)
    assert torch.equal(prepare(ready, wanted), once) and torch.equal(prepare(ready[1:], wanted), once[1:])
    floats = prepare(tl.digits(1).train, InputConfig((1, 32, 32), (0.5,), (0.5,)))
    assert torch.equal(prepare(Split(floats, [0] * 10, prepared=True), wanted), floats)
    with pytest.raises(ValueError, match="prepared for another model"):
        prepare(ready, InputConfig((1, 28, 28), (0.5,), (0.5,)))
    with pytest.raises(ValueError, match="uint8"):
        Split(floats * 2 - 1, [0] * 10, prepared=True)


def test_digits_come_to_the_letters_backbone_as_when_its_results_were_stored():
    """Resized in floats, not rounded: bit for bit."""
    x = tl.digits().test.x[:50]
    wanted = F.interpolate(x.float() / 255, [32, 32], mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
    body = tl.backbone("resnet10t.letters")
    assert torch.equal(prepare(tl.digits().test[:50], tl.models.input_of(body)), wanted)


def test_bend_keeps_shape_and_range_follows_its_generator_and_leaves_its_input_alone():
    images = tl.letters().train.x[:40] / 255
    before = images.clone()
    once, again, other = (tl.glyphs.augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(images, before) and once.shape == images.shape and 0 <= once.min() <= once.max() <= 1
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert torch.allclose(tl.glyphs.augment(images, strength=0.0), images, atol=1e-5)
    assert torch.equal(tl.glyphs._brightest(images), F.max_pool2d(images, 3, 1, 1))
    gentle = tl.glyphs.augment(images, torch.Generator().manual_seed(0), strength=0.5)
    assert (gentle - images).abs().mean() < (once - images).abs().mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_changes_the_order_in_memory_of_colour_images_and_no_number(channels):
    wanted = tl.data.InputConfig((channels, 8, 8), (0.4,) * channels, (0.2,) * channels, "bilinear")
    pixels = torch.randint(0, 256, (2, channels, 8, 8), dtype=torch.uint8)
    found = wanted.normalise(pixels)
    assert torch.equal(found, (pixels.float() / 255 - 0.4) / 0.2)
    assert found.is_contiguous(memory_format=torch.channels_last) and torch.equal(wanted.normalise(pixels / 255), found)


def test_masters_are_a_copy_so_that_nobody_changes_them_for_others():
    images, labels, _ = tl.glyphs.masters(8)
    images.zero_(), labels.zero_()
    assert tl.glyphs.masters(8)[0].any() and tl.glyphs.masters(8)[1].any()


def test_tasks_that_are_not_prepared_alike_are_not_joined():
    task = tl.digits(1)
    splits = [Split(split.x, split.y, prepared=True) for split in (task.train, task.val, task.test)]
    ready = Task("ready", task.classes, *splits)
    joined = tl.data.join_tasks(ready, ready)
    assert joined.train.prepared and len(joined.train) == 20
    raw = Task("raw", task.classes, *(Split(split.x, split.y, prepared=False) for split in splits))
    vectors = tl.features(tl.RawCNN(), task)
    others = tl.features(tl.RawCNN(seed=1), task)
    assert tl.data.join_tasks(vectors, vectors).train.body == vectors.train.body != {}
    for other in ((ready, raw), (vectors, others)):
        with pytest.raises(ValueError, match="prepared alike, and vectors be made by one backbone"):
            tl.data.join_tasks(*other)
