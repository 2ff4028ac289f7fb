"""What the loop need not show: schedules, bad input, progress, checkpoints, short memory, several processes."""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import hashlib
import html
import io
import math
import numbers
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Files, Task
from .device import autocast

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

    It is written beside and then renamed, so a crash at any moment leaves a whole one, and it begins with a checksum, which
    tells a damaged one. `recipe` is what is trained and how; a file of another recipe is refused, so that nobody goes on
    from the wrong one. A file that is refused is never written over.

    Args:
        path: where; None for no checkpoint at all.
        recipe: names and numbers.
        parts: what has a state_dict, by name.
        generators: random number generators, by name.
        team: the processes that train together; the first one writes and reads.

    Raises:
        ValueError: nothing can be written there.
    """

    MARK = b"tl_helpers checkpoint\n"

    def __init__(self, path: str | os.PathLike | None, recipe: dict, parts: dict, generators: dict, team: Team):
        self.path = None if path is None else Path(path)
        self.recipe, self.parts, self.generators, self.team = recipe, parts, generators, team
        self.full = False
        if self.path and not team.rank:
            with contextlib.suppress(OSError):  # what is wrong shows in the next line
                self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = self.path.parent
            if self.path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
                raise ValueError(
                    f"No checkpoint can be written to {self.path}: give the path of a file in a folder of yours."
                )

    def save(self, rows: list[dict], kept: dict) -> None:
        """Save everything: the history so far, the weights to keep at the end, and the state of all parts.

        Where the disk is full it says so once, and training goes on with the checkpoint of an earlier epoch.
        """
        if self.path is None:
            return
        random = {name: generator.get_state() for name, generator in self.generators.items()}
        random["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            random["cuda"] = torch.cuda.get_rng_state()
        random = self.team.gather(random)
        if self.team.rank:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        memory = io.BytesIO()
        torch.save({"recipe": self.recipe, "rows": rows, "kept": kept, "parts": state, "random": random}, memory)
        content, new = memory.getbuffer(), self._beside("new")
        try:
            with open(new, "wb") as file:
                file.write(self.MARK + hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                os.replace(self.path, self._beside("previous"))
            os.replace(new, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            if not self.full:
                epoch = f"epoch {rows[-1]['epoch']} is not in {self.path} ({error.strerror})"
                warnings.warn(f"{epoch}; training goes on, and each epoch tries to save again.", stacklevel=3)
            self.full = True

    def resume(self) -> tuple[list[dict], dict] | None:
        """Put everything into its last good state and return (rows, kept); None if there is none.

        Raises:
            ValueError: the file is the checkpoint of another training, or no checkpoint.
        """
        saved = self.team.from_first(self._load) if self.path else None
        if saved is None:
            return None
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        if self.team.rank < len(saved["random"]):  # else one of more processes than there were
            random = saved["random"][self.team.rank]
            for name, generator in self.generators.items():
                generator.set_state(random[name])
            torch.set_rng_state(random["torch"])
            if "cuda" in random and torch.cuda.is_available():
                torch.cuda.set_rng_state(random["cuda"])
        return saved["rows"], saved["kept"]

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _load(self) -> dict | None:
        wrong = []
        for path in (self.path, self._beside("previous")):
            saved = self._read(path) if path.exists() else None
            if isinstance(saved, dict):
                if wrong:
                    os.replace(self.path, self._beside("refused"))
                    warnings.warn(f"{wrong[0]}; it is kept as {self._beside('refused')}, and {path} is used.", stacklevel=4)
                return saved
            wrong += [f"{path} {saved}"] if saved else []
        refused = [text for text in wrong if not text.endswith("is damaged")]
        if refused:
            raise ValueError(f"{refused[0]}. Give another checkpoint path, or delete what is there to start anew.")
        if wrong:
            warnings.warn(f"{wrong[0]} and there is no other; training starts anew.", stacklevel=4)
        return None

    def _read(self, path: Path) -> dict | str:
        """What a file holds, or why it cannot be used."""
        with open(path, "rb") as file:
            if not self.MARK.startswith(file.read(len(self.MARK))):
                return "is no checkpoint of fit"
            checksum, content = file.read(32), file.read()
        if hashlib.sha256(content).digest() != checksum:
            return "is damaged"
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if saved["recipe"] != self.recipe:
            different = ", ".join(sorted(k for k in self.recipe if saved["recipe"].get(k) != self.recipe[k]))
            return f"holds another training (another {different})"
        return saved


def short_of_memory(error: RuntimeError) -> bool:
    """Whether that is what an error says: CUDA has a class of its own for it, Apple's MPS and the CPU have only words."""
    words = re.search("out of memory|not enough memory|can't allocate memory", str(error))
    return isinstance(error, torch.cuda.OutOfMemoryError) or bool(words)


def halving(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """function(x), or where the memory does not hold that, the function of its halves put together."""
    try:
        return function(x)
    except RuntimeError as error:
        if len(x) < 2 or not short_of_memory(error):
            raise
    return torch.cat([halving(function, half) for half in x.tensor_split(2)])


def bring(part: Tensor, where: torch.device) -> Tensor:
    """A part of the data on the device; a GPU gets it through pinned memory, while still at work on the step before."""
    if where.type == "cuda" and part.device.type == "cpu":
        part = part.pin_memory()
    return part.to(where, non_blocking=True)


def on(model: nn.Module, where: torch.device) -> nn.Module:
    """The model itself if it is on the device already, else a copy of it there."""
    first = next(model.parameters(), None)
    return model if first is None or first.device == where else copy.deepcopy(model).to(where)


@torch.no_grad()
def outputs(model: nn.Module, forward: Callable, x: Tensor, batch_size: int | None = None) -> Tensor:
    """forward(x) in batches, with the model in evaluation mode: float32, N x whatever it returns.

    A batch is of 256, and of fewer where images are large (33 of 224 x 224 in colour), since their maps fill the memory.
    """
    batch_size = batch_size or max(1, min(256, 5_000_000 // max(1, x[0:1].numel())))
    where = next(model.parameters(), x).device
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with autocast(where):
            return torch.cat([halving(forward, bring(part, where)).float() for part in x.split(batch_size)])
    finally:  # each part as it was: some may have been put into evaluation mode by hand
        for module, mode in modes.items():
            module.training = mode


class Steps:
    """Goes forward and backward through a batch at once, or in equal parts where the memory does not hold the whole.

    Gradients add up over the parts, so the step of the optimizer is the same. A batch norm sees a part at a time.
    """

    def __init__(self, learn: Callable[[Tensor, Tensor, float], Tensor], optimizer: torch.optim.Optimizer, team: Team):
        self.learn, self.optimizer, self.team = learn, optimizer, team
        self.parts, self.said = 1, False

    def __call__(self, images: Tensor, labels: Tensor, whole: int) -> Tensor:
        """The sum of what `learn(images, labels, share)` returns; share is of the whole batch, in all processes."""
        before = self.parts
        while True:
            self.optimizer.zero_grad()
            pieces = zip(images.tensor_split(self.parts), labels.tensor_split(self.parts))
            try:
                sums = functools.reduce(torch.add, [self.learn(x, y, len(x) * self.team.size / whole) for x, y in pieces])
                break
            except RuntimeError as error:
                if not short_of_memory(error):
                    raise
                if self.team.size > 1 or self.parts >= len(images):
                    advice = "take more processes" if self.team.size > 1 else "take a smaller model or smaller images"
                    size = math.ceil(len(images) / self.parts)
                    raise ValueError(f"The memory does not hold a step with a batch of {size}: {advice}.") from error
            self.parts = min(2 * self.parts, len(images))
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        if self.parts > before and not self.said:
            self.said = True
            size = math.ceil(len(images) / self.parts)
            warnings.warn(
                f"The memory does not hold a step with a batch of {len(images)}: from here on each step adds up the "
                f"gradients of {self.parts} parts of at most {size}. The result is the same, but for batch norms.",
                stacklevel=4,
            )
        return sums


class Team:
    """The processes that train one model together: those that `torchrun` started, or this one alone.

    Each has a copy of the model and takes its share of every batch; torch's DistributedDataParallel averages the gradients.
    """

    def __init__(self):
        if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
            dist.init_process_group()
            atexit.register(dist.destroy_process_group)
        together = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)

    def batches(self, examples: int, batch_size: int) -> int:
        """How many equal batches an epoch is cut into, each with something for every process."""
        batches = math.ceil(examples / batch_size)
        if examples // batches < self.size:
            raise ValueError(
                f"{self.size} processes share each batch, and a batch has {examples // batches} of the {examples} examples: "
                "take a larger batch_size or fewer processes."
            )
        return batches

    def share(self, batch: Tensor) -> Tensor:
        """The part of a batch that is this process's."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def wrap(self, forward: nn.Module) -> nn.Module:
        """A module that does the same, and whose gradients are averaged over the processes."""
        return forward if self.size == 1 else nn.parallel.DistributedDataParallel(forward)

    def norms(self) -> contextlib.AbstractContextManager:
        """Inside the `with` block batch norms take their statistics over the whole batch, not over this process's share."""
        return contextlib.nullcontext() if self.size == 1 else _Norms()

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers

    def join(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """function(x), of which each process works out its share."""
        if self.size == 1 or len(x) < self.size:
            return function(x)
        part = function(x.tensor_split(self.size)[self.rank])
        whole = part.new_zeros(len(x), *part.shape[1:])
        whole.tensor_split(self.size)[self.rank].copy_(part)
        return self.sum(whole)

    def gather(self, value) -> list:
        """The values of all processes, in their order."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable):
        """What `make()` returns or raises in the first process, in all of them."""
        if self.size == 1:
            return make()
        found = [None]
        if not self.rank:
            try:
                found = [make()]
            except ValueError as error:
                found = [error]
        dist.broadcast_object_list(found)
        if isinstance(found[0], ValueError):
            raise found[0]
        return found[0]

    @contextlib.contextmanager
    def all_alive(self, checkpoint: str | None):
        """Inside the `with` block the end of another process is said in words."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not re.search("gloo|nccl|connection|store", str(error), re.I):
                raise
            rest = (
                f"{checkpoint} holds the last finished epoch: the same command goes on from there"
                if checkpoint
                else "give fit a checkpoint to be able to go on from the last finished epoch"
            )
            raise ConnectionError(
                f"Process {self.rank} of {self.size} stops, since another one has ended, which says itself why; {rest}."
            ) from error


class _Sum(torch.autograd.Function):
    """The sum over the processes, through which gradients flow."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    backward = forward


class _Norms(torch.overrides.TorchFunctionMode):
    """F.batch_norm over all processes, exactly. torch's SyncBatchNorm is for CUDA only, and a layer of another class."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return (_norm if function is F.batch_norm else function)(*args, **kwargs or {})


def _norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    pixels = x.float()
    sums = _Sum.apply(torch.cat([pixels.sum(axes), pixels.new_tensor([x.numel() / x.shape[1]])]))
    count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    centred = pixels - mean.view(shape)
    var = _Sum.apply((centred * centred).sum(axes)) / count
    if running_mean is not None:
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(var.detach() * (count / (count - 1)), momentum)
    scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
    result = centred * scale.view(shape)
    return (result if bias is None else result + bias.view(shape)).to(x.dtype)
