"""How it learns: `fit`, the training loop, written to be read; and `evaluate`.

The loop does what every PyTorch tutorial does: take a batch, compute the loss, go backward, take a step. Around it stand a
learning-rate schedule, early stopping, and honest bookkeeping.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Split, Task, in_floats
from .device import autocast, layout, place_for, precision, seeded
from .device import device as find_device
from .engine.arguments import SCHEDULES, check_arguments, check_kind, recipe_of
from .engine.checkpoint import Checkpoint
from .engine.distributed import Team
from .engine.memory import Steps, bring, on, outputs
from .engine.progress import Progress
from .images import prepare
from .models import Facts, classifier, count_parameters, input_of, parameter_groups
from .results import Evaluation
from .runs import Diverged, Run


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
    does not hold a batch, the gradients of parts of it are added up.

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
            for bit, as if nothing had stopped the training.
        progress: show a bar. The stop button or Ctrl-C keeps the finished epochs and returns them.

    Raises:
        ValueError: an argument does not fit; the message says which and what to do.
        Diverged: the loss is no number any more; `.run` of it holds the finished epochs.
        ConnectionError: of several processes another one has ended.
    """
    given = dict(locals())
    check_arguments(given)
    team, where, seed = Team(), find_device(device), int(seed)
    lr = float(lr) if lr is not None else 1e-2 if task.train.are_vectors else 1e-3
    model = copy.deepcopy(model).to(where, memory_format=layout(where))
    model.facts = Facts(task.classes)  # a temperature or threshold was that of the old weights
    forward = classifier(model) if task.train.are_vectors else model  # what runs: all of the model, or its head
    x, y, normalise = _load(model, task.train, where, raw=augment is not None)
    val = _load(model, task.val, where)
    _check_model(model, forward, normalise(x[:2]), task)

    batches = team.batches(len(x), batch_size)
    groups = parameter_groups(model, lr, weight_decay, layer_decay)
    optimizer = torch.optim.AdamW(groups, fused=where.type in ("cpu", "cuda"))
    rate = SCHEDULES[schedule]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step / (batches * epochs)))
    scaler = torch.amp.GradScaler(where.type, enabled=precision(where) is torch.float16)
    order = torch.Generator().manual_seed(seed)  # of the data; always on the CPU, so that every machine draws the same
    bending = torch.Generator(where).manual_seed(seed + team.rank)
    net = team.wrap(forward)

    def learn(images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Forward and backward: adds to the gradients. Returns the sum of the losses and the number of right answers."""
        with autocast(where), team.norms():
            logits = net(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        scaler.scale(loss * share).backward()  # share is 1, and with bfloat16 or float32 this is loss.backward()
        return torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])

    def one_epoch() -> tuple[float, float]:
        """The training loop proper. Returns the epoch's mean loss and accuracy."""
        model.train()
        sums = torch.zeros(2, device=where)  # kept on the device: asking for a number makes a GPU wait
        for batch in torch.randperm(len(x), generator=order).to(x.device).tensor_split(batches):
            images, labels = (bring(part[team.share(batch)], where) for part in (x, y))
            if augment is not None:
                images = augment(in_floats(images), bending)
            sums += step(normalise(images), labels, len(batch))  # zero_grad and learn, in parts where memory is short
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            bar.step()
        total, correct = team.sum(sums).tolist()
        return total / len(x), correct / len(x)

    run = Run(model, pd.DataFrame(), _name(model, forward))
    recipe = recipe_of(given, where) if checkpoint else {}
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    store = Checkpoint(checkpoint, recipe, state, {"order": order, "bending": bending}, team)
    step, bar = Steps(learn, optimizer, team), Progress(batches * epochs, progress and not team.rank)
    with seeded(seed + team.rank), team.all_alive(checkpoint):
        rows, kept = store.resume() or ([], copy.deepcopy(forward.state_dict()))
        bar.done, start = len(rows) * batches, time.perf_counter() - (rows[-1]["seconds"] if rows else 0)
        try:
            for epoch in range(len(rows) + 1, epochs + 1):
                if patience is not None and rows and len(rows) - _best(rows)["epoch"] >= patience:
                    run.stopped = f"stopped early: no better validation accuracy in {patience} epochs"
                    break
                loss, accuracy = one_epoch()
                if not math.isfinite(loss):
                    raise Diverged(
                        f"The loss is {loss} after epoch {epoch}: training has diverged. Try a learning rate below {lr:g}, "
                        f"{lr / 10:g} say, and look for values in the data that are no numbers."
                    )
                checked = _evaluate(model, forward, *val, team)
                row = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
                row |= {"val_loss": checked.loss, "val_accuracy": checked.accuracy}
                rows.append(row | {"lr": optimizer.param_groups[-1]["lr"], "seconds": time.perf_counter() - start})
                if patience is None or _best(rows) is rows[-1]:
                    kept = copy.deepcopy(forward.state_dict())
                store.save(rows, kept)
                bar.say(f"epoch {epoch}: loss {loss:.3f}, validation accuracy {checked.accuracy:.3f}")
        except KeyboardInterrupt:
            run.stopped = f"stopped by hand after {len(rows)} epochs"
        except Diverged as error:
            run.stopped, error.run = "diverged", run
            raise
        finally:
            forward.load_state_dict(kept)
            model.eval()
            run.history = pd.DataFrame(rows)
            bar.end(repr(run))
    return run


def evaluate(model: nn.Module, split: Split, device: str | None = None) -> Evaluation:
    """Accuracy and loss of a model on a split of images, or of its head on a split of vectors."""
    check_kind("evaluate", model, nn.Module, "a model; of a run take run.model")
    check_kind("evaluate", split, Split, "a split, as task.test is one")
    where = find_device(device)
    model = on(model, where)
    return _evaluate(model, classifier(model) if split.are_vectors else model, *_load(model, split, where))


def predict(model: nn.Module, split: Split, device: str | None = None) -> Tensor:
    """The probability that a model gives each class: float32, N x classes, on the CPU; each row adds up to 1."""
    where = find_device(device)
    model = on(model, where)
    x, _, normalise = _load(model, split, where)
    forward = classifier(model) if split.are_vectors else model
    return outputs(model, lambda x: forward(normalise(x)), x).softmax(1).cpu()


def _evaluate(
    model: nn.Module, forward: Callable, x: Tensor, y: Tensor, normalise: Callable, team: Team | None = None
) -> Evaluation:
    if not len(y):
        return Evaluation(math.nan, math.nan, 0)
    look = lambda x: outputs(model, lambda part: forward(normalise(part)), x)
    logits = team.join(look, x) if team else look(x)
    y = y.to(logits.device)
    accuracy = (logits.argmax(1) == y).sum().item() / len(y)
    return Evaluation(accuracy, F.cross_entropy(logits, y).item(), len(y))


def _load(
    model: nn.Module, split: Split, where: torch.device, raw: bool = False
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """The examples in the model's size, on the device if they fit there, the labels, and what each batch has to go through.

    Small images are normalised here once, unless they are wanted raw (to be augmented); photographs stay bytes, a quarter
    of the memory, and each batch is normalised.
    """
    x, normalise = split.x, lambda x: x
    if not split.are_vectors:
        wanted = input_of(model, split)
        x, normalise = prepare(split, wanted), wanted.normalise
    x = x.to(place_for(x.nbytes, where))
    if x.is_floating_point() and not raw:
        x, normalise = normalise(x), lambda x: x
    return x, split.y.to(x.device), normalise


def _check_model(model: nn.Module, forward: Callable, x: Tensor, task: Task) -> None:
    """Try the model on two examples, so that what does not fit is said in words and before any training."""
    try:
        answer = outputs(model, forward, x)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        shape = " x ".join(map(str, x.shape[1:]))
        raise ValueError(f"The model cannot take {task.name!r}, whose examples are {shape}: {error}") from error
    if answer.ndim != 2 or answer.shape[1] != len(task.classes):
        shape = " x ".join(map(str, answer.shape[1:]))
        raise ValueError(
            f"The model answers with {shape} numbers for each image, but {task.name!r} has {len(task.classes)} classes: "
            "give it a head that fits, with tl.head(model, task) or backbone(name, classes=...)."
        )
    if not any(p.requires_grad for p in forward.parameters()):
        raise ValueError("Nothing that runs here can learn: it has no weights, or all of them are frozen (see tl.unfreeze).")


def _best(rows: list[dict]) -> dict:
    """The epoch with the highest validation accuracy, and among equals the lowest validation loss."""
    return max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))


def _name(model: nn.Module, forward: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", {})
    return f"{config.get('architecture', type(model).__name__)}, {count_parameters(forward)[0]:,} trainable parameters"
