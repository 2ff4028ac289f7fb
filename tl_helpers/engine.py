"""What the training loop need not show: schedules, answers to bad input, the progress bar, checkpoints to go on from."""

from __future__ import annotations

import hashlib
import html
import math
import numbers
import os
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn

from .data import Files, Task

# The learning rate as a share of `lr`, over training from 0 to 1.
SCHEDULES = {
    "cosine": lambda done: min(1.0, (done + 1e-3) / 0.1) * (1 + math.cos(math.pi * min(1.0, done))) / 2,
    "constant": lambda done: 1.0,
}


def check_kind(function: str, value, kind: type, wanted: str) -> None:
    """Raise a TypeError that says what a function takes in place of a value of another kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{function} takes {wanted}; this is a {type(value).__name__}.")


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


class Progress:
    """A progress bar with a few words beside it: in a notebook one output that ends as a line of text, else tqdm.

    tqdm's own notebook bar is a widget, of which a stored notebook keeps nothing to read. Where nobody watches (no notebook
    and no terminal) it stays silent.
    """

    def __init__(self, total: int, shown: bool = True):
        self.total, self.done, self.text, self.drawn = total, 0, "", 0.0
        self.cell = self.bar = None
        if shown and _in_notebook():
            from IPython.display import HTML, display

            self.html = HTML
            self.cell = display(HTML(self._drawing()), display_id=True)
        elif shown and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, leave=False)

    def _drawing(self) -> str:
        return (
            f'<progress value="{self.done}" max="{self.total}" aria-label="training progress"></progress> '
            f"{html.escape(self.text)}"
        )

    def step(self, count: int = 1) -> None:
        self.done += count
        if self.bar:
            self.bar.update(count)
        elif self.cell and time.monotonic() - self.drawn > 0.2:
            self.cell.update(self.html(self._drawing()))
            self.drawn = time.monotonic()

    def say(self, text: str) -> None:
        self.text = text
        if self.bar:
            self.bar.set_postfix_str(text)

    def end(self, text: str) -> None:
        if self.bar:
            self.bar.close()
            print(text, file=sys.stderr)
        elif self.cell:
            self.cell.update(self.html(f"<div>{html.escape(text)}</div>"))


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class Checkpoint:
    """A file that holds a training after its last whole epoch, with the one before kept beside it (`.previous`).

    Written to a temporary file and then renamed, so a crash at any moment leaves a whole one. `recipe` is what is trained
    and how; a file of another recipe is refused, so that nobody goes on from the wrong one.

    Args:
        path: where; None for no checkpoint at all.
        recipe: names and numbers.
        parts: what has a state_dict, by name.
        generators: random number generators, by name.
    """

    def __init__(self, path: str | os.PathLike | None, recipe: dict, parts: dict, generators: dict):
        self.path = None if path is None else Path(path)
        self.recipe, self.parts, self.generators = recipe, parts, generators

    def save(self, rows: list[dict], kept: dict) -> None:
        """Save everything: the history so far, the weights to keep at the end, and the state of all parts."""
        if self.path is None:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        random = {name: generator.get_state() for name, generator in self.generators.items()}
        random["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            random["cuda"] = torch.cuda.get_rng_state()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self._beside("new")
        with open(new, "wb") as file:
            torch.save({"recipe": self.recipe, "rows": rows, "kept": kept, "parts": state, "random": random}, file)
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            os.replace(self.path, self._beside("previous"))
        os.replace(new, self.path)

    def resume(self) -> tuple[list[dict], dict] | None:
        """Put everything into its last good state and return (rows, kept); None if there is none.

        Raises:
            ValueError: the file is the checkpoint of another training.
        """
        saved = self._load() if self.path is not None else None
        if saved is None:
            return None
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        for name, generator in self.generators.items():
            generator.set_state(saved["random"][name])
        torch.set_rng_state(saved["random"]["torch"])
        if "cuda" in saved["random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(saved["random"]["cuda"])
        return saved["rows"], saved["kept"]

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _load(self) -> dict | None:
        for path in (self.path, self._beside("previous")):
            if not path.exists():
                continue
            try:
                saved = torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # a damaged file fails in many ways, none of which tells a learner more than this
                warnings.warn(f"{path} is damaged; it is passed over.", stacklevel=4)
                continue
            if not isinstance(saved, dict) or "recipe" not in saved:
                raise ValueError(f"{path} is no checkpoint of fit; give another path, so that it is not overwritten.")
            recipe = saved["recipe"]
            if recipe != self.recipe:
                different = ", ".join(sorted(k for k in self.recipe if recipe.get(k) != self.recipe[k]))
                raise ValueError(
                    f"{path} holds another training (another {different}). Give another checkpoint path, or delete the file "
                    "to start anew."
                )
            return saved
        return None
