"""A classifier of ImageNet's thousand classes, as it was pretrained. Lesson 09 asks it what it sees in a photograph."""

from __future__ import annotations

from torch import nn

from ..engine.lite0 import NAMES
from ..engine.parts import Facts
from ..engine.weights import create_pretrained, register
from ..models import freeze


def imagenet(name: str = NAMES[0]) -> nn.Module:
    """A pretrained model with the head it was pretrained with: `tl.predict(tl.imagenet(), "photo.jpg")`.

    Args:
        name: of a timm model; the weights of the default one come with the set-up.

    Returns: the model, frozen, from images to logits (float32, N x 1,000); `model.facts.classes` has the names.

    Raises:
        ValueError: the model knows other classes than these.
        ConnectionError: its weights are not on this machine and cannot be downloaded.

    Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015; the names are WordNet's.
    """
    from timm.data import ImageNetInfo

    register()
    model, info = create_pretrained(name, {}), ImageNetInfo()
    names = tuple(info.label_descriptions())
    if model.num_classes != len(names):
        raise ValueError(f"{name!r} knows {model.num_classes} classes, not ImageNet's {len(names):,}: take another model.")
    model.facts = Facts(names)
    return freeze(model)
