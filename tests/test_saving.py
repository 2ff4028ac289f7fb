"""Models saved, loaded, exported and used on folders of photographs."""

import copy
import csv
import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import tl_helpers as tl
from tl_helpers.__main__ import main
from tl_helpers.datasets import naming
from tl_helpers.engine import parts
from tl_helpers.engine.parts import Facts

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("cat", "dog", "épée")


def noise(*shape) -> tl.Split:
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return tl.Split(images, torch.arange(len(images)) % len(CLASSES))


def with_statistics(model: nn.Module) -> nn.Module:
    """The model with batch norms whose running statistics are not the initial ones."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def check_round_trip(model: nn.Module, folder: Path) -> nn.Module:
    before = {module: module.training for module in model.modules()}
    loaded = tl.load(tl.save(model, folder, CLASSES))
    assert before == {module: module.training for module in model.modules()}, "save must leave the model as it is"
    split = noise(3, 3, 40, 36)
    assert torch.equal(tl.predict(model, split), tl.predict(loaded, split))
    assert loaded.facts.classes == CLASSES and not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    assert not any(map(parts.at_rest, loaded.modules()))
    return loaded


@settings(max_examples=15, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "activation": st.sampled_from(sorted(tl.models.ACTIVATIONS)),
            "kernel": st.integers(1, 9),
            "pooling": st.sampled_from(sorted(tl.models.POOLINGS)),
            "dropout": st.floats(0, 0.99),
            "norm": st.sampled_from([None, "batch"]),
        }
    ),
    st.sampled_from([None, 0, 1, 2]),
)
def test_a_raw_cnn_of_any_kind_comes_back_bit_by_bit(tmp_path_factory, arguments, last):
    model = with_statistics(tl.unfreeze(tl.RawCNN(3, **arguments), last))
    loaded = check_round_trip(model, tmp_path_factory.mktemp("raw") / "model")
    assert loaded.pretrained_cfg["model_args"] == arguments and loaded.drop.p == arguments["dropout"]


@pytest.mark.parametrize("name", tl.models.LETTERS)
@pytest.mark.parametrize("last", [0, 1, None])
def test_a_letters_backbone_comes_back_bit_by_bit_and_timm_reads_it_too(tmp_path, name, last):
    task = tl.Task("t", CLASSES, *[noise(3, 1, 32, 32)] * 3)
    model = tl.unfreeze(tl.head(tl.backbone(f"{name}.letters"), task), last)
    check_round_trip(model, tmp_path / "model")
    again = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    assert torch.equal(tl.predict(again, task.test), tl.predict(model, task.test))


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("resnet18", {"drop_rate": 0.2}),
        ("mobilenetv2_100", {}),
        ("vit_tiny_patch16_224", {"img_size": 64, "depth": 2}),
        ("efficientnet_b0", {"drop_path_rate": 0.1}),
    ],
)
def test_a_timm_model_comes_back_with_its_arguments(tmp_path, name, arguments):
    model = with_statistics(tl.backbone(name, classes=3, pretrained=False, **arguments))
    loaded = check_round_trip(model, tmp_path / "model")
    assert repr(loaded) == repr(model)
    check_round_trip(loaded, tmp_path / "again")


def test_a_model_that_timm_made_comes_back_too_and_its_own_preprocessing_with_it(tmp_path):
    model = timm.create_model("resnet18", num_classes=3)
    model.pretrained_cfg = dict(model.pretrained_cfg, input_size=(3, 96, 64), mean=(0.1, 0.2, 0.3), crop_pct=0.5)
    loaded = check_round_trip(model.eval(), tmp_path / "model")
    assert tl.models.input_of(loaded) == tl.models.input_of(model)
    assert tl.models.input_of(loaded).crop_pct == 0.5


ODD = st.text(st.characters(exclude_categories=()), min_size=1)  # half a surrogate too, as in names that are not UTF-8


@settings(max_examples=20, deadline=None)
@example(["\udcff", "\n", "é"], None, None, None)
@given(
    st.lists(ODD, min_size=3, max_size=3),
    st.none() | st.floats(1e-300, 1e300),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1),
)
def test_what_is_known_of_a_model_comes_back(tmp_path_factory, classes, temperature, threshold, given_now):
    model, folder = tl.RawCNN(3), tmp_path_factory.mktemp("facts") / "model"
    model.facts = Facts(tuple(classes), temperature, threshold)
    tl.save(model, folder, threshold=given_now)
    kept = Facts(tuple(classes), temperature, threshold if given_now is None else given_now)
    assert tl.load(folder).facts == kept
    assert tl.load(tl.save(tl.load(folder), folder)).facts == kept, "saved again, with nothing to remember"


def test_what_is_known_of_a_model_holds_for_its_weights_and_goes_with_them(tmp_path):
    task = tl.digits(shots=2)
    first = tl.fit(tl.RawCNN(), task, epochs=1, progress=False).model
    assert first.facts == Facts(task.classes)
    tl.save(first, tmp_path / "model", evaluation=tl.evaluate(first, task.test), threshold=0.7)
    loaded = tl.load(tmp_path / "model")
    assert loaded.facts.threshold == 0.7 and tl.evaluate(loaded, task.test) == tl.evaluate(first, task.test)
    calm = tl.calibrate(loaded, task.val)
    assert calm.facts.threshold is None and loaded.facts.threshold == 0.7, "it was chosen for other probabilities"
    tl.save(calm, tmp_path / "model", threshold=0.6)
    other = tl.Task("letters", tuple("abcdefghij"), task.train, task.val, task.test)
    assert tl.head(calm, other).facts == Facts(other.classes) and calm.facts.classes == task.classes
    run = tl.fit(tl.load(tmp_path / "model"), other, epochs=1, progress=False)
    assert run.model.facts == Facts(other.classes), "neither temperature nor threshold hold for other weights"
    assert tl.load(tl.save(run.model, tmp_path / "model")).facts == Facts(other.classes)


def test_a_model_saved_by_the_first_format_is_read(saved, tmp_path):
    old = {"format": 1, "unsure": 0.25, "temperature": 1.5}
    folder = edited(saved, tmp_path / "old", tl_helpers=old)
    config = json.loads((folder / "config.json").read_text())
    del config["tl_helpers"]["threshold"]
    (folder / "config.json").write_text(json.dumps(config))
    assert tl.load(folder).facts == Facts(CLASSES, 1.5, 0.25)


def test_the_card_says_what_it_is_and_how_well_it_does(tmp_path):
    task, model = tl.digits(shots=2), tl.RawCNN()
    evaluation = tl.results.Evaluation(0.9, 0.3, 797)
    card = (tl.save(model, tmp_path / "model", task, evaluation=evaluation) / "README.md").read_text()
    assert "**How sure it is**: not calibrated, so its probabilities may be too sure." in card
    model.facts = Facts((), 1.3)
    tl.save(model, tmp_path / "model", task, evaluation=evaluation, threshold=0.4)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "calibrated, temperature 1.30; a probability below 0.40 counts as" in card
    assert card.startswith("---\npipeline_tag: image-classification\n---\n") and "21,840 parameters" in card
    assert repr(evaluation) in card and "20 training images" in card and str(tmp_path) not in card
    assert "**The photographs**" not in card


def test_the_card_counts_no_views_as_images_and_rounds_no_threshold_away(tmp_path):
    task, body = tl.digits(2), tl.backbone("resnet10t.letters")
    vectors = tl.features(body, task, views=3, augment=tl.glyphs.augment)
    model = tl.fit(tl.head(body, task), vectors, epochs=1, progress=False).model
    card = (tl.save(model, tmp_path / "m", vectors, threshold=0.996) / "README.md").read_text()
    assert "60 vectors of training images" in card and "below 0.996 counts" in card


def test_dropout_is_kept(tmp_path):
    model = timm.create_model("resnet10t", num_classes=3, drop_rate=0.5)
    assert tl.load(tl.save(model, tmp_path / "m", CLASSES)).drop_rate == 0.5
    model = tl.backbone("resnet10t.letters", classes=3)
    assert tl.load(tl.save(model, tmp_path / "n", CLASSES)).drop_rate == 0.0
    model.drop_rate = 0.25
    assert tl.load(tl.save(model, tmp_path / "n", CLASSES)).drop_rate == 0.25


def test_two_heads_are_not_saved_as_one_model(tmp_path):
    model = tl.models.Heads(tl.backbone("resnet10t.letters"), [2, 1])
    for keep in (tl.save, lambda *given: tl.export(given[0], tmp_path / "m.onnx", given[2])):
        with pytest.raises(ValueError, match="Only RawCNN and timm's models can be saved and exported; this is a Heads"):
            keep(model, tmp_path / "h", CLASSES)


@pytest.mark.skipif(os.name == "nt", reason="no such pipes there")
def test_a_table_goes_into_a_pipe_and_through_a_link(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    model = str(tl.save(tl.RawCNN(classes=3), tmp_path / "m", CLASSES))
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    assert main(["predict", model, str(tmp_path / "red.png"), "--to", str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "target.csv").read_text().startswith("file,class")
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert main(["predict", model, str(tmp_path / "red.png"), "--to", str(tmp_path / "pipe")]) == 0
            assert reader.communicate(timeout=60)[0].startswith("file,class")
        finally:
            reader.kill()
    assert (tmp_path / "pipe").is_fifo()
    command = [sys.executable, "-m", "tl_helpers", "predict", model, tmp_path / "red.png", "--to", "/dev/stdout"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("file,class")


def test_the_card_says_whose_photographs_a_model_learned_from(tmp_path):
    task = dataclasses.replace(tl.digits(shots=2), report="somebody's pictures (CC BY-NC-SA 4.0)")
    vectors = tl.features(tl.RawCNN(), task)
    model = tl.fit(tl.head(tl.RawCNN(), vectors), vectors, epochs=1, progress=False).model
    for known in (task, vectors):
        card = (tl.save(model, tmp_path / "model", known) / "README.md").read_text()
        assert "- **The photographs**: somebody's pictures (CC BY-NC-SA 4.0).\n" in card


class Own(nn.Module):
    def forward(self, x):
        return x


def changed() -> nn.Module:
    model = tl.RawCNN(3)
    model.act = nn.Tanh()
    return model


def learned(*classes: str) -> nn.Module:
    model = tl.RawCNN(len(classes))
    model.facts = Facts(classes)
    return model


@pytest.mark.parametrize(
    "model, task, words",
    [
        (lambda: tl.RawCNN(3), None, "Say which classes"),
        (lambda: tl.RawCNN(3), "cat", "Say which classes"),
        (lambda: tl.RawCNN(4), CLASSES, "tells 4 classes apart, and there are 3"),
        (lambda: learned("dog", "cat", "épée"), CLASSES, "another order: dog, cat, épée"),
        (lambda: tl.backbone("resnet10t.letters"), CLASSES, "tells 0 classes apart"),
        (Own, CLASSES, "Only RawCNN and timm's models can be saved"),
        (lambda: nn.Linear(5, 3), CLASSES, "this is a Linear"),
        (changed, CLASSES, "answers otherwise"),
        (lambda: timm.create_model("resnet10t", num_classes=3, stem_type=""), CLASSES, "could not be built anew"),
        (lambda: tl.backbone("resnet10t.letters", 3, norm_layer=nn.BatchNorm2d), CLASSES, "cannot be saved"),
    ],
)
def test_what_cannot_be_given_back_is_refused_in_a_sentence_and_nothing_is_written(tmp_path, model, task, words):
    with pytest.raises(ValueError, match=words):
        tl.save(model(), tmp_path / "model", task)
    assert not list(tmp_path.iterdir())


def test_a_run_or_a_bad_probability_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"run\.model"):
        tl.save(tl.training.Run(None, None, ""), tmp_path / "model", CLASSES)
    for nonsense in (80, -0.1, float("nan"), "0.5", torch.tensor(0.5)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            tl.save(tl.RawCNN(3), tmp_path / "model", CLASSES, threshold=nonsense)


def test_a_model_made_with_numbers_of_numpy_can_be_saved(tmp_path):
    """As those of a loop over np.arange, or of a table."""
    raw = tl.RawCNN(np.int64(3), kernel=np.int64(4), dropout=np.float64(0.3))
    vit = tl.backbone("vit_tiny_patch16_224", np.int64(3), pretrained=False, img_size=np.int64(32))
    for number, model in enumerate((raw, vit)):
        check_round_trip(model, tmp_path / str(number))


def test_a_folder_that_is_no_saved_model_is_never_written_to(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "thesis.txt").write_text("years")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ValueError, match="something else than a saved model"):
            tl.save(tl.RawCNN(3), path, CLASSES)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["config.json", "thesis.txt"]


def test_saving_again_replaces_the_model_and_leaves_other_files(tmp_path):
    first, second = tl.RawCNN(3, seed=1), tl.RawCNN(3, seed=2, kernel=3)
    tl.save(first, tmp_path, CLASSES)  # an empty folder is fine
    (tmp_path / "notes.txt").write_text("mine")
    tl.save(second, tmp_path, CLASSES)
    assert tl.load(tmp_path).pretrained_cfg["model_args"]["kernel"] == 3 and (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "notes.txt",
    ]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(1, 4))
@pytest.mark.parametrize("fresh", [True, False])
def test_whenever_a_save_is_cut_off_there_is_a_whole_model_or_a_sentence(tmp_path, monkeypatch, step, fresh):
    if not fresh:
        tl.save(tl.RawCNN(3, kernel=1), tmp_path / "model", CLASSES)
    calls, replace = [], os.replace

    def cut(old, new):
        calls.append(new)
        if len(calls) == step:
            raise Killed
        replace(old, new)

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(Killed):
        tl.save(tl.RawCNN(3, kernel=2), tmp_path / "model", CLASSES)
    monkeypatch.undo()
    if fresh and step == 1:
        with pytest.raises(ValueError, match="holds no saved model|not whole"):
            tl.load(tmp_path / "model")
    else:
        assert tl.load(tmp_path / "model").pretrained_cfg["model_args"]["kernel"] == (1 if step == 1 else 2)
    tl.save(tl.RawCNN(3, kernel=5), tmp_path / "model", CLASSES)
    assert (
        tl.load(tmp_path / "model").pretrained_cfg["model_args"]["kernel"] == 5
        and len(list((tmp_path / "model").iterdir())) == 3
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_a_whole_model(tmp_path, seed):
    code = """
import sys, itertools, tl_helpers as tl
models = [tl.backbone("resnet10t", 3, pretrained=False, seed=seed) for seed in (0, 1)]
for i in itertools.count():
    tl.save(models[i % 2], sys.argv[1], ["0", "1", str(i)])
    print(i, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "m"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    saved = int(process.stdout.readline())
    time.sleep(0.3 + 0.217 * seed)
    process.send_signal(signal.SIGKILL)
    saved = max([saved, *map(int, process.communicate()[0].split())])
    loaded = tl.load(tmp_path / "m")
    number = int(loaded.facts.classes[2])
    assert number in (saved, saved + 1)
    expected = tl.backbone("resnet10t", 3, pretrained=False, seed=number % 2)
    assert torch.equal(loaded.fc.weight, expected.fc.weight)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return tl.save(tl.RawCNN(3, norm="batch"), tmp_path_factory.mktemp("saved") / "model", CLASSES, threshold=0.5)


def damaged(saved: Path, to: Path, name: str, data: bytes) -> Path:
    shutil.copytree(saved, to, dirs_exist_ok=True)
    (to / name).write_bytes(data)
    return to


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_told_in_a_sentence(saved, tmp_path_factory, data):
    name = data.draw(st.sampled_from(["model.safetensors", "config.json"]))
    whole = (saved / name).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = bytearray(whole)
    broken[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        broken = whole[:place]
    folder = damaged(saved, tmp_path_factory.mktemp("broken"), name, bytes(broken))
    try:
        model = tl.load(folder)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:  # a config may be edited, to rename a class for example
        assert name == "config.json"
        assert tl.predict(model, noise(2, 1, 28, 28)).shape == (2, 3)


def edited(saved: Path, to: Path, **changes) -> Path:
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    own = config["tl_helpers"] | changes.pop("tl_helpers", {})
    return damaged(saved, to, "config.json", json.dumps(config | {"tl_helpers": own} | changes).encode())


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"tl_helpers": {"format": 3}}, "later version"),
        ({"tl_helpers": {"threshold": 7}}, "threshold must be a probability"),
        ({"tl_helpers": {"temperature": -1}}, "temperature must be a number above 0"),
        ({"tl_helpers": {"sha256": "0"}}, "is damaged, or belongs to another"),
        ({"architecture": "resnet10t"}, "no model that can be built"),
        ({"architecture": "resnet99"}, "timm has no model 'resnet99'"),
        ({"architecture": "hf-hub:timm/resnet18.a1_in1k"}, "no name of an architecture"),
        ({"model_args": {"kernel": 3}}, "size mismatch"),
        ({"label_names": ["cat"]}, "size mismatch"),
        ({"pretrained_cfg": {}}, "input_size"),
    ],
)
def test_a_config_that_does_not_fit_is_told_in_words(saved, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        tl.load(edited(saved, tmp_path / "model", **changes))


def test_what_is_missing_is_named(saved, tmp_path):
    with pytest.raises(ValueError, match="no saved model at"):
        tl.load(tmp_path / "nowhere")
    for name, words in (("model.safetensors", "lacks model.safetensors"), ("config.json", "config.json is missing")):
        shutil.copytree(saved, tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(ValueError, match=words):
            tl.load(tmp_path / name)


# A head in a file, as the site's live page writes it; tests/test_site.py has a real one.


def head_file(path: Path, weights=None, **changes) -> Path:
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    weights = weights or {"weight": torch.randn(3, 512, generator=generator) / 10, "bias": torch.tensor([0.1, 0.2, -0.1])}
    crc = zlib.crc32(b"".join(part.numpy().tobytes() for part in weights.values()))
    about = {"format": 1, "backbone": "resnet10t.letters", "classes": list(CLASSES), "crc32": crc} | changes
    save_file(weights, path, {"format": "pt", "tl_helpers": json.dumps(about)})
    return path


def test_a_head_in_a_file_stands_on_its_backbone(tmp_path, photographs):
    from safetensors.torch import load_file

    model, weights = tl.load(head_file(tmp_path / "head.safetensors")), load_file(tmp_path / "head.safetensors")
    split = noise(4, 1, 28, 28)
    x = tl.features(tl.backbone("resnet10t.letters"), tl.Task("noise", CLASSES, split, split, split)).train.x
    shares = (x @ weights["weight"].T + weights["bias"]).softmax(1)
    assert torch.allclose(tl.predict(model, split), shares, atol=1e-6) and model.facts == Facts(CLASSES)
    assert torch.equal(tl.predict(tl.load(tl.save(model, tmp_path / "whole")), split), tl.predict(model, split))
    assert command("predict", tmp_path / "head.safetensors", photographs, "--to", tmp_path / "out.csv") == 0


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"format": 2}, "later version"),
        ({"backbone": "hf-hub:timm/resnet18.a1_in1k"}, "does not come with the course: 'hf-hub"),
        ({"backbone": "resnet18.tv_in1k"}, "does not come with the course"),
        ({"classes": "abc"}, "damaged, or no head"),
        ({"classes": ["cat"]}, "size mismatch"),
        ({"weights": {"weight": torch.zeros(3, 512)}}, "damaged, or no head"),
        ({"weights": {"weight": torch.zeros(3, 5), "bias": torch.zeros(3)}}, "size mismatch"),
    ],
)
def test_a_head_that_does_not_fit_is_told_in_words(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words) as told:
        tl.load(head_file(tmp_path / "head.safetensors", **changes))
    assert len(str(told.value).splitlines()) == 1


def test_a_file_that_is_no_head_is_told_in_words(tmp_path):
    whole = head_file(tmp_path / "head.safetensors").read_bytes()
    flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]  # one bit of one number
    for data in (b"", b"PK\3\4 a zip", whole[:500], whole[:-1], flipped, pickle.dumps(Bomb())):
        (tmp_path / "other").write_bytes(data)
        with pytest.raises(ValueError, match="damaged, or no head"):
            tl.load(tmp_path / "other")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("key", ["checkpoint_path", "pretrained"])
def test_a_foreign_config_cannot_have_a_pickle_loaded(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    Path("bomb.pth").write_bytes(pickle.dumps(Bomb()))
    tl.save(tl.backbone("resnet10t.letters", 3), "model", CLASSES)
    foreign = edited(Path("model"), Path("foreign"), model_args={key: "bomb.pth"})
    with pytest.raises(ValueError, match=f"multiple values for keyword argument '{key}'"):
        tl.load(foreign)
    Path("model/model.safetensors").write_bytes(Path("bomb.pth").read_bytes())
    with pytest.raises(ValueError, match="damaged"):
        tl.load("model")
    assert not Path("exploded").exists()


@pytest.mark.parametrize("make", [lambda: tl.RawCNN(3, norm="batch"), lambda: tl.backbone("resnet10t.letters", 3)])
def test_an_exported_model_gives_the_same_answers_from_plain_pixels(tmp_path, make):
    import onnxruntime

    model = tl.models.freeze(with_statistics(make()))
    model.facts = Facts(CLASSES, threshold=0.6)
    assert tl.export(model, tmp_path / "new" / "model.onnx") < 1e-5
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "new" / "model.onnx", providers=["CPUExecutionProvider"])
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["classes"] == list(CLASSES) and facts["threshold"] == 0.6
    assert tuple(facts["input_size"]) == tl.models.input_of(model).size
    for count in (1, 7):
        split = noise(count, *tl.models.input_of(model).size)
        (found,) = session.run(["probabilities"], {"pixels": split.x.numpy().astype(np.float32) / 255})
        assert np.abs(found - tl.predict(model, split).numpy()).max() < 1e-5


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_without_its_packages_export_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"{name} is missing here.*pip install onnx onnxscript onnxruntime"):
        tl.export(tl.RawCNN(3), tmp_path / "model.onnx", CLASSES)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_told_in_a_sentence(tmp_path):
    model = tl.RawCNN(3)
    model.forward = lambda x: model.fc2(torch.ones(len(x), 50)) if x.sum() > 0 else None
    with pytest.raises(ValueError, match="torch cannot export RawCNN"):
        tl.export(model, tmp_path / "model.onnx", CLASSES)
    assert not list(tmp_path.iterdir())


def test_calibration_finds_the_temperature_and_keeps_the_answers(tmp_path):
    task = tl.digits(shots=5)
    model = tl.fit(tl.RawCNN(), task, epochs=20, lr=3e-3, progress=False).model
    sure = copy.deepcopy(model)
    with torch.no_grad():
        for weights in sure.fc2.parameters():
            weights *= 6
    first, second = tl.calibrate(model, task.val), tl.calibrate(sure, task.val)
    assert (
        second.facts.temperature == pytest.approx(6 * first.facts.temperature, rel=0.01) and second.facts.temperature > 1.5
    )
    before, after = (tl.evaluate(m, task.test) for m in (sure, second))
    assert after.accuracy == before.accuracy and after.loss < before.loss
    mean_probability = tl.predict(second, task.val).amax(1).mean().item()
    assert abs(mean_probability - tl.evaluate(second, task.val).accuracy) < 0.05
    again = tl.calibrate(second, task.val)  # of what the weights are divided by in all
    assert again.facts.temperature == pytest.approx(second.facts.temperature, rel=0.01)
    assert tl.load(tl.save(second, tmp_path / "m", task)).facts == second.facts
    assert sure.facts == Facts(task.classes)


def test_calibration_needs_mistakes():
    task = tl.digits(shots=5)
    right = tl.predict(tl.RawCNN(), task.val).argmax(1)
    with pytest.raises(ValueError, match="makes no mistake"):
        tl.calibrate(tl.RawCNN(), tl.Split(task.val.x, right))


def test_calibration_on_answers_that_are_nearly_all_wrong_finds_no_temperature():
    task = tl.digits(shots=5)
    wrong = tl.predict(tl.RawCNN(), task.val).argmin(1)
    with pytest.raises(ValueError, match="names so few rightly that no temperature helps"):
        tl.calibrate(tl.RawCNN(), tl.Split(task.val.x, wrong))


@pytest.fixture
def photographs(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    for i, name in enumerate(["a.jpg", "b/c.png", "b/d/e.JPG", "b/d/ü, 2.jpg", "z.jpg"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (50 + i, 60, 3), dtype=np.uint8)).save(folder / name)
    (folder / "b" / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("no photograph")
    return folder


def command(*arguments) -> int:
    return main([*map(str, arguments)])


def test_predict_names_the_photographs_of_a_folder(saved, photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(naming, "CHUNK", 2)
    assert command("predict", saved, photographs, "--to", tmp_path / "out.csv", "--threshold", 0.34) == 0
    rows = list(csv.DictReader(open(tmp_path / "out.csv", encoding="utf-8", newline="")))
    assert [row["file"] for row in rows] == ["a.jpg", "z.jpg", "b/c.png", "b/cut.jpg", "b/d/e.JPG", "b/d/ü, 2.jpg"]
    model = tl.load(saved)
    paths = [photographs / row["file"] for row in rows if not row["problem"]]
    shares = tl.predict(model, tl.Split(tl.data.Files(paths), torch.zeros(len(paths))))
    good = [row for row in rows if not row["problem"]]
    assert [row["class"] for row in good] == [CLASSES[i] for i in shares.argmax(1)]
    assert [float(row["probability"]) for row in good] == pytest.approx(shares.amax(1).tolist(), abs=6e-5)
    assert [row["below_threshold"] for row in good] == ["yes" if share < 0.34 else "" for share in shares.amax(1)]
    said = capsys.readouterr()
    assert "b/cut.jpg cannot be read" in said.err and "5 photographs named, 1 could not" in said.out
    (broken,) = (row for row in rows if row["problem"])
    assert broken["class"] == broken["probability"] == "" and "cannot be read" in broken["problem"]
    assert not list(tmp_path.glob("*.part"))


def test_a_picture_of_twelve_bits_in_sixteen_is_named_with_a_warning(saved, tmp_path, capsys):
    """It reaches the network as black, and would be named as if it were."""
    from PIL import Image

    bits = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name, scale in (("dark.png", 1), ("bright.png", 16)):
        Image.fromarray(bits * scale).save(tmp_path / name)
    assert command("predict", saved, tmp_path) == 0
    said = capsys.readouterr()
    assert said.err.strip() == "dark.png is nearly black all over: make it brighter if more is in it."
    assert [bool(row["class"]) for row in csv.DictReader(said.out.splitlines())] == [True, True]


def test_predict_takes_one_file_and_the_threshold_of_the_model(saved, photographs, capsys):
    assert command("predict", saved, photographs / "a.jpg") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["file"] for row in rows] == ["a.jpg"] and rows[0]["below_threshold"] == "yes"  # saved with 0.5
    assert command("predict", saved, photographs / "b" / "cut.jpg") == 1
    assert "cut.jpg cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", [2, -0.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(photographs, threshold):
    with pytest.raises(ValueError, match="from 0 to 1"):
        naming.predictions(tl.RawCNN(3), photographs, CLASSES, threshold=threshold)


def test_predictions_make_a_table_for_a_model_not_saved_yet(photographs):
    import pandas as pd

    frame = pd.DataFrame(naming.predictions(tl.RawCNN(3), photographs, CLASSES))
    assert list(frame) == list(naming.COLUMNS) and len(frame) == 6 and (frame.problem != "").sum() == 1


def test_a_network_of_another_library_names_photographs_and_why_it_is_not_saved_is_said(photographs, tmp_path):
    """It was told that it tells 0 classes apart."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
    model.pretrained_cfg = tl.RawCNN.pretrained_cfg
    named = {row["class"] for row in naming.predictions(model, photographs, CLASSES) if not row["problem"]}
    assert named and named <= {*CLASSES}
    with pytest.raises(ValueError, match="tells 3 classes apart, and there are 2 names"):
        list(naming.predictions(model, photographs, CLASSES[:2]))
    with pytest.raises(ValueError, match="Only RawCNN and timm's models can be saved"):
        tl.save(model, tmp_path / "saved", CLASSES)


def test_a_model_however_sure_is_calibrated():
    """Its probabilities have no room for what its logits say: gaps beyond 103 were all taken for 103."""
    task, found = tl.digits(shots=5), []
    body = tl.backbone("resnet10t.letters")
    vectors = tl.features(body, task)
    model = tl.fit(tl.head(body, vectors), vectors, lr=1.0, progress=False).model
    for factor in (1, 10, 1000):
        sure = copy.deepcopy(model)
        with torch.no_grad():
            for weights in sure.get_classifier().parameters():
                weights *= factor
        calm = tl.calibrate(sure, vectors.val)
        found.append((calm.facts.temperature / factor, tl.evaluate(calm, vectors.val).loss))
    assert np.allclose(found, found[0], rtol=1e-2)
    assert found[0][1] < tl.evaluate(model, vectors.val).loss


def test_probabilities_of_nothing_are_not_calibrated():
    model = tl.RawCNN()
    model.forward = lambda x: torch.where(torch.arange(10) == 9, 0.0, -torch.inf).expand(len(x), 10)
    with pytest.raises(ValueError, match="a probability of exactly 0"):
        tl.calibrate(model, tl.digits(shots=2).val)


def test_a_last_layer_with_an_adapter_is_not_divided():
    """Each part of it would be, and the product by the square."""
    task = tl.digits(shots=2)
    model = tl.RawCNN()
    torch.nn.utils.parametrize.register_parametrization(model.fc2, "weight", nn.Identity())
    with pytest.raises(ValueError, match="a last layer that is linear"):
        tl.calibrate(model, task.val)
