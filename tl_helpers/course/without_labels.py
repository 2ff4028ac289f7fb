"""Pretraining without labels: SimCLR on letters or digits, and controls that differ from it in one thing each.

Lesson 12 writes the loss and the loop in its own cells; here they are repeated, for the stored grid `without_labels`.
"""

from __future__ import annotations

import copy
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import glyphs
from ..data import digits, in_floats, letters
from ..device import seeded
from ..engine.weights import DATA
from ..images import prepare
from ..models import backbone, freeze, input_of

RESNET = "resnet10t.letters"
TEMPERATURE, RATE, DECAY = 0.2, 3e-3, 0.05
LOOP = 4  # to be raised with every change of `learn`, so that what was pretrained before is made anew


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a backbone is pretrained from random weights.

    images: "letters" (2,752 printed ones) or "digits" (the 900 handwritten ones that labels are drawn from).
    labels: whether they are used: cross-entropy in place of the loss of pairs, on the same views.
    without: what the views leave out, see `glyphs.augment`; strength: of the views.
    steps, batch: so many steps, each with two views of so many images. 400 steps take two and a half minutes of one core.
    """

    images: str = "letters"
    labels: bool = False
    without: str | None = None
    strength: float = 1.0
    steps: int = 400
    batch: int = 128


BARE, LABELLED, OWN = "letters without labels", "letters with labels", "digits without labels"
UNTURNED, UNTHICKENED = "letters without labels, never turned", "letters without labels, one thickness"
RECIPES = {
    BARE: Recipe(),
    LABELLED: Recipe(labels=True),
    OWN: Recipe("digits"),
    UNTURNED: Recipe(without="turning"),
    UNTHICKENED: Recipe(without="thickness"),
}
SEEDS = range(3)
PRETRAININGS = {f"{name}, {seed}": (name, seed) for seed in SEEDS for name in RECIPES}  # as backbones of the grid


def images_of(name: str) -> tuple[Tensor, Tensor]:
    """The images of a recipe as the backbone takes them, not yet normalised (float32, N x 1 x 32 x 32), and their labels."""
    task = letters() if name == "letters" else digits("all")
    return in_floats(prepare(task.train, input_of(backbone(RESNET, pretrained=False)))), task.train.y


def pair_loss(vectors: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The loss of SimCLR (Chen and others 2020): each vector is to recognise its partner among all the others.

    Args:
        vectors: of 2 N views, float32, 2 N x D; the partner of the i-th is the (i + N)-th.
        temperature: by which similarities (cosines, -1 to 1) are divided; the smaller, the more the nearest others count.

    Returns: the mean cross-entropy in nats; ln(2 N - 1) for vectors that are all alike.

    Raises:
        ValueError: they are no pairs.
    """
    if len(vectors) % 2 or len(vectors) < 4:
        raise ValueError(f"The vectors must be those of two views of each of at least two images, not {len(vectors)}.")
    unit, many = F.normalize(vectors, dim=1), len(vectors)
    scores = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)  # nobody is asked to recognise itself
    return F.cross_entropy(scores, torch.arange(many).roll(many // 2))


def learn(images: Tensor, labels: Tensor | None = None, seed: int = 0, recipe: Recipe = RECIPES[BARE]) -> nn.Module:
    """The first three blocks of a resnet10t pretrained from random weights, with the loss of pairs, or with labels if given.

    Args:
        images: float32 in [0, 1], N x 1 x 32 x 32.
        labels: int64, N, or None.
        seed: of the initial weights, the order and the views.
        recipe: strength, without, steps and batch of it.

    Returns: a bare backbone (its features are N x 1,024), in evaluation mode.
    """
    body = three_blocks(backbone(RESNET, pretrained=False, seed=seed))
    normalise, size = input_of(body).normalise, body.num_features
    with seeded(seed):
        if labels is None:
            top = nn.Sequential(nn.Linear(size, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, 256))
        else:
            top = nn.Linear(size, int(labels.max()) + 1)
        optimizer = torch.optim.AdamW([*body.parameters(), *top.parameters()], RATE, weight_decay=DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=recipe.steps)
        body.train()
        for _ in range(recipe.steps):
            some = torch.randperm(len(images))[: recipe.batch]
            views = [glyphs.augment(images[some], None, recipe.strength, recipe.without) for _ in range(2)]
            answers = top(body(normalise(torch.cat(views))))
            if labels is None:
                loss = pair_loss(answers)
            else:
                loss = F.cross_entropy(answers, labels[some].repeat(2), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return body.eval()


def three_blocks(body: nn.Module) -> nn.Module:
    """A copy of a resnet10t without its fourth block: of an image of 32 x 32 pixels its features are what that block would
    get, 256 maps of 2 x 2 places, as 1,024 numbers. Its weights are stored channels-last, a sixth faster on a CPU.

    Raises:
        ValueError: this is no resnet10t, or one of other images.
    """
    if getattr(body, "pretrained_cfg", {}).get("architecture") != "resnet10t" or input_of(body).size[1:] != (32, 32):
        raise ValueError("three_blocks takes a resnet10t only, for images of 32 x 32 pixels.")
    body = copy.deepcopy(body).to(memory_format=torch.channels_last)
    body.layer4, body.num_features = nn.PixelUnshuffle(2), 1024  # N x 256 x 2 x 2 to N x 1,024 x 1 x 1
    return body


def pretrained(name: str) -> nn.Module:
    """The frozen backbone of one of PRETRAININGS; kept in the folder `pretrained`, made where no file of its recipe is."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = DATA.parent / "pretrained" / f"{name.replace(',', '').replace(' ', '_')}.safetensors"
    recipe, seed = PRETRAININGS[name]
    facts = {"recipe": f"{RECIPES[recipe]}, loop {LOOP}"}
    if not path.exists() or safe_open(path, "pt").metadata() != facts:
        images, labels = images_of(RECIPES[recipe].images)
        body = learn(images, labels if RECIPES[recipe].labels else None, seed, RECIPES[recipe])
        path.parent.mkdir(exist_ok=True)
        save_file({k: v.contiguous() for k, v in body.state_dict().items()}, path.with_suffix(".part"), facts)
        path.with_suffix(".part").replace(path)
    body = three_blocks(backbone(RESNET, pretrained=False))
    body.load_state_dict(load_file(path))
    return freeze(body).eval()
