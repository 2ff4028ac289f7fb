"""How a model is taken apart: its head, its blocks, what of it rests. Lesson 06 looks at what this file finds."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..device import seeded
from .validate import check_number


@contextlib.contextmanager
def in_evaluation(*models: nn.Module):
    """Inside the `with` block models are in evaluation mode; then each part is as it was: some may have been set by hand."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def check_parts(body: nn.Module, model: nn.Module, size: tuple[int, int, int]) -> None:
    """Raise a ValueError unless a frozen model is its backbone and then its head, in training too: tried on two images."""

    def refuse(why: str):
        name = model.pretrained_cfg.get("architecture", type(model).__name__)
        plain = name.replace("_distilled", "")
        other = f"{plain!r}" if plain != name else "another architecture, 'resnet18' or 'vit_tiny_patch16_224' for example"
        raise ValueError(f"{name} cannot be taken for a backbone and a linear head: {why}. Take {other}.")

    last, weights = classifier(model), next(body.parameters())
    if not isinstance(last, nn.Linear):
        refuse(f"it does not end in one linear layer, but in a {type(last).__name__}")
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    initial = [parameter.clone() for parameter in last.parameters()]
    with seeded(0), in_evaluation(body, model):
        images = torch.randn(2, *size).to(weights)
        for parameter in last.parameters():  # some architectures begin with zeros, which hide what comes before
            nn.init.normal_(parameter)
        try:
            vectors = before_head(body, images)
            parts, whole = last(vectors).log_softmax(1), model(images).log_softmax(1)  # RawCNN's are logs already
            again = before_head(model.train(), images)
        except Exception as error:  # architectures fail in many ways
            refuse(f"on images of {' x '.join(map(str, images.shape[1:]))} it says {str(error).strip(' .')!r}")
        finally:
            for parameter, value in zip(last.parameters(), initial):
                parameter.copy_(value)
    if not _near(parts, whole):
        refuse("its head on features answers otherwise than all of it on images")
    if not _near(again, vectors) or not all(torch.equal(b, buffers[name]) for name, b in model.named_buffers()):
        refuse("frozen, it computes otherwise in training than in evaluation")


def _near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-3 * b.abs().max())


def before_head(model: nn.Module, x: Tensor) -> Tensor:
    """What a model hands to its last layer, or a bare backbone returns: N x D, for images N x C x H x W as it wants them.

    Raises:
        ValueError: that is no vector for each image.
    """
    last, found = classifier(model), []
    if last is model or isinstance(last, nn.Identity):
        found.append(model(x))
    else:
        handle = last.register_forward_pre_hook(lambda _, given: found.append(given[0]))
        try:
            model(x)
        finally:
            handle.remove()
    if len(found) != 1 or not isinstance(found[0], Tensor) or found[0].ndim != 2:
        raise ValueError(f"{type(model).__name__} has no backbone that makes one vector (N x D) of each image.")
    return found[0]


def checksum(values: Tensor) -> int:
    """Of a tensor's bytes; of 20 MB in about 10 ms."""
    return zlib.crc32(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())


def checksums_before_head(model: nn.Module) -> dict[str, int]:
    """Of each weight and statistic, by its name, but for those of the last layer."""
    model = uncompiled(model)
    last = classifier(model)
    head = {id(values) for values in (*last.parameters(), *last.buffers())}
    named = itertools.chain(model.named_parameters(), model.named_buffers())
    return {name: checksum(values) for name, values in named if id(values) not in head}


def rates(model: nn.Module) -> list[tuple[str, float]]:
    """The rates of dropout that a model's parts hold beside their layers, as timm's `drop_rate`: not in `str(model)`."""
    named = [item for part in model.modules() for item in sorted(vars(part).items())]
    return [(name, value) for name, value in named if re.search("drop|rate|prob", name) and isinstance(value, (int, float))]


def uncompiled(model: nn.Module) -> nn.Module:
    """What `torch.compile` was given, whose weights still have the names that tell its blocks apart; else the model."""
    return getattr(model, "_orig_mod", model)


def classifier(model: nn.Module) -> nn.Module:
    """The last layer: what maps a feature vector to one number for each class; of a bare backbone, nn.Identity."""
    if not hasattr(model, "get_classifier"):
        return model
    if getattr(model, "num_classes", None) == 0:
        return nn.Identity()
    last = model.get_classifier()
    last = last if isinstance(last, nn.Module) else nn.ModuleList(last)  # of a distilled model: two of them
    linear = [part for part in last.modules() if isinstance(part, nn.Linear)]
    return linear[0] if len(linear) == 1 else last  # some architectures count the pooling before it as well


def answering(model: nn.Module, vectors: bool) -> nn.Module:
    """What answers for a model: all of it, or of vectors its head.

    Raises:
        ValueError: it has none: the largest of a backbone's features would be taken for a class.
    """
    last = classifier(model)
    if isinstance(last, nn.Identity):
        raise ValueError("This is a bare backbone, which names no classes: give it a head with tl.head(body, task).")
    return last if vectors else model


def check_outputs(model: nn.Module, split) -> None:
    """Raise a ValueError for labels of a split that a model's last layer cannot be meant for, since these are not as many.

    Of a model that learned the split's classes by name, and others too, they may be a part.
    """
    many, learned = getattr(classifier(model), "out_features", None), facts_of(model).classes
    counted = max(len(split.classes), int(split.y.max()) + 1 if len(split) else 0)
    whole = not split.classes or {*split.classes} <= {*learned}
    if many is not None and (counted > many or counted < many and not whole):
        raise ValueError(
            f"The model tells {many} classes apart, and these labels {counted}: give it a head for them, with "
            "tl.head(model, task), or labels by the numbers of its own classes, in a tl.Split(x, y)."
        )


def check_logits(answers: Tensor) -> Tensor:
    """A model's answers, if they are one number for each class, and not what softmax has made of them already."""
    if answers.ndim != 2:
        each = " x ".join(map(str, answers.shape[1:])) or "single"
        raise ValueError(f"The model answers with {each} numbers for each image, not with one for each class.")
    shares = len(answers) and answers.min() >= 0 and ((answers.sum(1) - 1).abs() < 1e-5).all()
    if shares and answers.shape[1] > 1:  # softmax once more would make them nearly alike: none of ten could pass .23
        raise ValueError(
            "The model answers with probabilities (or 1 for one class and 0 for the others), and is to give logits or "
            "log-probabilities: leave out the softmax at its end, or return the logarithm."
        )
    return answers


def no_nan(answers: Tensor) -> Tensor:
    """The answers, if they are numbers; else a ValueError, since the largest of those that are none is the first class."""
    if answers.isnan().any():
        raise ValueError("The model answers with NaN, no numbers: its training diverged, or its weights are damaged.")
    return answers


def blocks(model: nn.Module) -> list[list[str]]:
    """The names of a model's parameters, block by block from the input to the last block; the head is in none of them.

    Blocks are what timm says, or where it says nothing the parts of the model in their order.
    """
    from timm.models import group_parameters

    model = uncompiled(model)
    if not hasattr(model, "get_classifier"):
        raise ValueError(f"{type(model).__name__} has no head by itself: freeze and unfreeze take timm's models and RawCNN.")
    try:
        groups = group_parameters(model, model.group_matcher(coarse=True))
        parts = [groups[k] for k in sorted(groups)]
    except (AttributeError, AssertionError):  # there is no group_matcher, or none that is coarse
        groups = {}
        lists = {name for name, part in model.named_children() if isinstance(part, (nn.Sequential, nn.ModuleList))}
        for name, _ in model.named_parameters():
            place = name.split(".")[:-1]
            groups.setdefault(tuple(place[: 2 if lists & set(place[:1]) else 1]), []).append(name)
        parts = list(groups.values())
    weights, last = dict(model.named_parameters()), {id(p) for p in classifier(model).parameters()}
    parts = [[name for name in part if id(weights[name]) not in last] for part in parts]
    parts = [part for part in parts if part]
    if len(parts) > 1 and all(weights[name].ndim < 2 for name in parts[-1]):  # a norm before the head, no block by itself
        parts[-2:] = [parts[-2] + parts[-1]]
    return parts


def keep_frozen_still(model: nn.Module) -> None:
    """Let what is frozen by `requires_grad` compute in training as in evaluation, and what learns as in training again."""
    last = classifier(model)
    head = {id(p) for p in last.parameters()}

    def visit(module: nn.Module, before: bool) -> bool:
        """Whether the module is frozen. What has no weights, as a dropout, goes with the weights before it."""
        if module is last:
            return before
        weights = [p for p in module.parameters() if id(p) not in head]
        frozen = not any(p.requires_grad for p in weights) if weights else before
        for key in [key for key, hook in module._forward_pre_hooks.items() if hook is _rest]:
            del module._forward_pre_hooks[key]
        if frozen:
            module.register_forward_pre_hook(_rest)
        for child in module.children():
            before = visit(child, before or frozen)
        return frozen

    visit(model, False)


def _rest(module: nn.Module, _) -> None:
    """A hook before `forward`, which finds the module in evaluation mode, whatever `train()` has said."""
    if module.training:
        module.training = False


def at_rest(module: nn.Module) -> bool:
    """Whether this part of a model is frozen, so that it computes in training as in evaluation."""
    return _rest in module._forward_pre_hooks.values()


def spared_by_decay(model: nn.Module) -> set[str]:
    return set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a model besides its weights, as its `.facts`: `fit` and `calibrate` note it, `save` keeps it.

    classes: the names of what it tells apart, in order.
    temperature: what `calibrate` divided its logits by, or None.
    threshold: the probability below which an answer counts as "I don't know", or None.
    """

    classes: tuple[str, ...] = ()
    temperature: float | None = None
    threshold: float | None = None

    def __post_init__(self):
        if self.threshold is not None:
            check_number("threshold", self.threshold, "a probability, from 0 to 1", 0, 1)
        if self.temperature is not None:
            check_number("temperature", self.temperature, "a number above 0", math.nextafter(0, 1))


def facts_of(model: nn.Module) -> Facts:
    """What is known of a model; of one that has learned nothing here, nothing."""
    return getattr(model, "facts", Facts())


def check_names(model: nn.Module, names: Sequence[str]) -> None:
    """Raise a ValueError for the names of a model's classes in another order than it learned them."""
    learned = facts_of(model).classes
    if any(name in learned and name != other for name, other in itertools.zip_longest(names, learned)):
        raise ValueError(f"The model learned its classes in another order: {', '.join(learned)}.")
