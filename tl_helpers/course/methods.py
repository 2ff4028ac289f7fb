"""The methods that the course compares, their tasks, and the shifts they are tested under. Lesson 07 opens this file."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import glyphs
from ..data import Split, Task, digits, in_floats, join_tasks, letters
from ..device import seeded
from ..engine.parts import blocks
from ..extraction import features
from ..images import prepare
from ..models import Heads, RawCNN, backbone, count_parameters, freeze, head, input_of, unfreeze
from ..training import fit, predict
from . import pretraining, two_heads, without_labels

BATCH, EPOCHS = 32, 20
BEND = functools.partial(glyphs.augment, strength=0.25)  # whoever trains on images sees them varied, pretrained or not
RESNET = "resnet10t.letters"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training.

    method: a key of METHODS; `backbone` is empty for methods that use none, `lr` NaN for those that have no learning rate.
    shots: labelled images per class; for a table, labelled rows of its rarest class.
    task: a key of TASKS; variant: what else a method is told, as "name=value".
    stage: "search" for a learning rate, or "result".
    """

    method: str
    backbone: str
    shots: int
    lr: float
    seed: int
    task: str = "digits"
    variant: str = ""
    stage: str = "result"

    @classmethod
    def of(cls, row) -> Cell:
        """The cell that a stored row is of; the row's numbers may be text."""
        kinds = {"shots": int, "lr": lambda lr: float(lr or "nan"), "seed": int}
        return cls(**{field.name: kinds.get(field.name, str)(row[field.name]) for field in dataclasses.fields(cls)})

    @property
    def key(self) -> tuple:
        """The same for cells that are the same; NaN is not the same as itself."""
        return tuple(
            "" if value != value else f"{value:g}" if isinstance(value, float) else value
            for value in dataclasses.astuple(self)
        )

    @property
    def options(self) -> dict[str, str]:
        """What the variant says, by name."""
        return dict(pair.split("=") for pair in self.variant.split(",") if pair)

    @property
    def question(self) -> tuple:
        """What a learning rate is chosen for, the number of shots aside."""
        return (self.method, self.backbone, self.task, self.variant)


# What is learned: from (shots, seed) to a task. Beside the digits there are tables, drawn as pictures: each number becomes a
# grey square. They have nothing to do with letters.


def _table(name: str, shots: int, seed: int) -> Task:
    from sklearn import datasets, preprocessing

    if name == "fraud":  # one row in twenty is of the class that matters
        x, y = datasets.make_classification(3000, 20, n_informative=6, weights=[0.95], class_sep=1.2, random_state=2018)
        classes = ("honest", "fraud")
    else:
        raw = getattr(datasets, f"load_{name}")()
        x, y, classes = raw.data, raw.target, tuple(raw.target_names)
    x = preprocessing.QuantileTransformer(n_quantiles=100).fit_transform(x)  # of all rows: their labels play no part
    side = math.ceil(math.sqrt(x.shape[1]))
    x = np.pad(x, [(0, 0), (0, side * side - x.shape[1])]).reshape(-1, side, side)
    pictures = np.kron((x * 255).astype(np.uint8), np.ones((1, 28 // side, 28 // side), np.uint8))
    edge = 28 - pictures.shape[1]
    pictures = np.pad(pictures, [(0, 0), (edge // 2, edge - edge // 2), (edge // 2, edge - edge // 2)])
    order = np.random.default_rng(2018).permutation(len(y))
    test, val, pool = order[: len(y) // 2], order[len(y) // 2 : len(y) * 7 // 10], order[len(y) * 7 // 10 :]
    pool = np.random.default_rng(seed).permutation(pool)
    share = np.bincount(y).min() / np.bincount(y)  # of the rows of each class that go with one of the rarest
    train = np.concatenate([pool[y[pool] == label][: round(shots / share[label])] for label in range(len(share))])
    return Task.of(name, classes, *((pictures[part], y[part]) for part in (train, val, test)))


TABLES = ("wine", "breast_cancer", "fraud")
TASKS = {"digits": digits, "letters": lambda shots, seed: letters(size=28)} | {
    name: functools.partial(_table, name) for name in TABLES
}


@functools.lru_cache(maxsize=8)
def _held_out(name: str) -> tuple[Split, Split]:
    task = TASKS[name](1, 0)
    return task.val, task.test


def _task(cell: Cell, images: str | None = None, **_) -> Task:
    """The task of a cell; all share its validation and test images. `images` is the seed of the draw, if another one."""
    val, test = _held_out(cell.task)
    return dataclasses.replace(
        TASKS[cell.task](cell.shots, cell.seed if images is None else int(images)), val=val, test=test
    )


# How the test images can be shifted away from the training images, each at five strengths, by torchvision where it can.


def _shift(x: Tensor, kind: str, strength: int) -> Tensor:
    from torchvision.transforms.v2 import functional as v2

    if kind in ("rotation", "translation"):  # every other image the other way
        moved = x.clone()
        for part, way in ((slice(0, None, 2), strength), (slice(1, None, 2), -strength)):
            turn, step = (10.0 * way, 0) if kind == "rotation" else (0.0, way)
            moved[part] = v2.affine(x[part], turn, [step, step], 1.0, [0.0, 0.0], v2.InterpolationMode.BILINEAR)
        return moved
    if kind == "blur":
        return v2.gaussian_blur(x, [13, 13], [0.6 * strength])
    if kind == "noise":
        with seeded(2018):
            return v2.gaussian_noise(x, sigma=0.12 * strength)
    if kind == "contrast":
        return v2.adjust_contrast(x, 1 - 0.18 * strength)
    if strength <= 3:  # up to the brightest of the 3 x 3 neighbours, then of 5 x 5 and 7 x 7
        return x.lerp(F.max_pool2d(x, 3, 1, 1), strength / 3)
    return F.max_pool2d(x, 2 * strength - 3, 1, strength - 2)


SHIFTS = ("rotation", "translation", "blur", "noise", "contrast", "thickness")
STRENGTHS = range(1, 6)


@functools.lru_cache(maxsize=64)
def apply_shift(split: Split, kind: str, strength: int) -> Split:
    """A split of images, changed in one way of SHIFTS at a strength from 1 to 5, the same every time.

    rotation: 10 degrees a step; translation: a pixel a step each way; blur: sigma 0.6 pixels a step; noise: Gaussian, sigma
    0.12 a step; contrast: 0.18 less a step; thickness: the brightest neighbour, up to 3 pixels off.
    """
    return Split((_shift(split.x / 255, kind, strength).clamp(0, 1) * 255).round().byte(), split.y)


# What a method does: from (task, cell, options) to what it answers - a function from a split of images to the probability of
# each class, N x classes - and the number of parameters it trained.

Answer = Callable[[Split], Tensor]


def _network(model: nn.Module, task: Task, cell: Cell, steps: int, bend: float = 0.25) -> nn.Module:
    """Trained for `steps` steps or EPOCHS epochs, whichever takes longer. Images are bent with strength `bend`; 0: not."""
    augment = functools.partial(glyphs.augment, strength=bend) if bend else None
    if cell.task != "digits" or task.train.are_vectors:  # a bent table would be another table
        augment = None
    epochs = max(EPOCHS, math.ceil(steps / math.ceil(len(task.train) / BATCH)))
    unwatched = dataclasses.replace(task, val=task.val[:0])  # saves a look at the validation images after every epoch
    recipe = {"epochs": epochs, "lr": cell.lr, "batch_size": BATCH, "augment": augment, "seed": cell.seed}
    return fit(model, unwatched, **recipe, progress=False).model


def _answers(model: nn.Module) -> tuple[Answer, int]:
    return functools.partial(predict, model), count_parameters(model)[0]


def _raw(task: Task, cell: Cell, **options) -> tuple[Answer, int]:
    swapped = {name: value for name, value in options.items() if name != "images"}
    swapped |= {name: kind(swapped[name]) for name, kind in (("kernel", int), ("dropout", float)) if name in swapped}
    return _answers(_network(RawCNN(classes=len(task.classes), seed=cell.seed, **swapped), task, cell, steps=600))


def _body(name: str, classes: int = 0, pretrained: bool = True, seed: int = 0) -> nn.Module:
    """A backbone by its name, or a resnet10t by the name of its source."""
    if name not in pretraining.SOURCES:
        return backbone(name, classes=classes, pretrained=pretrained, seed=seed)
    model = pretraining.source(name)
    with seeded(seed):
        model.reset_classifier(classes)
    return model


def _whole(task: Task, cell: Cell, pretrained: bool, steps: int, bend: str = "0.25", **_) -> tuple[Answer, int]:
    model = _body(cell.backbone, len(task.classes), pretrained, cell.seed)
    return _answers(_network(model, task, cell, steps, float(bend)))


def _partly(task: Task, cell: Cell, kept: str, **_) -> tuple[Answer, int]:
    """The first `kept` blocks from the letters, the others from random weights; all are trained."""
    model = _body(cell.backbone, len(task.classes), pretrained=False, seed=cell.seed)
    parts, source = blocks(model), _body(cell.backbone, len(task.classes), seed=cell.seed)
    names = {name for part in parts[: int(kept)] for name in part}
    modules = {name.rpartition(".")[0] for name in names}  # the statistics of a batch norm go with its weights
    weights = {k: v for k, v in source.state_dict().items() if k.rpartition(".")[0] in modules}
    model.load_state_dict(weights, strict=False)
    return _answers(_network(model, task, cell, steps=200))


def _two_heads(task: Task, cell: Cell, partner: str, **_) -> tuple[Answer, int]:
    """The digits and a partner task learned at once from random weights, by one body with two heads."""
    if partner == "parity":
        parity = [Split(split.x, split.y % 2) for split in (task.train, task.val, task.test)]
        other = Task("parity", ("even", "odd"), *parity)
        steps, recipe = 200, {"batch_size": 2 * BATCH, "augment": BEND}  # as many looks at each digit as without a partner
    else:
        other = letters(size=28)
        if partner in pretraining.SOURCES:
            other = dataclasses.replace(other, train=Split(*pretraining.SOURCES[partner](other.train.x, other.train.y)))
        steps, recipe = 240, {"batch_size": 4 * BATCH, "augment": functools.partial(glyphs.augment, strength=0.5)}
    both = join_tasks(task, other)
    both = dataclasses.replace(both, val=both.val[:0])
    epochs = math.ceil(steps / math.ceil(len(both.train) / recipe["batch_size"]))
    body = _body(cell.backbone, pretrained=False, seed=cell.seed)
    model = Heads(body, [len(task.classes), len(other.classes)], cell.seed)
    model = fit(model, both, epochs=epochs, lr=cell.lr, seed=cell.seed, progress=False, **recipe).model

    def answer(split: Split) -> Tensor:
        shares = predict(model, split)[:, : len(task.classes)]
        return shares / shares.sum(1, keepdim=True)

    return answer, count_parameters(model)[0]


def _summed(task: Task, cell: Cell, partner: str = "parity", w: str = "1", steps: str = "600", **_) -> tuple[Answer, int]:
    """A small body with two heads that learns loss1 + w * loss2; what is asked is the cell's task, the first.

    partner: "letters", "letters with random names", "digits" (90 per class, where the task is the letters), "parity" or
    "coin toss", which are second labels of the same images; or "letters first": to learn those alone, then the task alone.
    """
    partner = {"other": "digits" if cell.task == "letters" else "letters"}.get(partner, partner)
    steps, options = int(steps), {"steps": int(steps), "seed": cell.seed}
    here = (task.train, task.train.y, two_heads.unlabelled(task.train))
    first = partner == "letters first"
    if partner in ("parity", "coin toss"):
        coins = torch.randint(2, task.train.y.shape, generator=torch.Generator().manual_seed(cell.seed))
        parts, classes = [(task.train, task.train.y, task.train.y % 2 if partner == "parity" else coins)], 2
    else:
        other = digits(90, cell.seed) if partner == "digits" else letters(size=28)
        seen = other.train
        if partner in pretraining.SOURCES:
            seen = Split(*pretraining.SOURCES[partner](seen.x, seen.y))
        there, classes = (seen, two_heads.unlabelled(seen), seen.y), len(other.classes)
        parts = [here] if first else [here, there]
    model = two_heads.TwoHeads(two_heads.SmallBody(cell.seed), len(task.classes), classes, cell.seed)
    if first:
        two_heads.learn(model, two_heads.batches(there, **options), 1.0, steps, 3e-3, cell.seed)
    two_heads.learn(model, two_heads.batches(*parts, **options), float(w), steps, cell.lr, cell.seed)

    def answer(split: Split) -> Tensor:
        with torch.no_grad():
            return model(two_heads.images_of(split))[0].softmax(1) if len(split) else torch.empty(0, len(task.classes))

    return answer, count_parameters(model)[0]


@functools.lru_cache(maxsize=4)
def _frozen(name: str, pretrained: bool, seed: int) -> nn.Module:
    return freeze(_body(name, pretrained=pretrained, seed=seed))


def _vectors(body: nn.Module, split: Split, views: int = 1, seed: int = 0) -> Split:
    task = Task("", range(int(split.y.max()) + 1 if len(split) else 1), split, split[:0], split[:0])
    return features(body, task, views=views, augment=BEND, seed=seed).train


# What a frozen backbone makes of a split, once for all cells that ask: a few of training images, many of others.
_varied = functools.lru_cache(maxsize=2)(_vectors)
_held = functools.lru_cache(maxsize=128)(_vectors)


def _linear(task: Task, cell: Cell, body: nn.Module) -> nn.Module:
    views = 5 if cell.task == "digits" else 1
    none = _held(body, task.val[:0])
    vectors = dataclasses.replace(task, train=_varied(body, task.train, views, cell.seed), val=none, test=none)
    return _network(head(body, task, seed=cell.seed), vectors, cell, steps=300)


def _probe(task: Task, cell: Cell, pretrained: bool = True, **_) -> tuple[Answer, int]:
    body = _frozen(cell.backbone, pretrained, 0 if pretrained else cell.seed)
    model = _linear(task, cell, body)
    return lambda split: predict(model, _held(body, split)), count_parameters(model)[0]


def watch(body: nn.Module, images: Tensor, batch: int | None = None) -> nn.Module:
    """Let the batch norms of an untrained network learn the mean and spread of what passes through them; no weight changes.

    Args:
        body: is changed, and returned, in evaluation mode.
        images: as it takes them (normalised), N x C x H x W.
        batch: how many at a time; None for all at once.
    """
    for layer in body.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain mean of all that it has seen
    with torch.no_grad():
        for part in images.split(batch or len(images)):
            body.train()(part)
    return body.eval()


@functools.lru_cache(maxsize=4)
def _watched(name: str, seed: int, shots: int = 0) -> nn.Module:
    """A frozen backbone with random weights, whose batch norms know the mean and spread of what passes through them.

    They have watched, without labels, a quarter of the letters, bent as in pretraining; or with `shots` the training digits
    of that draw, bent as in training. An untrained network whose norms have seen nothing makes features that are far too
    small, and would lose for that reason alone.
    """
    body, generator = backbone(name, pretrained=False, seed=seed), torch.Generator().manual_seed(seed)
    wanted = input_of(body)
    images = (digits(shots, seed) if shots else letters()).train
    images = Split(images.x.repeat(5, 1, 1, 1), images.y.repeat(5))[:500] if shots else images[::4]
    bent = (BEND if shots else glyphs.augment)(in_floats(prepare(images, wanted)), generator)
    return freeze(watch(body, wanted.normalise(bent)))


_unlabelled = functools.lru_cache(maxsize=2)(without_labels.pretrained)
_three_blocks = functools.lru_cache(maxsize=2)(without_labels.three_blocks)


def _fair_probe(
    task: Task, cell: Cell, weights: str = "random", watch: str = "letters", blocks: str = "", **_
) -> tuple[Answer, int]:
    """A probe on features that are centred and brought to one spread by the training images, whatever their size.

    blocks: "3" for the features of the first three blocks, which is all that a backbone without labels has.
    """
    if blocks not in ("", "3"):
        raise ValueError(f"A probe stands at the top, or with blocks=3 on the first three blocks; not with blocks={blocks}.")
    if cell.backbone in without_labels.PRETRAININGS:
        body = _unlabelled(cell.backbone)
    elif weights == "random":
        body = _watched(cell.backbone, cell.seed, cell.shots if watch == "digits" else 0)
    else:
        body = _frozen(cell.backbone, True, 0)
    body = _three_blocks(body) if blocks else body
    seen = _varied(body, task.train, 5 if cell.task == "digits" else 1, cell.seed)
    middle = seen.x.mean(0)
    spread = (seen.x - middle).std()
    centred = lambda split: Split((split.x - middle) / spread, split.y)
    vectors = dataclasses.replace(task, train=centred(seen), val=seen[:0], test=seen[:0])
    model = _network(head(body, task, seed=cell.seed), vectors, cell, steps=300)
    return lambda split: predict(model, centred(_held(body, split))), count_parameters(model)[0]


def _probe_then_whole(task: Task, cell: Cell, **_) -> tuple[Answer, int]:
    """The probe at a learning rate that suits it, then all of it at the cell's own."""
    probe = _linear(task, dataclasses.replace(cell, lr=3e-3), _frozen(cell.backbone, True, 0))
    return _answers(_network(unfreeze(probe), task, cell, steps=100))


def estimator(cell: Cell):
    """That of scikit-learn which a method names before " on "."""
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestCentroid

    known = {
        "chance": DummyClassifier(strategy="uniform", random_state=cell.seed),
        "nearest centroid": NearestCentroid(),
        "logistic regression": LogisticRegression(max_iter=2000),
        "random forest": RandomForestClassifier(300, random_state=cell.seed),
    }
    return known[cell.method.split(" on ")[0]]


def _classic(task: Task, cell: Cell, **_) -> tuple[Answer, int]:
    """An estimator of scikit-learn, on features of the cell's backbone or else on pixels."""
    body = _frozen(cell.backbone, True, 0) if cell.backbone else None
    taken = (lambda split: _held(body, split).numpy()) if body else Split.numpy
    with warnings.catch_warnings(action="ignore"):  # about pixels that are the same in all images of a class
        model = estimator(cell).fit(*taken(task.train))
    if cell.method.startswith("nearest centroid"):  # it has no probabilities where there is one image per class
        return lambda split: F.one_hot(torch.from_numpy(model.predict(taken(split)[0])), len(task.classes)).double(), 0
    return lambda split: torch.from_numpy(model.predict_proba(taken(split)[0])), 0


@dataclasses.dataclass(frozen=True)
class Method:
    """How a method runs, the learning rates among which it chooses, and whether it stands on a backbone."""

    run: Callable[..., tuple[Answer, int]]
    rates: Sequence[float] = (math.nan,)
    on_backbone: bool = False


HIGH, LOW, WIDE = (1e-3, 3e-3, 1e-2), (3e-4, 1e-3, 3e-3), (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
METHODS = {
    "chance": Method(_classic),
    "nearest centroid on pixels": Method(_classic),
    "logistic regression on pixels": Method(_classic),
    "random forest on pixels": Method(_classic),
    "raw CNN from scratch": Method(_raw, HIGH),
    "same backbone from scratch": Method(functools.partial(_whole, pretrained=False, steps=200), HIGH, True),
    "linear probe on random features": Method(functools.partial(_probe, pretrained=False), HIGH, True),
    "nearest centroid on letters features": Method(_classic, on_backbone=True),
    "linear probe on letters features": Method(_probe, HIGH, True),
    "fine-tuned letters backbone": Method(functools.partial(_whole, pretrained=True, steps=100), LOW, True),
    "fine-tuned after a probe": Method(_probe_then_whole, LOW, True),
    "some blocks from the letters": Method(_partly, HIGH, True),
    "two heads": Method(_two_heads, HIGH, True),
    "two heads, summed loss": Method(_summed, WIDE[:4]),
    "linear probe on centred features": Method(_fair_probe, WIDE, True),
}
SCRATCH, PROBE, TUNED = "same backbone from scratch", "linear probe on letters features", "fine-tuned letters backbone"
MAIN = tuple(METHODS)[:11]  # of the main grid; the others answer questions of their own
