"""A model as a diagram, drawn from the model itself: `tl.plots.anatomy`. Lesson 02 shows the first."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import torch
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from ..models import input_of
from .drawing import FILLS, INK, QUIET, WIDE, arrow, box, mark, write
from .figure import Figure
from .memory import predict_logits
from .parts import at_rest, blocks, classifier, uncompiled
from .validate import check_kind

MANY = 10  # rows; where there would be more, neighbours that are alike share one


@dataclasses.dataclass(frozen=True)
class Part:
    """A block of a model, or its head.

    role: "backbone", "head", or "" where a model does not say what is which.
    shape: what comes out of it for one image, or None where that is not known.
    parameters, learning: how many it has, and how many of them learn.
    norms, moving: how many norms with statistics it has, and how many of them adapt these in training.
    """

    name: str
    role: str
    shape: tuple[int, ...] | None
    parameters: int
    learning: int
    norms: int
    moving: int

    @property
    def state(self) -> str:
        if self.learning in (0, self.parameters):
            return "" if not self.parameters else "learns" if self.learning else "frozen"
        return "partly"


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """A model taken apart; vector is the shape of what its head is given, size that of the images it takes."""

    name: str
    size: tuple[int, ...] | None
    parts: list[Part]
    vector: tuple[int, ...] | None
    other_norms: bool

    def total(self, what: str) -> int:
        return sum(getattr(part, what) for part in self.parts)

    @property
    def words(self) -> tuple[str, ...]:
        """How much of it learns, what its norms do, and what to beware of."""
        n, learning, norms = self.total("parameters"), self.total("learning"), self.total("norms")
        kept = ("no batch norms: its norms keep no statistics",) if self.other_norms else ()
        moving = (f"{self.total('moving')} of {norms} batch norms adapt their statistics",) if norms else kept
        wrong = any(part.moving and part.state == "frozen" for part in self.parts)
        careful = ("careful: batch norms in frozen blocks still change",) if wrong else ()
        share = 100 * learning / max(1, n)
        percent = "" if not 0 < learning < n else f" ({share:.1f}%)" if share >= 0.1 else " (less than 0.1%)"
        return f"{learning:,} of {n:,} parameters learn{percent}", *moving, *careful


def anatomy(model: nn.Module) -> Figure:
    """A classifier as a diagram: its blocks with what comes out of them and their parameters, what is frozen, what learns.

    Args:
        model: RawCNN, any timm model, or what `tl.head` makes; of other modules their parts are drawn, without their shapes
            where they do not say which images they take.
    """
    check_kind("plots.anatomy", model, nn.Module, "a model; of a run take run.model")
    found = dissect(model)
    figure = Figure(WIDE, height_of(found))
    figure.alt = draw(figure.sheet(), found)
    return figure


def dissect(model: nn.Module) -> Anatomy:
    """Take a model apart: its blocks as `blocks` lists them, and its head. It is run once, on an empty image."""
    model = uncompiled(model)
    groups, weights = _groups(model), dict(model.named_parameters())
    places = {id(weights[name]): i for i, (*_, names) in enumerate(groups) for name in names}
    norms, at, others = [[] for _ in groups], 0, False
    for module in model.modules():
        own = [places[id(p)] for p in module.parameters(recurse=False)]
        at = own[0] if own else at  # a norm without weights goes with what stands before it
        if isinstance(module, nn.modules.batchnorm._NormBase):
            if module.track_running_stats and groups:
                norms[at].append(not at_rest(module))
        else:
            others |= isinstance(module, (nn.LayerNorm, nn.GroupNorm)) or "Norm" in type(module).__name__
    size, shapes, vector = _shapes(model, places, [role for _, role, _ in groups])
    parts = []
    for i, (name, role, names) in enumerate(groups):
        sizes = [(weights[n].numel(), weights[n].requires_grad) for n in names]
        learning = sum(n for n, learns in sizes if learns)
        parts.append(Part(name, role, shapes[i], sum(n for n, _ in sizes), learning, len(norms[i]), sum(norms[i])))
    config = getattr(model, "pretrained_cfg", None) or {}
    name = type(model).__name__
    name = f"{name} on {config['architecture']}" if hasattr(model, "heads") else config.get("architecture") or name
    return Anatomy(name, size, parts, vector, others)


def _groups(model: nn.Module) -> list[tuple[str, str, list[str]]]:
    """For each part its name, its role and the names of its parameters; every parameter is in one of them."""
    names = [name for name, _ in model.named_parameters()]
    if isinstance(getattr(model, "heads", None), nn.ModuleList) and hasattr(model, "body"):
        bodies = [[f"body.{name}" for name in part] for part in blocks(model.body)]
        heads = [[name for name in names if name.startswith(f"heads.{i}.")] for i in range(len(model.heads))]
    else:
        try:
            bodies = blocks(model)
        except ValueError:  # it does not say what its head is
            firsts = itertools.groupby(names, lambda name: name.split(".")[0])
            kind = lambda first: type(getattr(model, first)).__name__ if first.isdigit() else first
            return [(f"part {i}: {kind(first)}", "", list(part)) for i, (first, part) in enumerate(firsts)]
        last, weights = {id(p) for p in classifier(model).parameters()}, dict(model.named_parameters())
        heads = [[name for name in names if id(weights[name]) in last]]
    found = [(f"block {i}: {_place(part, names)}", "backbone", part) for i, part in enumerate(bodies)]
    found += [(f"head: {_place(part, names)}", "head", part) for part in heads if part]
    rest = [name for name in names if not any(name in part for *_, part in found)]
    return found + ([(f"others: {_place(rest, names)}", "", rest)] if rest else [])


def _place(names: Sequence[str], every: Sequence[str]) -> str:
    """Where parameters are, of all that a model has: "layer1" where they are all of it, else its parts, "conv1, bn1"."""
    paths, others = [name.split(".")[:-1] or [name] for name in names], {*every} - {*names}
    common = [level[0] for level in itertools.takewhile(lambda level: len({*level}) == 1, zip(*paths))]
    ours = lambda place: not any(name.startswith(".".join([*place, ""])) for name in others)
    if common and ours(common):
        while common[:-1] and ours(common[:-1]):  # a stage of one block
            common = common[:-1]
        return ".".join(common).removeprefix("body.")
    shortest = [next((path[:n] for n in range(1, len(path)) if ours(path[:n])), path) for path in paths]
    first = list(dict.fromkeys(".".join(path[min(len(common), len(path) - 1) :]) for path in shortest))
    return ", ".join(first[:2]) + (" ..." if len(first) > 2 else "")


def _shapes(model: nn.Module, places: dict[int, int], roles: Sequence[str]) -> tuple:
    """The size of the images, the shape of what comes out of each part, and of what the head is given; None if unknown."""
    none = None, [None] * len(roles), None
    try:
        size = tuple(input_of(model).size)
    except ValueError:
        return none
    done, begun, given, hooks = [], {}, [], []

    def note(own: set[int]):
        def before(*_):
            if len(own) == 1:
                begun.setdefault(*own, len(done))

        def after(_, inputs, out):
            while isinstance(out, (tuple, list)) and out:
                out = out[0]
            if isinstance(out, Tensor):
                done.append((own, tuple(out.shape[1:])))

        return before, after

    for module in model.modules():
        if module is not model:
            before, after = note({places[id(p)] for p in module.parameters()})
            hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    last = model.heads[0] if hasattr(model, "heads") and hasattr(model, "body") else classifier(model)
    if last is not model:
        hooks.append(last.register_forward_pre_hook(lambda _, inputs: given.append(tuple(inputs[0].shape[1:]))))
    try:
        predict_logits(model, lambda x: (model(x), x.new_zeros(1))[1], torch.zeros(1, *size))
    except Exception:  # architectures fail in many ways
        return none
    finally:
        for hook in hooks:
            hook.remove()
    shapes = []
    for i in range(len(roles)):
        own = max((k for k, (of, _) in enumerate(done) if of == {i}), default=None)
        if own is None:
            shapes.append(None)
            continue
        # Up to the next part come activations and pooling, which have no weights and belong to what is before them; but
        # what makes one vector for the head has a row of its own.
        later = min((k for j, k in begun.items() if k > own and roles[j] != "head"), default=own + 1)
        shapes.append(done[later - 1][1])
    return size, shapes, given[0] if given else None


def _rows(found: Anatomy) -> list[tuple[Part, int]]:
    """Each part, and how many it stands for."""
    if len(found.parts) <= MANY:
        return [(part, 1) for part in found.parts]
    rows = []
    alike = lambda part: dataclasses.replace(part, name="")
    for _, group in itertools.groupby(found.parts, alike):
        group = list(group)
        if len(group) == 1:
            rows.append((group[0], 1))
            continue
        numbers = [part.name.partition(":")[0].split()[-1] for part in group]
        whole = {key: sum(getattr(p, key) for p in group) for key in ("parameters", "learning", "norms", "moving")}
        rows.append((dataclasses.replace(group[0], name=f"blocks {numbers[0]} to {numbers[-1]}", **whole), len(group)))
    return rows


def height_of(found: Anatomy) -> float:
    """How many inches `draw` takes."""
    return 0.95 + 0.2 * (len(found.words) > 2) + 0.5 * (len(_rows(found)) + 1 + _has_vector(found))


def _has_vector(found: Anatomy) -> bool:
    body = [part for part in found.parts if part.role == "backbone"]
    return bool(found.vector and body and body[-1].shape != found.vector)


def _shown(shape: Sequence[int] | None) -> str:
    return "?" if shape is None else " x ".join(map(str, shape)) or "1"


def draw(axis, found: Anatomy, top: float = 0) -> str:
    """Draw a model on a sheet, `WIDE` inches wide, and return in words what the drawing says."""
    write(axis, 0.1, top + 0.2, found.name, 12, "left", weight="bold")
    write(axis, 0.1, top + 0.45, "; ".join(found.words[:2]), 10, "left")
    texts = [f"{found.name}: {'; '.join(found.words)}"]
    y = top + 0.7
    if len(found.words) > 2:
        write(axis, 0.1, y - 0.03, found.words[2], 10, "left", weight="bold")
        y += 0.2
    heads = [(4.25, "what comes out", "left"), (6.15, "parameters", "right")]
    for x, words, ha in heads + [(6.3, "batch norms", "left")] * bool(found.total("norms")):
        write(axis, x, y, words, 9, ha, color=QUIET, style="italic")
    y += 0.15
    if found.size:
        box(axis, 0.5, y, 3.05, 0.36, f"image, {_shown(found.size)}")
        texts.append(f"it takes images of {_shown(found.size)}")
    else:
        write(axis, 0.5, y + 0.18, "It does not say which images it takes, so shapes are unknown.", 9, "left")
        texts.append("it does not say which images it takes")
    spans, rows = {}, _rows(found)
    pooled = [part for part, _ in rows if part.role == "backbone"][-1:] if _has_vector(found) else []
    for part, count in rows:
        y += 0.5
        if part.role == "head" and "head" in spans:  # beside the first head, not behind it
            from_y = spans["head"][0] - 0.32
            axis.plot([3.56, 3.66, 3.66], [from_y, from_y, y + 0.18], color=INK, linewidth=1.2)
            arrow(axis, (3.66, y + 0.18), (3.55, y + 0.18), 1.2)
        elif found.size or spans:
            arrow(axis, (2.0, y - 0.13), (2.0, y - 0.01), 1.2)
        _row(axis, y, part, found)
        spans.setdefault(part.role, []).append(y)
        alike = f", {count} alike" if count > 1 else ""
        norms = f", {part.norms} batch norm{'s' * (part.norms > 1)}: {_moving(part)}" if part.norms else ""
        state = {"partly": f"{part.learning:,} of them learn", "": "none"}.get(part.state, part.state)
        out = f" gives {_shown(part.shape)}" if part.shape is not None else ""
        texts.append(f"{part.name}{alike}{out}, {part.parameters:,} parameters, {state}{norms}")
        if part in pooled:
            y += 0.5
            arrow(axis, (2.0, y - 0.13), (2.0, y - 0.01), 1.2)
            box(axis, 0.5, y, 3.05, 0.36, "made into one vector")
            _pile(axis, 3.75, y + 0.18, found.vector, found.size)
            write(axis, 4.25, y + 0.18, _shown(found.vector), 10, "left")
            write(axis, 6.15, y + 0.18, "none", 10, "right")
            texts.append(f"made into one vector of {_shown(found.vector)} numbers")
            spans[part.role].append(y)
    for role, ys in spans.items():
        if role:
            low, high = min(ys) + 0.02, max(ys) + 0.34
            axis.plot([0.42, 0.36, 0.36, 0.42], [low, low, high, high], color=INK, linewidth=1.2)
            name = "heads" if role == "head" and len(ys) > 1 else role
            write(axis, 0.2, (low + high) / 2, name, 9, rotation=90)
    if "backbone" in spans and "head" not in spans:
        texts.append("it is a bare backbone, without a head")
    return "; ".join(texts) + "."


def _moving(part: Part) -> str:
    if part.moving in (0, part.norms):
        return f"{part.norms} {'adapt' if part.moving else 'still'}"
    return f"{part.moving} of {part.norms} adapt"


def _row(axis, y: float, part: Part, found: Anatomy) -> None:
    box(axis, 0.5, y, 3.05, 0.36, state=part.state)
    name = part.name if len(part.name) <= 26 else f"{part.name.split(',')[0][:22]} ..."
    write(axis, 0.6, y + 0.18, name, 10, "left", over=part.state in ("frozen", "partly"))
    if part.state:
        mark(axis, 2.72, y + 0.18, part.state)
    if part.shape is not None:
        _pile(axis, 3.75, y + 0.18, part.shape, found.size)
        write(axis, 4.25, y + 0.18, _shown(part.shape), 10, "left")
    write(axis, 6.15, y + 0.18, f"{part.parameters:,}" if part.parameters else "none", 10, "right")
    if part.norms:
        write(axis, 6.3, y + 0.18, _moving(part), 9, "left", weight="bold" if part.moving else "normal")


def _pile(axis, x: float, y: float, shape: Sequence[int], size: Sequence[int]) -> None:
    """Maps as a pile, smaller where they have fewer pixels and thicker where there are more; other numbers as a column."""
    look = {"facecolor": FILLS[""], "edgecolor": INK, "linewidth": 0.8}
    if len(shape) != 3:
        axis.add_patch(Rectangle((x + 0.12, y - 0.15), 0.07, 0.3, **look))
        return
    depth, edge = (shape[2], shape[0]) if shape[0] == shape[1] != shape[2] else (shape[0], max(shape[1:]))
    side = 0.06 + 0.18 * math.sqrt(min(1.0, edge / max(size[1:])))
    count = min(5, 1 + int(math.log2(max(1, depth)) / 2))
    for k in range(count):
        away = 0.03 * (count / 2 - k)
        axis.add_patch(Rectangle((x + 0.16 - side / 2 + away, y - side / 2 - away), side, side, **look))
