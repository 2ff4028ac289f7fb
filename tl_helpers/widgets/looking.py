"""What a trained network sees and where it errs: a walk through its layers, and a gallery of its mistakes.

Lessons 04 and 10 show them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from matplotlib.collections import LineCollection
from torch import Tensor, nn

from .. import plots
from ..data import Files, InputConfig, Split, in_floats
from ..engine.drawing import WIDE, scale
from ..engine.examples import check_order
from ..engine.parts import check_names, classifier, facts_of, in_evaluation
from ..engine.validate import brief, check_listed, check_number
from ..images import prepare
from ..models import input_of
from ..training import predict
from .base import Widget
from .cache import cached

PATCHES = 8
FEW = 10  # pictures in a view
_LAYERS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.Hardswish)


@functools.lru_cache(256)  # at 224 pixels 39 MB
def _photograph(path: Path, changed: int, size: int, wanted: InputConfig) -> Tensor:
    """One photograph, prepared; a file that has changed is read anew."""
    return prepare(Split(Files(path), torch.zeros(1, dtype=torch.int64)), wanted)


def _pixels(model: nn.Module, split: Split) -> Tensor:
    """The images of a split in the model's size, on its device: float, in [0, 1].

    To decode the few photographs of one view again for the next one would take longer than all the rest.
    """
    wanted = input_of(model)
    if isinstance(split.x, Files) and 0 < len(split) <= FEW:
        facts = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in split.x]
        pixels = torch.cat([_photograph(*fact, wanted) for fact in facts])
    else:
        pixels = prepare(split, wanted)
    return in_floats(pixels).to(next(model.parameters()).device)


def _normalised(model: nn.Module, split: Split) -> Tensor:
    """The same as the model takes them."""
    return input_of(model).normalise(_pixels(model, split))


def _check_some(split: Split) -> None:
    if not len(split):
        raise ValueError("There are no pictures to look at: this split is empty.")


class _Enough(Exception):
    """What was asked for has been computed; the rest of the network need not run."""


def feature_maps(model: nn.Module, x: Tensor, only: str | None = None) -> dict[str, Tensor]:
    """What comes out of every layer that makes maps, in the order in which they run: N x C x H x W each.

    Args:
        model: RawCNN or any timm model; of a transformer the blocks are listed, their tokens laid out as maps.
        x: images as the model wants them, N x C x H x W.
        only: the one layer that is wanted.
    """
    found, calls, hooks = {}, {}, []

    def note(name):
        def hook(module, _, out):
            if out.ndim == 4:
                calls[name] = calls.get(name, 0) + 1
                key = name if calls[name] == 1 else f"{name} ({calls[name]})"
                if only in (None, key):
                    found[key] = out.clone()  # what follows may write into it
                if only == key:
                    raise _Enough

        return hook

    for name, module in model.named_modules():  # inside ".mlp." channels may come last; ".se." sees no places
        if isinstance(module, _LAYERS) and not {"mlp", "se"} & set(name.split(".")):
            hooks.append(module.register_forward_hook(note(name)))
    try:
        if hasattr(model, "forward_intermediates"):
            number = int(only.split()[1]) if only and only.startswith("block ") else None
            some = {"indices": None if number is None else [number], "stop_early": number is not None}
            blocks = model.forward_intermediates(x, intermediates_only=True, **some)
            found |= {f"block {i if number is None else number}": out for i, out in enumerate(blocks)}
        else:
            model(x)
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found


@cached(2)
def _known(model: nn.Module, split: Split) -> tuple[dict, dict]:
    """What `_loudest` finds, and a place for what `_ends` finds of each layer once it is asked for."""
    return _loudest(model, split), {}


def _loudest(model: nn.Module, split: Split) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For every layer and unit the pictures that excite it most: how much, which, and where in the map; C x PATCHES each."""
    _check_some(split)
    parts = []
    with in_evaluation(model), torch.no_grad():
        for start in range(0, len(split), 128):
            found = feature_maps(model, _normalised(model, split[start : start + 128]))
            parts.append({name: out.flatten(2).max(2) for name, out in found.items()})
    best = {}
    for name in parts[0]:
        values, places = (torch.cat([part[name][i] for part in parts]) for i in (0, 1))
        top, pictures = values.topk(min(PATCHES, len(values)), 0)
        best[name] = top.T, pictures.T, places.gather(0, pictures).T
    return best


def _ends(model: nn.Module, layer: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the units of a layer see, each way: where the part of the first ends and that of the last begins, and how far
    apart those of neighbours are; and the sizes of its maps and of the picture.

    A part is where the sum of a place's units has a gradient: for noise, so that hardly a unit is silent, and for several
    pictures of it where few pixels and few units could be silent together.
    """
    size = input_of(model).size
    many = max(1, 256 // max(size))
    noise = torch.randn(many, *size, generator=torch.Generator().manual_seed(0)).to(next(model.parameters()).device)
    with in_evaluation(model), torch.enable_grad():
        x = noise.repeat(3, 1, 1, 1).requires_grad_()
        out = feature_maps(model, x, layer)[layer]
        second = [min(1, side - 1) for side in out.shape[2:]]
        first, other, last = out.sum(1).split(many)
        asked = first[:, 0, 0].sum() + other[:, second[0], second[1]].sum() + last[:, -1, -1].sum()
        felt = torch.autograd.grad(asked, x)[0].abs().amax(1).split(many)
        felt = [field.amax(0).nonzero().cpu() for field in felt]
    end, after = (field.amax(0) + 1 for field in felt[:2])
    return end, felt[2].amin(0), after - end, torch.tensor(out.shape[2:]), torch.tensor(size[1:])


def _fields(ends: tuple[Tensor, ...], places: Tensor) -> list[list[float]]:
    """What a layer sees of a picture from each of these places in its maps: left, top, width, height, as shares."""
    end, begin, step, sides, size = ends
    boxes = []
    for place in places.tolist():
        at = torch.tensor(divmod(place, int(sides[1])))
        low = (begin - step * (sides - 1 - at)).clamp_min(0) / size
        boxes.append([*low.flip(0).tolist(), *((end + step * at).minimum(size) / size - low).flip(0).tolist()])
    return boxes


def seen(model: nn.Module, split: Split, picture: int = 0, layer: str | None = None, unit: int = 0) -> plots.Figure:
    """One picture in one layer of a network: its feature maps; and of one unit the filter, and what excites it most.

    Args:
        model: RawCNN or a timm model.
        split: pictures, among which the most exciting are sought.
        picture: which of them to look at.
        layer: a key of `feature_maps`; None for the first.
        unit: which of the layer's maps.

    Raises:
        ValueError: there is no such layer, unit or picture.
    """
    best, ends = _known(model, split)
    layer = next(iter(best)) if layer is None else layer
    if layer not in best:
        raise ValueError(f"This network has no layer {layer!r}; it has {', '.join(best)}.")
    top, pictures, places = best[layer]
    for what, number, many in (("unit", unit, len(top)), ("picture", picture, len(split))):
        check_number(what, number, f"a whole number from 0 to {many - 1}", 0, many - 1, whole=True)
    loud, one = pictures[unit].tolist(), split[picture : picture + 1]
    with in_evaluation(model), torch.no_grad():
        maps = feature_maps(model, _normalised(model, one), layer)[layer][0]
    n = min(len(maps), 64)
    first = max(0, min(unit - n // 2, len(maps) - n))
    lines = -(-n // 16)
    tile, patch = 0.44, 0.88  # inches: sixteen maps in a row, and eight pictures
    figure = plots.Figure(WIDE, 2.5 + lines * (tile + 0.02) + patch + 0.72)
    sheet = figure.sheet()
    sheet.text(0.05, 0.22, f"picture {picture}", fontsize=9)
    plots.tiles(sheet, plots.shades(_pixels(model, one)), 1, 1.6, top=0.3)
    sheet.text(1.85, 0.22, f"unit {unit}: its map, {' x '.join(map(str, maps.shape[1:]))}", fontsize=9)
    plots.tiles(sheet, plots.signed(maps[unit][None]), 1, 1.6, left=1.8, top=0.3)
    module = dict(model.named_modules()).get(layer)
    weights = module.weight[unit].detach() if isinstance(module, nn.Conv2d) else None
    if weights is None:
        sheet.text(3.85, 0.22, "this layer has no filters of its own", fontsize=9)
    else:
        shown = weights[:27]
        most = f", the first {len(shown)}" * (len(weights) > len(shown))
        sheet.text(3.85, 0.22, f"its filter, {' x '.join(map(str, weights.shape))}{most}", fontsize=9)
        plots.tiles(sheet, plots.signed(shown), 9, 1.6 if len(shown) == 1 else 0.37, left=3.8, top=0.3)
    top_of_maps = 2.2
    sheet.text(0.05, top_of_maps, f"maps {first} to {first + n - 1} of {len(maps)}; the unit is framed", fontsize=9)
    small = maps[first : first + n]
    if (most := max(small.shape[1:])) > 64:  # larger than they are drawn
        small = F.interpolate(small[None], scale_factor=64 / most, mode="area")[0]
    plots.tiles(sheet, plots.signed(small), 16, tile, top=top_of_maps + 0.08)
    down, across = divmod(unit - first, 16)
    frames = [(across * tile, top_of_maps + 0.08 + down * (tile + 0.02), tile, tile + 0.02)]
    low = top_of_maps + 0.3 + lines * (tile + 0.02)
    sheet.text(0.05, low, "the pictures that excite the unit most; the frame is what it sees of them", fontsize=9)
    labels = [f"{value:.2g}" for value in top[unit].tolist()]
    plots.tiles(sheet, plots.shades(_pixels(model, split[loud])), PATCHES, patch, labels, top=low + 0.02)
    if layer not in ends:
        ends[layer] = _ends(model, layer)
    for i, box in enumerate(_fields(ends[layer], places[unit])):
        if top[unit, i]:  # else it is silent everywhere
            left, top_, width, height = np.array(box) * 0.94 * patch  # of a tile without its gap
            frames.append(((i + 0.03) * patch + left, low + 0.27 + 0.06 * patch + top_, width, height))
    _draw_frames(sheet, frames)
    scale(sheet, low + 0.35 + patch)
    silent = " No picture excites it." * (top[unit].max().item() <= 0)
    figure.alt = (
        f"Picture {picture} in layer {layer}: {len(maps)} maps of {' x '.join(map(str, maps.shape[1:]))}. Unit {unit} "
        f"reaches {maps[unit].max():.2g} here. The pictures that excite it most are {loud}, of the "
        f"classes {split.y[loud].tolist()}, with {', '.join(labels)}.{silent}"
    )
    return figure


def _draw_frames(sheet, frames: list[tuple[float, float, float, float]]) -> None:
    """Frames around (left, top, width, height) each: all in one piece, as each line of its own takes 5 ms."""
    boxes = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)] for x, y, w, h in frames]
    for colour, width in (("black", 3.0), (plots.COLOURS[6], 1.6)):  # dark under light: to be seen on any picture
        sheet.add_collection(LineCollection(boxes, colors=colour, linewidths=width, zorder=2), autolim=False)


def walk(models: nn.Module | dict[str, nn.Module], split: Split) -> Widget:
    """A walk through a network: one picture, every layer's maps and filters, and what a unit sees.

    The same as code: `tl.widgets.seen(model, split, picture=0, layer="conv1", unit=0)`.

    Args:
        models: RawCNN or a timm model, or several by their names.
        split: the pictures.
    """
    several = models if isinstance(models, dict) else {type(models).__name__: models}
    model = ipywidgets.Dropdown(options=several, description="network")
    options = lambda: [(f"{name}: {len(top)} maps", name) for name, (top, *_) in _known(model.value, split)[0].items()]
    most = lambda: len(_known(model.value, split)[0][layer.value][0]) - 1
    layer = ipywidgets.Dropdown(options=options(), description="layer")
    unit = ipywidgets.IntSlider(0, 0, most(), description="unit")

    def follow(_) -> None:
        layer.options = options()  # of which the first is then chosen
        unit.max = most()  # the first layers of two networks may have one name

    model.observe(follow, "value")
    layer.observe(lambda _: setattr(unit, "max", most()), "value")
    picture = ipywidgets.IntSlider(0, 0, len(split) - 1, description="picture")
    return Widget(
        lambda model, picture, layer, unit: seen(model, split, picture, layer, unit),
        model=model,
        picture=picture,
        layer=layer,
        unit=unit,
    )


@cached(2, contents=False)  # found by a run of the network, which takes a fifth of the time of a picture
def _last_with_places(model: nn.Module) -> str | None:
    """The last convolution or stage whose maps have at least 4 x 4 places."""
    modules, stages = dict(model.named_modules()), [stage["module"] for stage in getattr(model, "feature_info", [])]
    with torch.no_grad():
        maps = feature_maps(model, torch.zeros(1, *input_of(model).size, device=next(model.parameters()).device))
    convolutions = [name for name in maps if isinstance(modules.get(name), nn.Conv2d)]
    blocks = {name: maps[f"block {i}"].shape for i, name in enumerate(stages) if f"block {i}" in maps}
    sizes = blocks if len(blocks) == len(stages) > 0 else {name: maps[name].shape for name in convolutions}
    return next((name for name, shape in reversed(sizes.items()) if min(shape[2:]) >= 4), None)


def grad_cam(model: nn.Module, split: Split, classes: Sequence[int], layer: str | None = None) -> Tensor:
    """Where a network looks when it weighs a class: float32, N x H x W in [0, 1], in the size of the model's input.

    Args:
        model: a classifier with feature maps.
        split: images.
        classes: for each image the class that is asked about.
        layer: after which module to look (a name of `named_modules`); None for the last convolution or stage whose maps have
            at least 4 x 4 places, since fewer say nothing about where.

    Raises:
        ValueError: the network makes no such maps.

    Source: Selvaraju and others 2017, Grad-CAM, https://arxiv.org/abs/1610.02391; as captum computes it.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    modules, classes = dict(model.named_modules()), torch.as_tensor(classes).flatten()
    many = getattr(classifier(model), "out_features", None)
    if len(classes) != len(split) or many and len(split) and not 0 <= classes.min() <= classes.max() < many:
        most = f", from 0 to {many - 1}" if many else ""
        raise ValueError(f"classes must be a class for each of {len(split)} images{most}; not {brief(classes.tolist())}.")
    with in_evaluation(model):
        x = _normalised(model, split)
        layer = _last_with_places(model) if layer is None else layer
        if layer not in modules:
            raise ValueError(f"This network has no layer {layer!r} with feature maps to look at; name one.")
        found = LayerGradCam(model, modules[layer]).attribute(x, classes.to(x.device), relu_attributions=True)
    if found.ndim != 4:
        raise ValueError(f"{layer!r} makes no feature maps, as a transformer's blocks do not; name a convolution.")
    heat = LayerAttribution.interpolate(found.detach(), x.shape[2:], "bilinear")[:, 0].cpu()
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)


@cached(2)
def _judged(model: nn.Module, split: Split) -> tuple[Tensor, Tensor]:
    """How sure the model is of its answer to each picture, and the answer."""
    return predict(model, split).max(1)


def _answers(model: nn.Module, split: Split, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The same, where these are names for all of its classes."""
    _check_some(split)
    check_listed("This", classes, "the names of the classes")
    check_order("The model", facts_of(model).classes, split.classes)
    sure, said = _judged(model, split)
    check_names(model, classes)
    most = max(*split.y.tolist(), *said.tolist())
    if most >= len(classes):
        raise ValueError(f"There are {len(classes)} names of classes, and a label or an answer is {most} (counted from 0).")
    return sure, said


def confusion(model: nn.Module, split: Split, classes: Sequence[str]) -> np.ndarray:
    """How often each class (rows) was named as each class (columns): int, classes x classes."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(split.y, _answers(model, split, classes)[1], labels=range(len(classes)))


def mistakes(
    model: nn.Module, split: Split, classes: Sequence[str], cell: Sequence[int] = (), picture: int = 0
) -> plots.Figure:
    """The pictures of one cell of the confusion matrix, the most certain first, and Grad-CAM of one of them.

    Args:
        classes: their names.
        cell: (true class, answer), counted from 0; empty for all mistakes.
        picture: which of them to look into, counted from 0.

    Raises:
        ValueError: there is no such picture.
    """
    sure, said = _answers(model, split, classes)
    check_number("picture", picture, "a whole number from 0", 0, whole=True)
    cell = np.ravel(() if cell is None else cell).tolist()  # it may be a row of np.argwhere
    if cell and not _is_cell(cell, classes):
        raise ValueError(f"A cell is two classes, each from 0 to {len(classes) - 1}; not {cell}.")
    mask = (split.y == cell[0]) & (said == cell[1]) if cell else split.y != said
    where = mask.nonzero().flatten()
    what = f"{classes[cell[0]]} named as {classes[cell[1]]}" if cell else "mistakes"
    if not len(where):
        raise ValueError(f"No picture here: {what}, 0 of {len(split)}.")
    where = where[sure[where].argsort(descending=True, stable=True)]
    number = min(max(picture, 0), len(where) - 1)
    short = max(map(len, classes)) < 4  # names that fit above a small picture
    many, size, gap = (10, 0.7, ", ") if short else (5, 1.4, ",\n")
    start = max(0, min(number - many // 2 + 1, len(where) - many))
    row, one = where[start : start + many], where[number : number + 1]
    truth, answer = split.y[one].item(), said[one].item()
    asked = list(dict.fromkeys((answer, truth)))
    heat = grad_cam(model, split[one.repeat(len(asked))], asked)
    plain = plots.shades(_pixels(model, split[one]))[0]
    on_plain = F.interpolate(heat[:, None], plain.shape[:2], mode="area")[:, 0]
    colour = np.array([0.90, 0.62, 0.0])  # COLOURS[6]
    low = 1.95 if short else 2.8
    figure = plots.Figure(WIDE, low + 2.3)
    sheet = figure.sheet()
    sheet.text(0.05, 0.22, f"{what}: {len(where)} of {len(split)}, the most certain first", fontsize=9)
    labels = [f"{_brief(classes[split.y[i]])}{gap}said {_brief(classes[said[i]])}\n{sure[i]:.3f}" for i in row]
    plots.tiles(sheet, plots.shades(_pixels(model, split[row])), many, size, labels, top=0.4)
    _draw_frames(sheet, [(size * (number - start), 0.8 if short else 0.95, size, size)])
    sheet.text(0.05, low, f"picture {number}: {_brief(classes[truth])}, said {_brief(classes[answer])}", fontsize=9)
    plots.tiles(sheet, plain[None], 1, 2.0, top=low + 0.1)
    for i, (label, share) in enumerate(zip(asked, 0.75 * on_plain.numpy()[..., None])):
        sheet.text(2.65 + 2.2 * i, low, f"what speaks for {_brief(classes[label])}", fontsize=9)
        plots.tiles(sheet, (plain * (1 - share) + colour * share)[None], 1, 2.0, left=2.6 + 2.2 * i, top=low + 0.1)
    first = "; ".join(f"{classes[split.y[i]]}, said {classes[said[i]]} with {sure[i]:.3f}" for i in row)
    looks = _where(heat, [classes[label] for label in asked])
    figure.alt = (
        f"{what}: {len(where)} of {len(split)}. The most certain: {first}. Picture {number}: the network looks {looks}."
    )
    return figure


def _brief(name: str) -> str:
    return name if len(name) < 15 else f"{name[:13]}…"


def _is_cell(cell: Sequence[int], classes: Sequence[str]) -> bool:
    return len(cell) == 2 and all(at in range(len(classes)) for at in cell)


def _where(heat: Tensor, names: Sequence[str]) -> str:
    """In words where the heat of each map lies."""
    texts = []
    for name, map_ in zip(names, heat):
        rows, columns = ((map_.sum(axis) * torch.linspace(0, 1, map_.shape[1 - axis])).sum() / map_.sum() for axis in (1, 0))
        up = "above" if rows < 0.42 else "below" if rows > 0.58 else "in the middle"
        aside = ", left" if columns < 0.42 else ", right" if columns > 0.58 else ""
        texts.append(f"for {name} {up}{aside}" if map_.any() else f"for {name} nowhere")
    return "; ".join(texts)


class Matrix(anywidget.AnyWidget):
    """A confusion matrix of buttons. `value` is the cell that was chosen, [true class, answer], or [] for all mistakes."""

    _esm = Path(__file__).with_name("matrix.js")
    value = traitlets.List([]).tag(sync=True)
    counts = traitlets.List().tag(sync=True)
    classes = traitlets.List().tag(sync=True)


def gallery(model: nn.Module, split: Split, classes: Sequence[str]) -> Widget:
    """A confusion matrix to click: the pictures of a cell, the most certain first, with Grad-CAM for one of them.

    The same as code: `tl.widgets.mistakes(model, split, classes, cell=(3, 5), picture=0)`, `tl.widgets.confusion(...)` and
    `tl.widgets.grad_cam(...)`.

    Args:
        model: a trained classifier.
        split: pictures that it did not learn from.
        classes: their names.
    """
    start = [] if (_answers(model, split, classes)[1] != split.y).any() else [int(split.y[0])] * 2
    matrix = Matrix(classes=[*map(str, classes)], value=start)
    slider = ipywidgets.IntSlider(0, 0, 0, description="picture")
    matrix.observe(lambda _: setattr(slider, "value", 0), "value")

    def show(cell, picture) -> plots.Figure:
        counts = confusion(model, split, classes)
        many = counts[tuple(cell)] if _is_cell(cell, classes) else counts.sum() - counts.trace()
        matrix.counts, slider.max = counts.tolist(), max(0, int(many) - 1)
        return mistakes(model, split, classes, cell, picture)

    widget = Widget(show, cell=matrix, picture=slider)
    widget.children[0].layout.align_items = "flex-start"
    return widget
