"""What `fit` may be told, and bad input in plain words."""

from __future__ import annotations

import hashlib
import math
import numbers

import torch
from torch import nn

from ..data import Files, Task
from ..validate import check_kind

# The learning rate as a share of `lr`, over training from 0 to 1.
SCHEDULES = {
    "cosine": lambda done: min(1.0, (done + 1e-3) / 0.1) * (1 + math.cos(math.pi * min(1.0, done))) / 2,
    "constant": lambda done: 1.0,
}


def check_arguments(given: dict) -> None:
    """Raise an error in plain words for what `fit` cannot work with; `given` are its arguments by name."""
    model, task = given["model"], given["task"]
    check_kind("fit", model, nn.Module, "a model first; of a run take run.model")
    check_kind("fit", task, Task, "a task second, as tl.digits() gives one")
    if not len(task.train):
        raise ValueError(f"{task.name!r} has no training data: there is nothing to learn from.")
    ranges = {
        "lr": ("a learning rate, a number above 0", lambda v: v is None or 0 < v < math.inf),
        "weight_decay": ("a number from 0", lambda v: 0 <= v < math.inf),
        "label_smoothing": ("a share from 0 to below 1", lambda v: 0 <= v < 1),
        "layer_decay": ("None, or a number above 0 and up to 1", lambda v: v is None or 0 < v <= 1),
        "epochs": ("a whole number from 1", lambda v: isinstance(v, numbers.Integral) and v >= 1),
        "batch_size": ("a whole number from 1", lambda v: isinstance(v, numbers.Integral) and v >= 1),
        "patience": ("None, or a whole number from 1", lambda v: v is None or isinstance(v, numbers.Integral) and v >= 1),
        "seed": ("a whole number", lambda v: isinstance(v, numbers.Integral)),
        "schedule": (f"one of {', '.join(map(repr, SCHEDULES))}", lambda v: v in SCHEDULES),
    }
    for name, (wanted, fits) in ranges.items():
        value = given[name]
        number = name == "schedule" or value is None or isinstance(value, numbers.Real)
        if not number or not fits(value):
            raise ValueError(f"{name} must be {wanted}; not {value!r}.")
    if given["patience"] is not None and not len(task.val):
        raise ValueError(f"patience needs validation data, and {task.name!r} has none; leave patience out.")


def recipe_of(given: dict, device: torch.device) -> dict:
    """What decides how a training goes, as plain names and numbers: two trainings of one recipe are the same training."""
    names = "epochs lr batch_size schedule weight_decay layer_decay label_smoothing patience seed".split()
    plain = {name: v if v is None or isinstance(v, str) else float(v) for name, v in ((n, given[n]) for n in names)}
    train, model = given["task"].train, given["model"]
    learns = torch.tensor([weights.requires_grad for weights in model.parameters()])
    held = {"model": _fingerprint(learns, *model.state_dict().values()), "layers": str(model)}
    held["data"] = _fingerprint(train.x.marks() if isinstance(train.x, Files) else train.x, train.y)
    return plain | held | {"augment": given["augment"] is not None, "device": device.type}


def _fingerprint(*tensors: torch.Tensor) -> str:
    """A short text that is another one for other numbers."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]
