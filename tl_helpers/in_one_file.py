"""Transfer learning, all of it, in one file. `python -m tl_helpers.in_one_file` runs it, in under a minute on two cores.

The question: you have five labelled images of each digit, fifty in all. How well can a network learn to read from so few?

A ResNet of 4.9 million weights that starts from nothing has little to go by. So let it look at something else first: printed
letters, 172 kinds of them, turned, warped and blurred, and never a digit. What it learned there about strokes, bends and
crossings lies in data/resnet10t.letters.safetensors, and turns out to be what handwritten digits are made of, too. There are
two ways to take it over, and one to do without:

    linear probe    keep the network as it is, and fit one linear layer to what it says about the fifty images
    fine-tuning     put a new last layer on it, and let all of it go on learning from where the letters left it
    from scratch    the same network, the same images, as many steps; but its first weights are random

Each then reads 797 digits that nothing here has seen. This is one draw of fifty images, and two points more or less may be
chance: the README has ten draws with their intervals. There all methods see the images a little bent, anew in each
epoch, and training from scratch comes nearer.

All of this is plain torch, timm and scikit-learn. Lessons 04 to 06 take these steps one by one; the rest of tl_helpers takes
them with more care (photographs, checkpoints, GPUs, wrong input), and a test holds the two together. Read it from the top.
"""

import math
import time
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

LETTERS = Path(__file__).parent.parent / "data" / "resnet10t.letters.safetensors"


# The data


def digits(shots: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Real handwriting, scikit-learn's 8 x 8 scans: training images and their labels, test images and their labels.

    Of each digit 90 images are a pool, from which the seed draws `shots`; 10 are for making choices, which this file does
    without; the rest, 797 in all, are the test. Images are uint8, N x 1 x 28 x 28; labels int64, N.
    """
    scans = load_digits()
    images = torch.from_numpy(scans.images * (255 / 16)).float().unsqueeze(1)
    images = F.interpolate(images, (28, 28), mode="bicubic", align_corners=False).clamp(0, 255).round().byte()
    labels = torch.from_numpy(scans.target).long()

    places = [np.random.default_rng(2018).permutation(np.flatnonzero(scans.target == digit)) for digit in range(10)]
    draw = np.random.default_rng(seed)
    train = np.concatenate([draw.permutation(place[:90])[:shots] for place in places])
    test = np.sort(np.concatenate([place[100:] for place in places]))
    return images[train], labels[train], images[test], labels[test]


def prepare(images: Tensor) -> Tensor:
    """Images as the network saw letters when it learned: 32 x 32, from -1 to 1. Fed otherwise, it is half blind."""
    pixels = F.interpolate(images / 255, (32, 32), mode="bicubic", align_corners=False, antialias=True)
    return (pixels.clamp(0, 1) - 0.5) / 0.5


# The network


def network(pretrained: bool, classes: int, seed: int = 0) -> nn.Module:
    """timm's resnet10t: images N x 1 x 32 x 32 to a number for each class, or with 0 classes to their features, N x 512.

    Its last layer is always a new one, with random weights: letters are not what we ask for.
    """
    torch.manual_seed(seed)
    model = timm.create_model("resnet10t", in_chans=1, num_classes=172)
    if pretrained:
        model.load_state_dict(load_file(LETTERS))
    model.reset_classifier(classes)
    return model


# How it learns, and how it answers


def train(model: nn.Module, x: Tensor, y: Tensor, lr: float, epochs: int = 30, seed: int = 0) -> nn.Module:
    """The loop of every PyTorch tutorial. The learning rate warms up over a tenth of the steps, then falls to zero."""
    batches = math.ceil(len(x) / 32)
    steps = batches * epochs
    optimizer = torch.optim.AdamW(param_groups_weight_decay(model, 0.01), lr)
    share = lambda step: min(1, (step / steps + 1e-3) / 0.1) * (1 + math.cos(math.pi * step / steps)) / 2
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    order = torch.Generator().manual_seed(seed)

    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).tensor_split(batches):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model


@torch.no_grad()
def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """What a model says about each example; its batch norms no longer learn, and use the statistics that they have."""
    model.eval()
    return torch.cat([model(part) for part in x.split(256)])


# The comparison


def main(shots: int = 5, seed: int = 0) -> dict[str, float]:
    """Train each way, print the table, and return the accuracies.

    Only the rate of `from scratch` was chosen (the best of three, on the test digits of draws 0 to 2), which favours it.
    """
    images, y, test_images, test_y = digits(shots, seed)
    x, test_x = prepare(images), prepare(test_images)
    print(f"{len(y)} labelled digits{'weights learned':>25}{'seconds':>10}{f'accuracy on {len(test_y)} others':>26}")
    accuracies = {}

    def report(name: str, weights: int, start: float, guesses: Tensor) -> None:
        accuracies[name] = (guesses == test_y).float().mean().item()
        print(f"{name:<25}{weights:>18,}{time.perf_counter() - start:>10.1f}{accuracies[name]:>26.3f}", flush=True)

    start = time.perf_counter()
    simple = LogisticRegression(max_iter=1000).fit(images.flatten(1) / 255, y)  # no network at all: what is there to beat?
    report("logistic regression", simple.coef_.size, start, torch.tensor(simple.predict(test_images.flatten(1) / 255)))

    start = time.perf_counter()
    scratch = train(network(False, classes=10, seed=seed), x, y, lr=1e-2, seed=seed)
    report("from scratch", sum(p.numel() for p in scratch.parameters()), start, outputs(scratch, test_x).argmax(1))

    start = time.perf_counter()
    backbone = network(True, classes=0, seed=seed)
    features, test_features = outputs(backbone, x), outputs(backbone, test_x)  # once: the backbone stays as it is
    probe = train(nn.Linear(512, 10), features, y, lr=1e-2, seed=seed)
    report("linear probe", sum(p.numel() for p in probe.parameters()), start, outputs(probe, test_features).argmax(1))

    start = time.perf_counter()
    tuned = train(network(True, classes=10, seed=seed), x, y, lr=1e-3, seed=seed)
    report("fine-tuning", sum(p.numel() for p in tuned.parameters()), start, outputs(tuned, test_x).argmax(1))
    return accuracies


if __name__ == "__main__":
    main()
