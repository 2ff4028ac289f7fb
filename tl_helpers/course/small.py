"""One backbone, many tasks, and small networks: the pieces that lesson 14 puts together, and its stored grid.

`python -m tl_helpers results small_and_cheap` runs or continues the grid: norms only, biases only (digits) and low-rank
adapters against a probe and fine-tuning; a raw CNN that learns from a fine-tuned teacher; both in 8 bits. Its seconds are
those of the processor, in one thread, so that other programs on the machine do not count.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..data import Split, Task, digits, draw, in_floats
from ..device import seeded
from ..engine.parts import at_rest
from ..images import prepare
from ..models import RawCNN, backbone, count_parameters, freeze, head, input_of
from ..runs import Diverged
from ..saving import export
from ..training import predict
from . import experiments, methods, photographs
from .methods import BEND, PROBE, RESNET, TUNED, Cell
from .photographs import LITE0

NORMS, BIASES, LOW_RANK, DISTILLED = "norms only", "biases only", "low-rank adapters", "distilled raw CNN"
SOLAR = "solar-cells"
SHOTS, RANK = (5, 20), 4
STUDENTS, SOFT, HARD, LABELLED = (1, 5, 20), "T=4", "hard", "T=4,images=labelled"
RATES = {NORMS: (3e-3, 3e-2), BIASES: (3e-3, 3e-2), LOW_RANK: (1e-3, 1e-2), DISTILLED: (1e-3, 1e-2)}  # the ends
SEEDS, SEARCH = photographs.SEEDS, range(2)
SOLAR_SEEDS = SEEDS[:3]  # half a minute of a core each
STEPS = 600  # of a student, as many as the raw CNN learns from labels alone
WHOLE, EIGHT = "float32", "int8"
NORM = nn.modules.batchnorm._BatchNorm


# What of a network learns. Each changes the model, whose batch norms keep their statistics, and returns it.


def only_norms(model: nn.Module) -> nn.Module:
    """Let the head learn, and the scale and shift of each batch norm."""
    for module in freeze(model).modules():
        if isinstance(module, NORM):
            module.requires_grad_(True)
    return model


def only_biases(model: nn.Module) -> nn.Module:
    """Let the head learn, and all numbers that are added and not multiplied.

    Source: Ben Zaken, Goldberg and Ravfogel, BitFit, 2022, https://arxiv.org/abs/2106.10199.
    """
    for name, weights in freeze(model).named_parameters():
        weights.requires_grad_(weights.requires_grad or name.endswith("bias"))
    return model


class LowRank(nn.Module):
    """What is used in place of a weight W (rows x columns, or rows x the rest): W + B A; B begins as zeros.

    Source: Hu and others, LoRA, 2021, https://arxiv.org/abs/2106.09685; without its factor alpha / rank, which a learning
    rate chosen for each rank makes up for.
    """

    def __init__(self, weight: Tensor, rank: int):
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        self.B = nn.Parameter(torch.zeros(rows, rank))
        self.A = nn.Parameter(torch.randn(rank, columns) / columns**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.B @ self.A).view_as(weight)


def low_rank(model: nn.Module, rank: int = RANK, seed: int = 0) -> nn.Module:
    """Let the head learn, and a low-rank adapter beside each convolution that mixes channels (groups of 1)."""
    with seeded(seed):
        for module in [*freeze(model).modules()]:
            if isinstance(module, nn.Conv2d) and module.groups == 1:
                parametrize.register_parametrization(module, "weight", LowRank(module.weight, rank))
    return model


def merged(model: nn.Module) -> nn.Module:
    """A copy with W + B A written in the place of W: as large and as fast as before, and nothing of the adapters left."""
    model, made = copy.deepcopy(model), {}
    for name, module in [*model.named_modules(remove_duplicate=False)]:
        if parametrize.is_parametrized(module):  # remove_parametrizations would spoil the original: both are of one class
            kind, weight = type(module).__bases__[0], module.weight.detach().clone()
            layer = made.setdefault(id(module), kind.__new__(kind))  # the layer as it was before its weight had an adapter
            layer.__dict__.update({key: part for key, part in module.__dict__.items() if key != "_modules"})
            layer._modules = {key: part for key, part in module._modules.items() if key != "parametrizations"}
            layer.weight = nn.Parameter(weight, module.parametrizations.weight.original.requires_grad)
            model.set_submodule(name, layer)
    return model


def to_keep(model: nn.Module) -> int:
    """The bytes that must be kept of a trained model, beside the backbone that it came from: 4 for each number that changed.

    Those are what learned, and the statistics of batch norms that did not rest.
    """
    moved = (m for m in model.modules() if isinstance(m, NORM) and not at_rest(m))
    return 4 * (count_parameters(model)[0] + sum(2 * norm.num_features for norm in moved))


@functools.lru_cache
def statistics(name: str) -> int:
    """The running means and variances of an architecture's batch norms: how many numbers."""
    return sum(2 * m.num_features for m in backbone(name, pretrained=False).modules() if isinstance(m, NORM))


# A small network that learns from what a large one says.


def log_answers(teacher: nn.Module, split: Split) -> Tensor:
    """The logarithm of a teacher's probabilities, N x classes: its logits, but for a constant in each row."""
    return predict(teacher, split).clamp_min(1e-30).log()


def looks(images: Split, answers: Tensor, steps: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Random batches of 32 images as the raw CNN takes them, bent a little, and what the teacher says of them.

    Args:
        answers: from `log_answers`.
    """
    wanted, generator = input_of(RawCNN()), torch.Generator().manual_seed(seed)
    pixels = in_floats(images.x)
    for _ in range(steps):
        drawn = torch.randint(len(pixels), (methods.BATCH,), generator=generator)
        yield wanted.normalise(BEND(pixels[drawn], generator)), answers[drawn]


def distil(student: nn.Module, stream: Iterator, steps: int, temperature: float = 4.0, lr: float = 3e-3, seed: int = 0):
    """Train a student to say what a teacher says; labels play no part. Changes it, and returns it.

    Args:
        stream: from `looks`, with so many steps.
        temperature: above 1 it makes both softer, so that what the teacher holds for second best counts too.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, https://arxiv.org/abs/1503.02531.
    """
    optimizer = torch.optim.AdamW(student.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    student.train()
    with seeded(seed):  # dropout
        for x, answers in stream:
            soft = (answers / temperature).softmax(1)
            said = (student(x) / temperature).log_softmax(1)
            loss = F.kl_div(said, soft, reduction="batchmean") * temperature**2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return student.eval()


# Numbers of 8 bits.


def pixels_for(model: nn.Module, split: Split) -> np.ndarray:
    """A split as the file that `export` writes takes it: float32, N x C x H x W, from 0 to 1."""
    return in_floats(prepare(split, input_of(model))).numpy()


def in_int8(path: Path, pixels: np.ndarray, to: Path) -> Path:
    """Write an exported model anew with weights and activations of 8 bits (static quantisation by onnxruntime).

    Args:
        path: from `export`.
        pixels: some images as the file takes them, on which the range of each activation is found.
        to: where to write.

    Raises:
        ValueError: the packages onnx and onnxruntime are missing.
    """
    try:
        import onnx
        from onnxruntime import quantization as q
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        words = "is missing here; for 8 bits, run `uv sync`, or `pip install onnx onnxscript onnxruntime`."
        raise ValueError(f"{error.name} {words}") from error

    class Images(q.CalibrationDataReader):
        batches = iter([{"pixels": part} for part in np.array_split(pixels, math.ceil(len(pixels) / 8))])

        def get_next(self) -> dict | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(path, ready, skip_symbolic_shape=True)
        whole = [node.name for node in onnx.load(ready).graph.node if "Softmax" in node.op_type]  # its shares are small
        kinds = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
        q.quantize_static(ready, to, Images(), per_channel=True, nodes_to_exclude=whole, **kinds)
    return to


class Session:
    """An exported model, run by onnxruntime in one thread."""

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.run = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run

    def __call__(self, model: nn.Module, split: Split) -> Tensor:
        """The probabilities of a split, float32, N x classes; `model` is the one that was exported."""
        parts = (pixels_for(model, split[start : start + 32]) for start in range(0, len(split), 32))
        return torch.from_numpy(np.concatenate([self.run(None, {"pixels": part})[0] for part in parts]))

    def milliseconds(self, pixels: np.ndarray, looks: int = 5) -> float:
        """What one image takes of the processor's time: the least of several looks at ten images, one by one."""
        found = []
        for _ in range(looks):
            start = time.thread_time()
            for i in range(10):
                self.run(None, {"pixels": pixels[i % len(pixels)][None]})
            found.append((time.thread_time() - start) * 100)
        return min(found)


# The grid.


@functools.lru_cache
def stored_rate(method: str, task: str, shots: int) -> float:
    """The learning rate that another grid chose for fine-tuning or a probe."""
    rows = experiments.load("digits") if task == "digits" else photographs.load()
    body = RESNET if task == "digits" else LITE0
    found = experiments.select(rows, stage="result", method=method, task=task, shots=shots, backbone=body, variant="")
    return float(found.lr.iloc[0])


@functools.lru_cache(maxsize=12)
def teacher(shots: int, seed: int) -> nn.Module:
    """The letters backbone fine-tuned as in the grid "digits"."""
    cell = Cell(TUNED, RESNET, shots, stored_rate(TUNED, "digits", shots), seed)
    return methods._network(backbone(RESNET, classes=10, seed=seed), digits(shots, seed), cell, steps=100)


@functools.lru_cache(maxsize=64)
def _says(shots: int, seed: int) -> Tensor:
    return log_answers(teacher(shots, seed), digits("all").train)


def _student(cell: Cell) -> nn.Module:
    pool, options = digits("all").train, {} if cell.variant == HARD else cell.options
    answers = _says(cell.shots, cell.seed)
    if options.get("images") == "labelled":
        pool = digits(cell.shots, cell.seed).train
        answers = log_answers(teacher(cell.shots, cell.seed), pool)
    if cell.variant == HARD:  # the likeliest class, and nothing else
        answers = (F.one_hot(answers.argmax(1), 10) - 1) * 1e4
    stream, temperature = looks(pool, answers, STEPS, cell.seed), float(options.get("T", 1))
    return distil(RawCNN(seed=cell.seed), stream, STEPS, temperature, cell.lr, cell.seed)


ADAPTED: dict[str, Callable[[nn.Module, Cell], nn.Module]] = {
    NORMS: lambda model, cell: only_norms(model),
    BIASES: lambda model, cell: only_biases(model),
    LOW_RANK: lambda model, cell: low_rank(model, int(cell.options["rank"]), cell.seed),
}


def _learned(cell: Cell) -> tuple[nn.Module, Task]:
    """The trained network, and the task in the form that it answers."""
    if cell.task == SOLAR:
        if cell.method not in ADAPTED:
            return photographs._learn(cell)
        task = photographs.squares(cell.task, photographs.SIDE, photographs.pool(cell))
        body = photographs.at_size(backbone(LITE0), photographs.SIDE)
        model = ADAPTED[cell.method](head(body, task, seed=cell.seed), cell)
        return photographs._trained(model, dataclasses.replace(cell, variant="")), task  # there a variant is a recipe
    task = digits(cell.shots, cell.seed)
    if cell.method == TUNED:
        return teacher(cell.shots, cell.seed), task
    if cell.method == DISTILLED:
        return _student(cell), task
    body = methods._frozen(RESNET, True, 0)
    if cell.method == PROBE:
        return methods._linear(task, cell, body), task
    return methods._network(ADAPTED[cell.method](head(body, task, seed=cell.seed), cell), task, cell, steps=100), task


@functools.lru_cache(maxsize=5)
def _exported(cell: Cell) -> tuple[nn.Module, Task, bytes]:
    """A trained network, a task of images, and the network as a file."""
    model, task = _learned(cell)
    if task.train.are_vectors:  # solar cells in the size that the backbone asks for
        task = photographs.whole_task(cell.task, photographs.pool(cell))
        task = dataclasses.replace(task, train=draw(task.train, cell.shots, cell.seed))
    with tempfile.TemporaryDirectory() as folder:
        export(model, path := Path(folder) / "model.onnx", task)
        return model, task, path.read_bytes()


def _in_bits(cell: Cell, precision: str) -> tuple[dict[str, Tensor], dict]:
    """The answers of an exported network on validation and test images, and what else is known of it."""
    variant = ",".join(pair for pair in cell.variant.split(",") if "precision" not in pair)
    model, task, content = _exported(dataclasses.replace(cell, variant=variant))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        if precision == EIGHT:
            path = in_int8(path, pixels_for(model, task.train[:100]), Path(folder) / "int8.onnx")
        session = Session(path)
        answers = {part: session(model, getattr(task, part)) for part in ("val", "test")}
        milliseconds = session.milliseconds(pixels_for(model, task.test[:10]))
        facts = {"trainable": count_parameters(model)[0], "bytes": path.stat().st_size, "milliseconds": milliseconds}
    return answers, facts | {"seconds": math.nan}


def measure(cell: Cell) -> dict:
    """Run one cell: its row. val and test are accuracies; right has a bit for each test image, images their number.

    In a search the test images are not looked at. bytes is what has to be kept for the task, of a network in a file
    (precision) the file; milliseconds what such a file takes for an image; seconds what the training took of the
    processor, features and teacher included where they were not at hand.
    """
    task = digits() if cell.task == "digits" else photographs.whole_task(cell.task)
    parts = ("val", "test") if cell.stage == "result" else ("val",)
    start = time.process_time()
    try:
        if precision := cell.options.get("precision"):
            answers, found = _in_bits(cell, precision)
        else:
            model, form = _learned(cell)
            found = {"trainable": count_parameters(model)[0], "bytes": to_keep(model), "milliseconds": math.nan}
            found["seconds"] = round(time.process_time() - start, 2)
            answers = {part: predict(model, getattr(form, part)) for part in parts}
    except Diverged:  # a result too: such a network answers with one class
        answers = {part: torch.eye(len(task.classes))[:1] for part in parts}
        found = {"trainable": 0, "bytes": 0, "milliseconds": math.nan, "seconds": math.nan}
    right = {part: (p.argmax(1) == getattr(task, part).y).numpy() for part, p in answers.items()}
    row = dataclasses.asdict(cell) | {
        part: float(right[part].mean()) if part in right else math.nan for part in ("val", "test")
    }
    bits = experiments.as_text(right["test"]) if "test" in right else ""
    return row | found | {"images": len(task.test), "right": bits}


def _plan() -> Iterator[Cell]:
    """What is asked, in this order: cells without learning rate and seed."""
    none = (math.nan, 0)
    for shots in SHOTS:
        for method in (PROBE, TUNED, NORMS, LOW_RANK, BIASES):
            if method != BIASES or shots == 5:
                yield Cell(method, RESNET, shots, *none, variant=f"rank={RANK}" if method == LOW_RANK else "")
    for shots in STUDENTS:
        for variant in (SOFT, HARD, LABELLED, "T=1") if shots == 5 else (SOFT,):
            yield Cell(DISTILLED, RESNET, shots, *none, variant=variant)
    for method, variant in ((TUNED, ""), (DISTILLED, f"{SOFT},")):
        for precision in (WHOLE, EIGHT):
            yield Cell(method, RESNET, 5, *none, variant=f"{variant}precision={precision}")
    for precision in (WHOLE, EIGHT):
        yield Cell(photographs.PROBE, LITE0, 100, *none, SOLAR, f"precision={precision}")
    for method in (NORMS, LOW_RANK):
        yield Cell(method, LITE0, 100, *none, SOLAR, f"rank={RANK}" if method == LOW_RANK else "")


def question(cell: Cell) -> Cell:
    """Where the learning rate of a cell is searched: on digits at five labels per class, of adapters at rank 4, of students
    at temperature 4."""
    variant = {LOW_RANK: f"rank={RANK}", DISTILLED: SOFT}.get(cell.method, "")
    return dataclasses.replace(cell, stage="search", variant=variant, shots=5 if cell.task == "digits" else cell.shots)


def cells(rows: pd.DataFrame | None = None) -> Iterator[Cell]:
    """The cells of the grid, in order, as far as they are known: results wait for the search of their learning rate.

    Fine-tuning and probes have those of the grids "digits" and "photographs". A rate that wins at an edge of those tried
    brings in the next one beyond. Cells of a search may come again.
    """
    found = photographs.validation(rows)
    for cell in dict.fromkeys(_plan()):
        if cell.method in RATES:
            seeds = SEARCH if cell.task == "digits" else range(1)
            best, tried = photographs._search(question(cell), seeds, found, RATES[cell.method])
            yield from tried
            if math.isnan(best):
                continue
        else:
            best = stored_rate(cell.method, cell.task, cell.shots)
        seeds = SEEDS if cell.task == "digits" else SOLAR_SEEDS
        yield from (dataclasses.replace(cell, lr=best, seed=seed) for seed in seeds)


PATH = experiments.RESULTS / "small_and_cheap.csv"


def load() -> pd.DataFrame:
    """The stored rows, searches too.

    Raises:
        ValueError: there are none.
    """
    words = "There are no results of lesson 14 here: run `python -m tl_helpers results small_and_cheap`."
    return experiments.read(PATH, words, experiments.CELL, ("lr", "test", "milliseconds", "seconds"))


def run() -> pd.DataFrame:
    """Run or continue the grid in this process, in one thread, and return all rows.

    Raises:
        ConnectionError: the solar cells are not on this machine and cannot be fetched.
        ValueError: the packages that export a model are missing.
    """
    torch.set_num_threads(1)
    backbone(RESNET)  # what is imported late would count for the first cell
    waiting = lambda rows: experiments.left(cells(rows), rows)
    return experiments.continued(PATH, load, waiting, lambda cell: [measure(cell)])


def rows(method: str, task: str = "digits", shots: int | None = None, variant: str = "") -> pd.DataFrame:
    """The results of one question of the grid.

    Raises:
        ValueError: there are none.
    """
    frame = experiments.select(load(), stage="result", method=method, task=task, variant=variant)
    frame = frame if shots is None else frame[frame.shots == shots]
    if frame.empty:
        raise ValueError(f"The grid of lesson 14 has no results of {method!r} on {task} with {shots} labels, {variant!r}.")
    return frame
