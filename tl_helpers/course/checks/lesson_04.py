"""Checks of the exercises of lesson 04."""

from __future__ import annotations

import numpy as np
import timm
import torch
import torch.nn.functional as F

from ...models import backbone, count_parameters
from .base import NotYet, exercise, returned


@exercise("deeper/04")
def moves_randomly(move) -> str:
    """move(images, generator): every image moved by its own random number of whole pixels, up to 3 each way."""

    def moved(seed):
        return move(images, torch.Generator().manual_seed(seed))

    images = torch.rand(200, 1, 32, 28, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.1
    before = images.clone()
    found = moved(0)
    returned(found, "it should return the moved pictures.")
    if not isinstance(found, torch.Tensor) or found.shape != images.shape:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise NotYet(f"For images {tuple(images.shape)} it returned {shape}: the shape has to stay the same.")
    if not torch.equal(images, before):
        raise NotYet("The images that came in have changed: an augmentation returns new ones, or the originals are lost.")
    padded = F.pad(images, (3, 3, 3, 3))
    corners = [(y, x) for y in range(7) for x in range(7)]
    windows = torch.stack([padded[:, :, y : y + 32, x : x + 28] for y, x in corners])
    hits = torch.isclose(windows, found.float()).flatten(2).all(2)
    if not hits.any(0).all():
        inner = torch.isclose(windows, found.float())[..., 3:-3, 3:-3].flatten(2).all(2)
        if inner.any(0).all():
            raise NotYet(
                "Images move, but at the edge something other than black follows: does it come in on the other side?"
            )
        raise NotYet(
            f"{int((~hits.any(0)).sum())} of 200 images are not moved by -3 to 3 whole pixels, with black following."
        )
    drawn = {corners[i] for i in hits.int().argmax(0).tolist()}
    if len(drawn) == 1:
        same = "not at all" if drawn == {(3, 3)} else "all by the same amount"
        raise NotYet(f"The images of a batch are moved {same}; draw a move for each image.")
    if any({corner[axis] for corner in drawn} != set(range(7)) for axis in (0, 1)):
        raise NotYet(
            "Not every move from -3 to 3 occurs, up and down as well as left and right: does randint leave out its end?"
        )
    if len(drawn) < 25:
        raise NotYet("Moves across and moves down depend on each other: draw two numbers for each image.")
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        again = moved(0)
    if not torch.equal(found, again):
        raise NotYet("The same seed gave two results: pass generator=generator to every function that draws random numbers.")
    if torch.equal(found, moved(1)):
        raise NotYet("Another seed gives the same moves: draw from the generator that is passed in, as it is.")
    return "New images each time, the old ones untouched, and a seed repeats them: tl.fit would take it as augment=move."


@exercise("deeper/04")
def black_pixel(values) -> str:
    """What 0 becomes in each channel when it is normalised as resnet18.tv_in1k wants it."""
    config = timm.get_pretrained_cfg("resnet18.tv_in1k")
    mean, std = np.array(config.mean), np.array(config.std)
    values = np.asarray(values, dtype=float)
    if values.shape != (3,):
        raise NotYet(
            f"A list of three numbers was asked for, one for each colour channel; this has the shape {values.shape}."
        )
    if np.allclose(values, -1):
        raise NotYet("That is what our letters backbone wants. Each model has its own mean and std: read this one's.")
    for wrong, why in (
        (0 * mean, "That is a pixel that was not normalised. First the mean is subtracted, and then it is no longer 0."),
        (mean / std, "The sign: (value - mean) / std, with a value of 0, is below zero."),
        (-mean, "The mean is subtracted; now divide by the std."),
        (-mean * std, "You multiplied by the std; normalising divides by it."),
        (mean, "That is the mean itself: subtract it from 0, then divide by the std."),
        ((1 - mean) / std, "That is what white (1) becomes; black is 0."),
    ):
        if np.allclose(values, wrong, atol=0.006):
            raise NotYet(why)
    if not np.allclose(values, -mean / std, atol=0.006):
        raise NotYet(
            f"{values.round(3).tolist()} is not it: (0 - mean) / std in each channel, with the configuration's numbers."
        )
    return "About -2 where ours makes -1: a network that is fed the other's numbers sees a different image."


@exercise("04")
def body_and_head(sizes) -> str:
    """sizes(name, classes): the parameters of an architecture's body, and of a linear head on it."""
    for name, classes in (("resnet10t", 3), ("resnet18", 7)):
        answer = sizes(name, classes)
        returned(answer, "it should return two numbers, body and head.")
        answer = answer.tolist() if hasattr(answer, "tolist") else answer  # an array or a tensor
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise NotYet(f"It returned {answer!r}; two numbers were asked for, body first and then head.")
        body, head = answer
        model = backbone(name, pretrained=False)
        right, features = count_parameters(model)[1], model.num_features
        rest = (features + 1) * classes
        text = f"For {name} and {classes} classes it returned ({body!r}, {head!r})"
        if (body, head) == (rest, right):
            raise NotYet(f"{text}: the right numbers the wrong way round. The body comes first.")
        if body == right + (features + 1) * 1000:
            raise NotYet(f"{text}. The body still has timm's own head for 1,000 classes: use tl.backbone, or num_classes=0.")
        if body == right + rest:
            raise NotYet(f"{text}. The first number is body and head together; the body alone was asked for.")
        if head == features * classes:
            raise NotYet(f"{text}. A linear layer has a bias for each class besides its weights.")
        if head == (features + 1) * 10 or (body, head) == (23508032, 20490):
            raise NotYet(f"{text}: is it the answer for 10 classes, or for ResNet-50, whatever is asked?")
        if body != right:
            raise NotYet(f"{text}; its body has {right:,} parameters.")
        if head != rest:
            raise NotYet(f"{text}; its vectors have {features} features: {features} x {classes} weights, {classes} biases.")
    return "The head grows with features and classes, the body not at all: what is reused is the large part."


@exercise("04")
def weights_for_a_product(names) -> str:
    """The pretrained ResNet-50s for 224 x 224 whose licence does not forbid commercial use."""
    if isinstance(names, str) or not isinstance(names, list | tuple | set):
        raise NotYet("A list of names was asked for.")
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_pretrained("resnet50.*")}
    unknown = [name for name in names if name not in configs]
    if unknown:
        raise NotYet(f"{unknown[0]!r} is not in timm.list_pretrained('resnet50.*'): give names as they stand there.")
    for name in names:
        if "-nc" in configs[name].license:
            raise NotYet(f"{name} is under {configs[name].license}: its weights may not be used commercially.")
        if configs[name].input_size[-1] != 224:
            side = configs[name].input_size[-1]
            raise NotYet(f"{name} was trained on images of {side} x {side}, by the input_size of its configuration.")
    right = {name for name, config in configs.items() if config.input_size[-1] == 224 and "-nc" not in config.license}
    missing = sorted(right - set(names))
    if missing:
        raise NotYet(
            f"{len(missing)} are missing, such as {missing[0]} ({configs[missing[0]].license}): is the filter too strict?"
        )
    return (
        f"{len(right)} of {len(configs)} are suitable, by what timm has noted. Before a product ships, read the card itself "
        "and ask on which photographs the weights were made."
    )
