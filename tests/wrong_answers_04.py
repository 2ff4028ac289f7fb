"""Right and typical wrong answers to the exercises of lesson 04."""

import numpy as np
import timm
import torch
import torch.nn.functional as F

import tl_helpers as tl


def _move(images, generator, up_to=7, each=True, drawn=True, follow="constant"):
    """A move as the exercise wants it, and with its arguments the ways to miss it."""
    height, width = images.shape[2:]
    large = F.pad(images, (3, 3, 3, 3), mode=follow)
    source = generator if drawn else None
    corners = torch.randint(0, up_to, (len(images) if each else 1, 2), generator=source).expand(len(images), 2).tolist()
    return torch.stack([one[:, y : y + height, x : x + width] for one, (y, x) in zip(large, corners)])


def _in_place(images, generator):
    images.copy_(_move(images, generator))
    return images


def _sizes(name, classes, own_head=False, bias=1):
    body = timm.create_model(name, num_classes=1000 if own_head else 0)
    return tl.models.count_parameters(body)[1], (body.num_features + bias) * classes


NAMES = timm.list_pretrained("resnet50.*")
FREE = [name for name in NAMES if "-nc" not in timm.get_pretrained_cfg(name).license]
SIZED = [name for name in NAMES if timm.get_pretrained_cfg(name).input_size[-1] == 224]
CONFIG = timm.get_pretrained_cfg("resnet18.tv_in1k")

RIGHT = {
    "moves_randomly": _move,
    "black_pixel": [-mean / std for mean, std in zip(CONFIG.mean, CONFIG.std)],
    "body_and_head": _sizes,
    "weights_for_a_product": [name for name in FREE if name in SIZED],
}
ALSO_RIGHT = {"body_and_head": [lambda *given, make=make: make(_sizes(*given)) for make in (np.array, torch.tensor)]}
WRONG = {
    "moves_randomly": [
        (lambda images, generator: ..., "returns nothing so far"),
        (lambda images, generator: images[:, :, 1:], "shape has to stay the same"),
        (_in_place, "have changed"),
        (lambda images, generator: _move(images, generator, follow="circular"), "on the other side"),
        (lambda images, generator: images.flip(3), "not moved by -3 to 3"),
        (lambda images, generator: images.clone(), "not at all"),
        (lambda images, generator: _move(images, generator, each=False), "all by the same amount"),
        (lambda images, generator: _move(images, generator, up_to=6), "leave out its end"),
        (lambda images, generator: _move(images, generator, drawn=False), "two results"),
        (lambda images, generator: _move(images, torch.Generator().manual_seed(0)), "Another seed"),
    ],
    "black_pixel": [
        ([0, 0, 0], "not normalised"),
        ([-1, -1, -1], "letters backbone"),
        (list(CONFIG.mean), "mean itself"),
        ([mean / std for mean, std in zip(CONFIG.mean, CONFIG.std)], "sign"),
        ([-mean for mean in CONFIG.mean], "divide by the std"),
        (-2.118, "three numbers"),
    ],
    "body_and_head": [
        (lambda name, classes: ..., "returns nothing so far"),
        (lambda name, classes: (23508032, 20490), "whatever is asked"),
        (lambda name, classes: _sizes(name, classes)[::-1], "wrong way round"),
        (lambda name, classes: _sizes(name, classes, own_head=True), "1,000 classes"),
        (lambda name, classes: _sizes(name, classes, bias=0), "a bias for each class"),
        (lambda name, classes: sum(_sizes(name, classes)), "two numbers"),
        (lambda name, classes: torch.tensor(sum(_sizes(name, classes))), "two numbers"),
    ],
    "weights_for_a_product": [
        (NAMES, "trained on images of"),
        (SIZED, "may not be used commercially"),
        (["resnet50.a1_in1k"], "are missing"),
        ([], "are missing"),
        (["resnet50"], "is not in"),
        ("resnet50.a1_in1k", "list of names"),
    ],
}
