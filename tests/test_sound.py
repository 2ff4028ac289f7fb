"""Every public function, given something it cannot work with, answers rightly or with one clear sentence.

Never a wrong number, and never another library's traceback: what is raised, our own code raises, in words of its own.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import math
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import tl_helpers as tl
from tl_helpers import images
from tl_helpers.data import InputConfig, draw, join_tasks
from tl_helpers.datasets.naming import predictions
from tl_helpers.engine.parts import before_head
from tl_helpers.engine.validate import shown

HOME = Path(tl.__file__).parent
ANY = settings(suppress_health_check=list(HealthCheck), deadline=None, database=None, derandomize=True)
ANY = settings(ANY, phases=(Phase.explicit, Phase.generate))  # shrinking what trains a network takes minutes


@functools.cache
def raises(path: Path) -> set[int]:
    """The lines of a file that belong to a `raise` of something."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Raise)]
    return {line for node in nodes if node.exc for line in range(node.lineno, node.end_lineno + 1)}


def check_sentence(error: Exception) -> None:
    """An error must be one that our own code raises, in one sentence that is short enough to be read."""
    last, text = traceback.extract_tb(error.__traceback__)[-1], str(error)
    said = isinstance(error, (ValueError, TypeError, ConnectionError))
    ours = HOME in Path(last.filename).parents and last.lineno in raises(Path(last.filename))
    assert said and ours, f"{type(error).__name__} from {last.filename}:{last.lineno}: {text[:300]}"
    assert text.endswith((".", "?", ")")) and len(text.splitlines()) == 1 and 15 < len(text) < 600, text


def answer(function: Callable, *arguments, **named):
    """What a function returns, or None where it refuses in one clear sentence."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return function(*arguments, **named)
        except Exception as error:
            check_sentence(error)
            return None


def picture(seed: int, width: int = 12, height: int = 9) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@functools.cache
def place() -> Path:
    """A folder for what is written here, with a folder of photographs in it."""
    where = Path(KEPT.name)
    for seed, (kind, number) in enumerate(itertools.product("ab", range(4))):
        (where / "own" / kind).mkdir(parents=True, exist_ok=True)
        picture(seed).save(where / "own" / kind / f"{number}.png")
    tl.save(tl.RawCNN(2), where / "model", ["a", "b"])
    return where


KEPT = tempfile.TemporaryDirectory()


@functools.cache
def few() -> tl.Task:
    task = tl.digits(1)
    return tl.Task("few", task.classes, task.train, task.val[:12], task.test[:5])


@functools.cache
def own() -> tl.Task:
    return tl.folder(place() / "own")


@functools.cache
def trained() -> tl.training.Run:
    return tl.fit(tl.RawCNN(), few(), epochs=1, progress=False)


def drawn(figure):
    """A figure, really drawn."""
    assert figure.html().startswith("<img") and figure.alt
    return figure


def frame() -> pd.DataFrame:
    return pd.DataFrame({"shots": [1, 2, 1, 2], "accuracy": [0.5, 0.6, 0.7, 0.8], "method": list("aabb")})


# Each function with arguments that it takes. One after another is replaced by something else.
CALLS = {
    "digits": lambda: (tl.digits, {"shots": 1, "seed": 0}),
    "letters": lambda: (tl.letters, {"without": "ABC", "size": 4, "seed": 0}),
    "photos": lambda: (tl.photos, {"name": "pet"}),
    "folder": lambda: (tl.folder, {"path": place() / "own", "val": 0.2, "test": 0.2, "seed": 0, "shots": None}),
    "Split": lambda: (tl.Split, {"x": few().test.x, "y": few().test.y}),
    "Files": lambda: (tl.data.Files, {"paths": ["a.png"]}),
    "Task": lambda: (
        tl.Task,
        {"name": "x", "classes": few().classes, "train": few().train, "val": few().val, "test": few().test},
    ),
    "Task.of": lambda: (
        tl.Task.of,
        {"name": "x", "classes": "ab"} | dict.fromkeys(("train", "val", "test"), (np.zeros((2, 8, 8), np.uint8), [0, 1])),
    ),
    "draw": lambda: (draw, {"split": few().train, "shots": 1, "seed": 0}),
    "join_tasks": lambda: (join_tasks, {"first": few(), "second": few()}),
    "InputConfig": lambda: (
        lambda **config: images.prepare(few().test, InputConfig(**config)),
        {"size": (1, 8, 8), "mean": (0.5,), "std": (0.5,)}
        | {"interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"},
    ),
    "prepare": lambda: (images.prepare, {"split": few().test, "wanted": InputConfig((1, 8, 8), (0.5,), (0.5,))}),
    "open_photograph": lambda: (images.open_photograph, {"path": place() / "own" / "a" / "0.png"}),
    "masters": lambda: (tl.glyphs.masters, {"size": 4}),
    "augment": lambda: (tl.glyphs.augment, {"images": torch.rand(3, 1, 8, 8), "generator": None, "strength": 1.0}),
    "crop_and_flip": lambda: (tl.crop_and_flip, {"images": torch.rand(3, 3, 8, 8), "generator": None, "area": 0.3}),
    "device": lambda: (tl.device.device, {"name": "cpu"}),
    "precision": lambda: (tl.device.precision, {"where": "cpu"}),
    "autocast": lambda: (tl.device.autocast, {"where": "cpu"}),
    "layout": lambda: (tl.device.layout, {"where": "cpu"}),
    "place_for": lambda: (tl.device.place_for, {"size": 1, "where": "cpu"}),
    "seeded": lambda: (lambda seed: tl.device.seeded(seed).__enter__(), {"seed": 1}),
    "RawCNN": lambda: (
        lambda **how: tl.RawCNN(**how)(torch.zeros(2, 1, 28, 28)),
        {"classes": 10, "activation": "relu", "kernel": 5, "pooling": "max", "dropout": 0.5, "norm": None, "seed": 0},
    ),
    "backbone": lambda: (tl.backbone, {"name": "resnet10t.letters", "classes": 0, "pretrained": False, "seed": 0}),
    "head": lambda: (tl.head, {"body": tl.RawCNN(), "task": few(), "seed": 0}),
    "freeze": lambda: (tl.freeze, {"model": tl.RawCNN()}),
    "unfreeze": lambda: (tl.unfreeze, {"model": tl.RawCNN(), "last": 1, "norms": True}),
    "features": lambda: (
        tl.features,
        {"body": tl.RawCNN(), "task": few(), "views": 1, "augment": None, "seed": 0, "device": "cpu", "progress": False},
    ),
    "features with views": lambda: (
        tl.features,
        {"body": tl.RawCNN(), "task": few(), "views": 2, "augment": tl.crop_and_flip, "seed": 0},
    ),
    "fit": lambda: (
        tl.fit,
        {"model": tl.RawCNN(), "task": few(), "epochs": 1, "lr": 0.01, "batch_size": 5, "schedule": "cosine"}
        | {"weight_decay": 0.1, "layer_decay": None, "label_smoothing": 0.0, "augment": None, "patience": None}
        | {"seed": 0, "device": "cpu", "checkpoint": None, "progress": False},
    ),
    "evaluate": lambda: (tl.evaluate, {"model": tl.RawCNN(), "split": few().test, "device": "cpu"}),
    "predict": lambda: (tl.predict, {"model": tl.RawCNN(), "images": few().test, "device": "cpu"}),
    "calibrate": lambda: (tl.calibrate, {"model": tl.RawCNN(), "split": few().val, "device": "cpu"}),
    "save": lambda: (
        tl.save,
        {"model": tl.RawCNN(), "path": place() / "saved", "task": few(), "evaluation": tl.results.Evaluation(0.5, 1.0, 9)},
    ),
    "load": lambda: (tl.load, {"path": place() / "model"}),
    "export": lambda: (tl.export, {"model": tl.RawCNN(), "path": place() / "x.onnx", "task": few()}),
    "predictions": lambda: (
        lambda **named: list(predictions(**named)),
        {"model": tl.RawCNN(), "path": place() / "own", "task": few()},
    ),
    "blocks": lambda: (tl.models.blocks, {"model": tl.RawCNN()}),
    "input_of": lambda: (tl.models.input_of, {"model": tl.RawCNN()}),
    "count_parameters": lambda: (tl.models.count_parameters, {"model": tl.RawCNN()}),
    "Heads": lambda: (
        tl.models.Heads,
        {"body": model(0, "timm"), "classes": [2, 3], "seed": 0},
    ),
    "Evaluation": lambda: (
        lambda **named: (lambda found: (repr(found), found.interval))(tl.results.Evaluation(**named)),
        {"accuracy": 0.5, "loss": 0.3, "n": 10},
    ),
    "plots.images": lambda: (tl.plots.images, {"pictures": few().test, "labels": None, "columns": 3, "size": 0.5}),
    "plots.maps": lambda: (tl.plots.maps, {"values": torch.rand(3, 4, 4), "columns": 3, "size": 0.5, "titles": None}),
    "plots.history": lambda: (tl.plots.history, {"run": trained()}),
    "plots.compare": lambda: (
        lambda run, names: tl.plots.compare(trained(), run, names=names),
        {"run": trained(), "names": ["a", "b"]},
    ),
    "plots.accuracies": lambda: (
        tl.plots.accuracies,
        {"results": {"a": [0.5, 0.6], "b": tl.results.Evaluation(0.5, 1.0, 9)}, "xlabel": "x", "images": "x"},
    ),
    "plots.lines": lambda: (
        tl.plots.lines,
        {"frame": frame(), "x": "shots", "y": "accuracy", "by": "method", "log": False},
    ),
    "plots.scatter": lambda: (tl.plots.scatter, {"points": torch.rand(3, 2), "labels": [0, 1, 0], "names": ["a", "b"]}),
    "plots.report": lambda: (tl.plots.report, {"found": own().report}),
    "plots.probabilities": lambda: (
        tl.plots.probabilities,
        {"picture": few().test.x[0], "answers": {"a": torch.tensor([0.5, 0.5])}, "classes": ["a", "b"]},
    ),
}

NUMBERS = [None, True, -1, 0, 1, 2.5, math.nan, math.inf, -math.inf, 10**30, 1e-300, np.float32(0.5), np.int64(3)]
TEXTS = ["", "cuda", "x", "ö 'x'\n\"😀/..\\", "$\\frac{", b"x", "\0"]
THINGS = [[], [1], ["a"], {}, (), object(), np.zeros(3), np.zeros((2, 8, 8), np.uint8), torch.device("meta"), pd.DataFrame()]
SHAPES = [(0,), (2,), (2, 1, 8, 8), (2, 3, 9, 30), (0, 1, 8, 8), (1, 1, 1, 1), (3, 5), (0, 5)]
TENSORS = [torch.ones(shape, dtype=kind) for shape in SHAPES for kind in (torch.float32, torch.uint8, torch.int64)]
TENSORS += [torch.full((2, 1, 8, 8), value) for value in (math.nan, 255.0, -1.0)]


@functools.cache
def held() -> list:
    """Tasks, splits and models where they are not wanted, or not these."""
    task, nothing = few(), few().test[:0]
    vectors = tl.features(tl.RawCNN(), task)
    tasks = [tl.Task("none", ["a"], nothing, nothing, nothing), tl.Task("one", ["a"], *[tl.Split(task.test.x[:1], [0])] * 3)]
    tasks += [task, vectors, own(), tl.Task("unchecked", task.classes, task.train, nothing, nothing)]
    splits = [nothing, task.test[:1], vectors.test, own().test, vectors.test[:0]]
    models = [tl.RawCNN(), torch.nn.Linear(3, 2), torch.nn.Flatten(), tl.RawCNN(3, norm="batch"), trained()]
    return [*tasks, *splits, *models]


UNBOUNDED = {"epochs": 10, "views": 10, "classes": 100}  # what is right, but takes for ever


def check_arguments(name: str, values: list) -> None:
    for parameter in CALLS[name]()[1]:
        for value in values:
            if isinstance(value, (int, np.integer)) and value > UNBOUNDED.get(parameter, math.inf):
                continue
            function, arguments = CALLS[name]()
            if parameter == "augment" and callable(value):  # what somebody's own function raises is theirs
                continue
            if name == "export" and (value is None or type(value) is type(arguments[parameter])):
                continue
            try:
                answer(function, **arguments | {parameter: value})
            except BaseException as error:
                raise AssertionError(f"{name}({parameter}={value!r})") from error


@pytest.mark.parametrize("name", CALLS)
def test_whatever_a_function_is_given_it_answers_or_says_what_is_wrong(name, monkeypatch):
    monkeypatch.chdir(place())
    monkeypatch.setenv("TL_HOME", str(place() / "nothing here"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_arguments(name, [*NUMBERS, *TEXTS, *THINGS, *TENSORS, *held()])


# What is odd, and right: empty splits, one example, one class, tiny or lopsided images, any whole numbers as labels.


@st.composite
def pixels(draw, least: int = 0, colours: tuple[int, ...] = (1, 3)) -> torch.Tensor:
    """A few images: uint8, N x C x H x W."""
    shape = draw(st.tuples(st.integers(least, 3), st.sampled_from(colours), st.integers(1, 40), st.integers(1, 40)))
    seed = draw(st.integers(0, 99))
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@st.composite
def splits(draw, classes: int, least: int = 0) -> tl.Split:
    x = draw(pixels(least))
    y = draw(st.lists(st.integers(0, classes - 1), min_size=len(x), max_size=len(x)))
    return tl.Split(x, torch.tensor(y, dtype=draw(st.sampled_from([torch.int64, torch.uint8, torch.float64]))))


@st.composite
def tasks(draw) -> tl.Task:
    classes = draw(st.integers(1, 4))
    return tl.Task("odd", [f"class {i}" for i in range(classes)], *(draw(splits(classes, least)) for least in (1, 0, 0)))


@functools.cache
def model(classes: int, name: str) -> torch.nn.Module:
    made = tl.RawCNN(classes, norm="batch") if name == "raw" else tl.backbone("resnet10t.letters", classes, pretrained=False)
    return made.eval()


@given(tasks(), st.sampled_from(["raw", "timm"]))
@settings(ANY, max_examples=40)
def test_odd_tasks_get_the_numbers_that_plain_torch_gets(task, name):
    """Image by image, without batches, splits or caches."""
    network = model(len(task.classes), name)
    wanted = tl.models.input_of(network)
    for split in (task.train, task.val, task.test):
        ready = [wanted.normalise(images.prepare(split[[i]], wanted)) for i in range(len(split))]
        with torch.no_grad():
            shares = [network(x).softmax(1) for x in ready]
            features = [before_head(network, x) for x in ready]
        found, result = tl.predict(network, split), tl.evaluate(network, split)
        assert found.shape == (len(split), len(task.classes)) and result.n == len(split)
        vectors = tl.features(network, tl.Task("part", task.classes, split, split, split)).test if len(split) else None
        if len(split):
            assert torch.allclose(found, torch.cat(shares), atol=1e-4)
            assert torch.allclose(vectors.x, torch.cat(features), atol=1e-3, rtol=1e-3)
            assert result.accuracy == (torch.cat(shares).argmax(1) == split.y).double().mean()
            assert result.loss == pytest.approx(
                torch.nn.functional.nll_loss(torch.cat(shares).log(), split.y).item(), abs=1e-3
            )
            low, high = result.interval
            assert 0 <= low <= result.accuracy <= high <= 1
        else:
            assert math.isnan(result.accuracy) and math.isnan(result.loss)
    drawn(tl.plots.images(task.train))


@given(
    tasks(),
    st.sampled_from(["raw", "timm"]),
    st.integers(1, 4),
    st.sampled_from([None, tl.glyphs.augment, tl.crop_and_flip]),
)
@settings(ANY, max_examples=40)
def test_odd_tasks_are_learned_or_a_sentence_says_why_not(task, name, batch_size, augment):
    network = model(len(task.classes), name)
    run = answer(tl.fit, network, task, epochs=1, batch_size=batch_size, augment=augment, progress=False)
    vectors = answer(tl.features, network, task)
    probe = vectors and answer(tl.fit, tl.head(network, vectors), vectors, epochs=1, batch_size=batch_size, progress=False)
    for learned in filter(None, (run, probe)):
        row = learned.history.iloc[-1]
        assert math.isfinite(row.loss) and 0 <= row.accuracy <= 1 and math.isnan(row.val_loss) == (not len(task.val))
        assert all(weights.isfinite().all() for weights in learned.model.parameters())
        assert repr(learned) and drawn(learned.plot())


@given(st.data(), st.sampled_from([torch.uint8, torch.int64, torch.float32, torch.float64, torch.float16, torch.bool]))
@settings(ANY, max_examples=200)
def test_a_split_holds_what_it_was_given_or_says_what_is_wrong(data, kind):
    shape = data.draw(st.lists(st.integers(0, 4), max_size=5))
    low, high = data.draw(st.sampled_from([(0, 1), (0, 255), (-1, 1)]))
    x = (torch.rand(shape, dtype=torch.float64) * (high - low) + low).to(kind)
    y = (
        data.draw(st.lists(st.one_of(st.integers(-1, 5), st.just(0.5)), min_size=max(0, len(x) - 1), max_size=len(x) + 1))
        if shape
        else []
    )
    split = answer(tl.Split, x, y)
    images = len(shape) == 4 and kind is torch.uint8 and shape[1] in (1, 3) and min(shape[2:]) > 0
    vectors = len(shape) == 2 and kind.is_floating_point
    fits = (images or vectors) and len(x) == len(y) and all(label >= 0 and label == int(label) for label in y)
    assert (split is not None) == fits
    if split is not None:
        assert split.x.dtype == (torch.uint8 if images else torch.float32) and split.y.dtype == torch.int64
        assert torch.equal(split.x.float(), x.float()) and split.y.tolist() == y


# Names with odd characters.

ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.lists(ODD, min_size=2, max_size=3, unique=True))
@example(['a"b', "ü\n😀", "$x^{"])
@example(["../x", "\u2028", "\0"])
@settings(ANY, max_examples=30)
def test_any_text_is_a_name_of_a_class(names):
    task = tl.Task(names[0], names, *[tl.Split(few().test.x[: len(names)], range(len(names)))] * 3)
    assert task.classes == tuple(names) and repr(task)
    network = tl.RawCNN(len(names)).eval()
    with tempfile.TemporaryDirectory() as folder:
        saved = tl.save(network, Path(folder, "model"), task, evaluation=tl.evaluate(network, task.test))
        again = tl.load(saved)
        found = [row["class"] for row in predictions(again, place() / "own")]
    assert torch.equal(tl.predict(again, task.test), tl.predict(network, task.test))
    shares = tl.predict(network, own().test)
    assert set(found) <= set(map(shown, names)) and len(found) == 8 and len(shares) == len(own().test)
    answers = dict.fromkeys(names, torch.full((len(names),), 1 / len(names)))
    for figure in (
        tl.plots.images(few().test.x[: len(names)], names),
        tl.plots.probabilities(few().test.x[0], answers, names),
        tl.plots.accuracies({name: [0.5, 0.6] for name in names}, names[0]),
        tl.plots.scatter(torch.rand(len(names), 2), range(len(names)), names),
        tl.plots.compare(*[trained()] * len(names), names=names),
        tl.plots.lines(pd.DataFrame({"x": [1, 2], names[0]: [0.5, 0.6], "by": names[:2]}), "x", names[0], "by"),
    ):
        with warnings.catch_warnings(action="ignore"):  # fonts lack some characters
            drawn(figure)


FILE = ODD.filter(lambda name: not set(name) & set("/\0") and name[0] != "." and name.strip() and len(name.encode()) < 99)


@given(st.lists(FILE, min_size=2, max_size=3, unique=True), ODD)
@example(["a\nb", 'c"d'], "new\nline")
@example(["$x^{", "\u2028"], "😀")
@example(["one", "two"], "//")
@settings(ANY, max_examples=30)
def test_any_name_of_a_folder_is_a_class_and_errors_stay_on_one_line(names, wrong):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, names[0])
        for seed, name in enumerate(names):
            with contextlib.suppress(FileExistsError):  # names that a file system takes for one
                (root / f"_{name}").mkdir(parents=True)
            for number in range(3):
                picture(10 * seed + number).save(root / f"_{name}" / f"{number} {name[::-1]}.png".replace("\n.", "."))
        task = tl.folder(root, val=0)
        assert len(task.classes) == len(names) and len(task.train) + len(task.test) == 3 * len(names)
        assert {len(name.splitlines()) for name in (task.name, *task.classes)} == {1} and repr(task.report)
        with warnings.catch_warnings(action="ignore"):
            drawn(tl.plots.report(task.report))
        rows = list(predictions(tl.RawCNN(len(names)), root, task))
        assert len(rows) == 3 * len(names) and not any(row["problem"] for row in rows)
        for call in (tl.folder, tl.load, images.open_photograph):
            assert answer(call, root / "not here" / wrong.lstrip("/")) is None  # "//" would lead to the root of the disk
        bad = task.train.x.paths[0]
        bad.write_bytes(b"no picture")
        assert answer(tl.evaluate, tl.RawCNN(len(names)), task.train) is None
