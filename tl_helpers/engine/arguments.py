"""What `fit` may be told, checked, and what makes two trainings the same. No lesson opens this file."""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import math
import re
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType, NoneType

import torch
from torch import nn

from ..data import Files, Task
from ..models import input_of
from .parts import at_rest, rates
from .validate import brief, check_choice, check_number, check_seed


def cosine(step: int, steps: int) -> float:
    """Warms up over the first tenth of training, if that is a whole step at least, and then falls to zero."""
    done = step / steps
    warm = min(1.0, (done + 1e-3) / 0.1) if steps >= 10 else 1.0
    return warm * (1 + math.cos(math.pi * min(1.0, done))) / 2


# The learning rate of a step (counted from 0, of so many) as a share of `lr`.
SCHEDULES = {"cosine": cosine, "constant": lambda step, steps: 1.0}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train: what `fit` was told, by the same names. A value that no training can have is a ValueError."""

    epochs: int
    lr: float
    batch_size: int
    schedule: str
    weight_decay: float
    layer_decay: float | None
    label_smoothing: float
    augment: Callable | None
    patience: int | None
    seed: int

    def __post_init__(self):
        above_0 = math.nextafter(0, 1)
        check_number("epochs", self.epochs, "a whole number from 1", 1, whole=True)
        check_number("lr", self.lr, "a learning rate, a number above 0", above_0)
        check_number("batch_size", self.batch_size, "a whole number from 1", 1, whole=True)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_number("weight_decay", self.weight_decay, "a number from 0", 0)
        if self.layer_decay is not None:
            check_number("layer_decay", self.layer_decay, "None, or a number above 0 and up to 1", above_0, 1)
        check_number("label_smoothing", self.label_smoothing, "a share from 0 to below 1", 0, math.nextafter(1, 0))
        if self.patience is not None:
            check_number("patience", self.patience, "None, or a whole number from 1", 1, whole=True)
        check_seed(self.seed)
        if self.augment is not None and not callable(self.augment):
            raise ValueError(f"augment must be None, or a function of images and a generator; not {brief(self.augment)}.")
        vars(self).update({name: value.item() for name, value in vars(self).items() if hasattr(value, "item")})  # numpy's

    def check(self, task: Task) -> None:
        """Raise a ValueError where these settings and a task do not go together."""
        if not len(task.train):
            raise ValueError(f"{task.name!r} has no training data: there is nothing to learn from.")
        if self.patience is not None and not len(task.val):
            raise ValueError(f"patience needs validation data, and {task.name!r} has none; leave patience out.")
        if self.augment is not None and task.train.are_vectors:
            raise ValueError(f"augment changes images, and {task.name!r} has vectors: give it to tl.features instead.")

    def recipe(self, model: nn.Module, task: Task, device: torch.device) -> dict[str, str | float | None]:
        """What decides how a training goes, as plain values: two trainings of one recipe are the same training."""
        plain = {name: value for name, value in vars(self).items() if name != "augment"}
        learns = torch.tensor([w.requires_grad for w in model.parameters()] + [at_rest(part) for part in model.modules()])
        plain |= {"model": _fingerprint(learns, *model.state_dict().values()), "device": device.type}
        plain["layers"] = f"{model} {rates(model)}"
        plain["input"] = None if task.train.are_vectors else repr(input_of(model))
        plain |= {"data": _fingerprint(task.train.x, task.train.y), "validation data": _fingerprint(task.val.x, task.val.y)}
        return plain | {"augment": None if self.augment is None else described(self.augment)}


def described(function: Callable) -> str:
    """A function as text that is another one for another function: its name, its code, and what these lead to."""
    text = re.sub(r" at 0x\w+", "", repr(_inside(function, set())))  # where it stands, which says nothing of what it does
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _inside(value, seen: set[int]):
    """What decides what a value does, as far as that can be told, for `repr`.

    Followed are functions of the same module or notebook (of others the name is enough), what is bound to them, and members
    of tuples, and functions in lists and dicts. Of what may change while training runs, as a list that counts, the kind is
    enough.
    """
    if isinstance(value, (int, float, str, bytes, NoneType)):
        return value
    if isinstance(value, frozenset):  # in no order: that of another process is another
        return sorted(map(repr, value))
    if id(value) in seen:
        return type(value)
    seen = seen | {id(value)}
    if isinstance(value, tuple):
        return [_inside(part, seen) for part in value]
    if isinstance(value, (list, dict)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return type(value), [(key, _inside(part, seen)) for key, part in parts if callable(part)]
    if isinstance(value, functools.partial):
        return _inside((value.func, value.args, *sorted(value.keywords.items())), seen)
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, _inside(value.co_consts, seen)
    if isinstance(value, MethodType):
        return _inside(value.__func__, seen), vars(value.__self__) if hasattr(value.__self__, "__dict__") else repr(value)
    if isinstance(value, type):
        mine = value.__module__ == "__main__"
        return value.__qualname__, [_inside(part, seen) for part in vars(value).values() if mine and callable(part)]
    if isinstance(value, FunctionType):
        return [_inside(value.__code__, seen), *(_inside(part, seen) for part in _bound(value))]
    return (repr(value), vars(value)) if callable(value) and hasattr(value, "__dict__") else type(value)


def _bound(function: FunctionType) -> list:
    """What a function holds, or finds by name in its module: values, and functions of the same module."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    codes, changes = [function.__code__], set()
    for code in codes:  # those of functions within it, too
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
        changes |= {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_GLOBAL"}
    names = sorted({name for code in codes for name in code.co_names} - changes)
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    mine = lambda part: getattr(part, "__globals__", function.__globals__) is function.__globals__
    found = [part if mine(part) else part.__qualname__ for part in found]
    return [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *found]


def _fingerprint(*parts: torch.Tensor | Files) -> str:
    """A short text that is another one for other numbers, or for photographs of other content."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Files):
            found.update(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in part))
        else:
            found.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:12]


def shape(x: torch.Tensor) -> str:
    """The shape of a tensor as people write it."""
    return " x ".join(map(str, x.shape))
