"""How it learns: `fit` and its training loop, written to be read; `evaluate` and `predict`. Lesson 03 opens this file.

The loop, `one_epoch`, does what every PyTorch tutorial does: take a batch, compute the loss, go backward, take a step.
Around it stand a learning-rate schedule, early stopping, and honest bookkeeping.
"""

from __future__ import annotations

import copy
import functools
import math
import os
import time
from collections.abc import Callable, Iterable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Files, Split, Task
from .device import autocast, layout, precision, seeded
from .device import device as find_device
from .engine.arguments import SCHEDULES, Settings, shape
from .engine.checkpoint import Checkpoint
from .engine.distributed import Distributed
from .engine.loading import Batches, load
from .engine.memory import MicroBatches, predict_logits, to_device
from .engine.parts import Facts, answering, check_logits, check_outputs, classifier, no_nan
from .engine.progress import Progress
from .engine.validate import as_path, check_choice, check_kind
from .models import count_parameters, parameter_groups
from .results import Evaluation
from .runs import Diverged, Run

COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds")  # of the history


def fit(
    model: nn.Module,
    task: Task,
    *,
    epochs: int = 30,
    lr: float | None = None,
    batch_size: int = 32,
    schedule: str = "cosine",
    weight_decay: float = 0.01,
    layer_decay: float | None = None,
    label_smoothing: float = 0.0,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> Run:
    """Train a copy of a model on a task. The model that you pass stays as it is; `run.model` is the trained one.

    On a task of images the whole model runs; on a task of vectors (see `features`) only its head does. Weights that do not
    require a gradient stay as they are.

    A script started by `torchrun --nproc_per_node N script.py` trains in N processes (on N GPUs, where there are), on
    any number of machines: each takes its share of every batch, and every process returns the same run. Where the memory
    of a single process does not hold a batch, the gradients of parts of it are added up.

    Args:
        model: takes images (float32, N x C x H x W) and returns logits or log-probabilities (N x classes).
        task: what to learn; resized and normalised as the model wants it.
        epochs: passes over the training data.
        lr: highest learning rate of the AdamW optimizer; 1e-3 unless told, 1e-2 on vectors.
        batch_size: the most images in one step; an epoch is cut into equal batches.
        schedule: "cosine" warms up over a tenth of the steps and then falls to zero; "constant".
        weight_decay: AdamW's, on weights only (not on biases and norms).
        layer_decay: None, or below 1 for smaller learning rates towards the input (discriminative learning rates).
        label_smoothing: share of each label that is spread over all classes.
        augment: changes each training batch (float32, N x C x H x W, in [0, 1]), for example `tl.glyphs.augment`.
        patience: None to train all epochs; a number to stop when so many epochs in a row brought no better validation
            accuracy. The weights of the best epoch are then restored.
        seed: of the order of the data, dropout and augmentation. The same seed, CPU and number of threads: the same weights.
        device: None for the best one here, or "cpu", "cuda", "mps".
        checkpoint: a file to save each finished epoch to, and to go on from if it exists: to the same weights, on a CPU bit
            for bit, as if nothing had stopped the training. That of another training is refused; what `augment` reads from
            lists and dicts is not compared.
        progress: show a bar. The stop button or Ctrl-C keeps the finished epochs and returns them.

    Raises:
        ValueError: an argument does not fit; the message says which and what to do.
        Diverged: the loss is infinite or NaN; `.run` of it holds the finished epochs.
        ConnectionError: of several processes another one has ended.
    """
    check_kind("fit", model, nn.Module, "a model first; of a run take run.model")
    check_kind("fit", task, Task, "a task second, as tl.digits() gives one")
    check_choice("progress", progress, (True, False))
    checkpoint = None if checkpoint is None else as_path(checkpoint)
    lr = (1e-2 if task.train.are_vectors else 1e-3) if lr is None else lr
    how = Settings(epochs, lr, batch_size, schedule, weight_decay, layer_decay, label_smoothing, augment, patience, seed)
    how.check(task)
    processes, device = Distributed(), find_device(device)
    recipe = how.recipe(model, task, device) if checkpoint else {}
    model = copy.deepcopy(model).to(device, memory_format=layout(device))
    model.facts = Facts(task.classes)  # a temperature or threshold was that of the old weights
    forward = classifier(model) if task.train.are_vectors else model  # what runs: all of the model, or its head
    data, val = Batches(model, task.train, how, device, processes), load(model, task.val, device)
    _check_model(forward, *data.first(2), task)

    net, memory = processes.wrap(forward), MicroBatches(forward, processes.size)
    groups, steps = parameter_groups(model, how.lr, how.weight_decay, how.layer_decay), epochs * len(data)
    share_of_lr = functools.partial(SCHEDULES[schedule], steps=steps)
    criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    optimizer = torch.optim.AdamW(groups, fused=device.type in ("cpu", "cuda"))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_lr)
    scaler = torch.amp.GradScaler(device.type, enabled=precision(device) is torch.float16)

    run = Run(model, pd.DataFrame(), _name(model, forward))
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    store = Checkpoint(checkpoint, recipe, state, data.generators, processes)
    with seeded(seed + processes.rank), processes.together(checkpoint), store:
        rows, kept = store.resume() or ([], copy.deepcopy(forward.state_dict()))
        bar = Progress(steps, len(rows) * len(data), progress and not processes.rank)
        start = time.perf_counter() - (rows[-1]["seconds"] if rows else 0)
        try:
            for epoch in range(len(rows) + 1, epochs + 1):
                if patience is not None and rows and len(rows) - _best(rows)["epoch"] >= patience:
                    run.stopped = f"stopped early: no better validation accuracy in {patience} epochs"
                    break
                sums = one_epoch(net, data, criterion, optimizer, scheduler, scaler, memory, bar)
                loss, accuracy = (value / len(task.train) for value in processes.sum(sums).tolist())
                checked = _evaluate(forward, *val, processes)
                after = checked if checked.n else _evaluate(forward, *data.first(2))
                _check_finite(epoch, how.lr, loss, after.loss)  # the last step may have exploded
                rate, seconds = scheduler.base_lrs[-1] * share_of_lr(epoch * len(data) - 1), time.perf_counter() - start
                rows.append(dict(zip(COLUMNS, (epoch, loss, accuracy, checked.loss, checked.accuracy, rate, seconds))))
                if patience is None or _best(rows) is rows[-1]:
                    kept = copy.deepcopy(forward.state_dict())
                store.save(rows, kept)
                bar.set_postfix_str(f"epoch {epoch}: loss {loss:.3f}, validation accuracy {checked.accuracy:.3f}")
        except KeyboardInterrupt:
            run.stopped = f"stopped by hand after {len(rows)} epochs"
        except Diverged as error:
            run.stopped, error.run = "diverged", run
            raise
        finally:
            forward.load_state_dict(kept)
            model.eval()
            run.history, run.kept = pd.DataFrame(rows), _best(rows)["epoch"] if rows and patience is not None else None
            bar.end(repr(run))
    return run


def one_epoch(net, data, criterion, optimizer, scheduler, scaler, memory, bar) -> Tensor:
    """Each batch forward, backward, and a step. Returns the sum of the losses, and of right answers."""
    net.train()
    seen = []  # the loss of each batch, and which answers are right; added up once, at the end
    for micro_batches in memory.of(data):  # a list of one, the whole batch, unless the memory is short
        optimizer.zero_grad()
        parts = []
        try:
            for images, labels, share in micro_batches:
                with autocast(images.device):  # numbers of 16 bits on a GPU
                    logits = net(images)
                    loss = criterion(logits, labels)
                scaler.scale(loss * share).backward()
                parts.append((loss.detach(), logits.argmax(1) == labels))
        except (RuntimeError, ValueError) as error:
            memory.halve(error)  # raises it, unless the memory was short: then again, in parts
            continue
        scaler.step(optimizer)  # optimizer.step(), unless the numbers are float16
        scaler.update()
        scheduler.step()
        seen += parts
        bar.update()
    losses = sum(loss * len(right) for loss, right in seen)
    return torch.stack([losses, torch.cat([right for _, right in seen]).sum()])


def evaluate(model: nn.Module, split: Split, device: str | None = None) -> Evaluation:
    """Accuracy and loss of a model on a split of images, or of its head on a split of vectors."""
    check_kind("evaluate", model, nn.Module, "a model; of a run take run.model")
    check_kind("evaluate", split, Split, "a split, as task.test is one")
    check_outputs(model, split)
    device = find_device(device)
    model = to_device(model, device)
    found = _evaluate(answering(model, split.are_vectors), *load(model, split, device))
    no_nan(torch.tensor(found.loss if found.n else 0.0))
    return found


def predict(
    model: nn.Module, images: Split | str | os.PathLike | Iterable[str | os.PathLike], device: str | None = None
) -> Tensor:
    """The probability that a model gives each class: float32, N x classes, on the CPU; each row adds up to 1.

    Args:
        images: a split, or the path of a photograph, or a list of such paths.

    Raises:
        ValueError: there is no such photograph, or it cannot be read.
    """
    check_kind("predict", model, nn.Module, "a model; of a run take run.model")
    if not isinstance(images, Split):
        files = Files(images)
        images = Split(files, torch.zeros(len(files), dtype=torch.int64))
    return no_nan(scores(model, images, device).softmax(1))


def scores(model: nn.Module, images: Split, device: str | None = None) -> Tensor:
    """What a model answers before softmax: float32, N x classes, on the CPU."""
    device = find_device(device)
    model = to_device(model, device)
    x, _, normalise = load(model, images, device, judged=False)
    return _logits(answering(model, images.are_vectors), x, normalise).cpu()


def _evaluate(
    forward: nn.Module, x: Tensor, y: Tensor, normalise: Callable, processes: Distributed | None = None
) -> Evaluation:
    if not len(y):
        return Evaluation(math.nan, math.nan, 0)
    look = lambda x: _logits(forward, x, normalise)
    logits = processes.join(look, x) if processes else look(x)
    y = y.to(logits.device)
    if y.max() >= logits.shape[1]:
        raise ValueError(f"The model tells {logits.shape[1]} classes apart, and a label here is {y.max()} (counted from 0).")
    accuracy = (logits.argmax(1) == y).sum().item() / len(y)
    return Evaluation(accuracy, F.cross_entropy(logits, y).item(), len(y))


def _logits(forward: nn.Module, x: Tensor, normalise: Callable, what: str = "these examples") -> Tensor:
    """What a model, or its head, answers: float32, N x classes. What it cannot take is said in words."""
    try:
        answer = predict_logits(forward, lambda part: forward(normalise(part)), x)
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        raise ValueError(f"The model cannot take {what}, of {shape(x[0])} each: {error}") from error
    return check_logits(answer)


def _check_model(forward: nn.Module, x: Tensor, y: Tensor, normalise: Callable, task: Task) -> None:
    """Try the model on two examples, so that what does not fit is said before any training."""
    answer = _logits(forward, x, normalise, repr(task.name))
    if answer.shape[1] != len(task.classes):
        raise ValueError(
            f"The model answers with {answer.shape[1]} numbers for each image, but {task.name!r} has {len(task.classes)} "
            "classes: give it a head that fits, with tl.head(model, task) or backbone(name, classes=...)."
        )
    if not any(p.requires_grad for p in forward.parameters()):
        raise ValueError("Nothing that runs here can learn: it has no weights, or all of them are frozen (see tl.unfreeze).")


def _check_finite(epoch: int, lr: float, *losses: float) -> None:
    for loss in losses:
        if not math.isfinite(loss):
            raise Diverged(
                f"The loss is {loss} after epoch {epoch}: training has diverged. Try a learning rate below {lr:g}, "
                f"{lr / 10:g} say, and look for NaN in the data."
            )


def _best(rows: list[dict]) -> dict:
    """The epoch with the highest validation accuracy, and among equals the lowest validation loss."""
    return max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))


def _name(model: nn.Module, forward: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", {})
    return f"{config.get('architecture', type(model).__name__)}, {count_parameters(forward)[0]:,} trainable parameters"
