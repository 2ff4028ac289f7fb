import numpy as np
import pytest
import torch

import tl_helpers as tl
from tl_helpers.data import InputConfig, Split, Task
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
    assert "2 classes" in repr(task)
    with pytest.raises(ValueError, match="uint8"):
        Task.of("mine", ["cat", "dog"], (np.zeros((4, 8, 8)), [0, 1, 1, 0]), colour, grey)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Task.of("mine", ["cat", "dog"], (grey[0], [0, 1, 2, 0]), colour, grey)
    for labels in (["a", "b", "b", "a"], [0.9, 1.0, 0.0, 0.0], np.eye(4, dtype=int)):
        with pytest.raises(ValueError, match="one whole number per image"):
            Task.of("mine", ["cat", "dog"], (grey[0], labels), colour, grey)
    with pytest.raises(ValueError, match="4 examples and 3 labels"):
        Task.of("mine", ["cat", "dog"], (grey[0], [0, 1, 1]), colour, grey)


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


def test_bend_keeps_shape_and_range_follows_its_generator_and_leaves_its_input_alone():
    images = tl.letters().train.x[:40] / 255
    before = images.clone()
    once, again, other = (tl.glyphs.augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(images, before) and once.shape == images.shape and 0 <= once.min() <= once.max() <= 1
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert torch.allclose(tl.glyphs.augment(images, strength=0.0), images, atol=1e-5)
    gentle = tl.glyphs.augment(images, torch.Generator().manual_seed(0), strength=0.5)
    assert (gentle - images).abs().mean() < (once - images).abs().mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_changes_the_order_in_memory_of_colour_images_and_no_number(channels):
    wanted = tl.data.InputConfig((channels, 8, 8), (0.4,) * channels, (0.2,) * channels, "bilinear")
    pixels = torch.randint(0, 256, (2, channels, 8, 8), dtype=torch.uint8)
    found = wanted.normalise(pixels)
    assert torch.equal(found, (pixels.float() / 255 - 0.4) / 0.2)
    assert found.is_contiguous(memory_format=torch.channels_last) and torch.equal(wanted.normalise(pixels / 255), found)
