"""Checks of the exercises of lesson 02, and of the notebook behind it."""

from __future__ import annotations

import copy
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import nn

from ...device import seeded
from ...models import RawCNN
from .base import NotYet, exercise, returned


@exercise("02")
def stroke_kernel(kernel) -> str:
    """A 5 x 5 kernel that finds the middle of horizontal strokes, not vertical ones, not even areas."""
    kernel = torch.as_tensor(kernel).detach().float().squeeze()
    if tuple(kernel.shape) != (5, 5):
        raise NotYet(f"The kernel is {' x '.join(map(str, kernel.shape))}; 5 x 5 was asked for: five rows of five numbers.")
    if not kernel.isfinite().all():
        raise NotYet("Some weights are not finite numbers: did you divide by 0, as by the sum of weights that add up to 0?")
    size = kernel.abs().sum().item()
    if not size:
        raise NotYet("All weights are 0, so the answer is 0 everywhere.")
    if abs(kernel.sum().item()) > 1e-3 * size:
        raise NotYet(f"The weights add up to {kernel.sum():g}, so it answers to evenly white areas: make that 0.")
    stroke = torch.zeros(28, 28)
    stroke[13:16] = 1  # three rows; the middle one, 14, is row 12 of the answer
    across, along = (F.conv2d(image.view(1, 1, 28, 28), kernel.view(1, 1, 5, 5))[0, 0] for image in (stroke, stroke.T))
    middle, tolerance = across[12, 12].item(), 1e-4 * size
    if middle < -tolerance and -middle >= across.abs().max().item() - tolerance:
        raise NotYet("It finds horizontal strokes, with a minus: turn all signs round, so that the answer is highest there.")
    if across.abs().max() <= max(tolerance, along.abs().max() / 3):
        raise NotYet("It answers to vertical strokes as much as to horizontal ones, or more. Is it even along rows?")
    if torch.allclose(kernel, -kernel.flip(0), atol=1e-4 * size):
        raise NotYet(
            "This finds horizontal edges: its answer is high on one side of the stroke and negative on the other. A stroke "
            "is dark above, bright in the middle, dark below."
        )
    if middle <= tolerance or middle < across.max().item() - tolerance:
        raise NotYet(
            f"In the middle of a stroke three pixels thick the answer is {middle:g}, and the highest is {across.max():g}. "
            "Give the three middle rows what makes the answer high, and the first and the last row the opposite sign."
        )
    if along.abs().max() > middle / 3:
        raise NotYet(f"Horizontal strokes get {middle:g}, vertical ones up to {along.abs().max():g}: make each row even.")
    return "It finds horizontal strokes. In a network nobody makes kernels by hand: training changes random ones."


@exercise("02")
def output_size(function) -> str:
    """function(side, chain): the side of the maps after ("conv", k) and ("pool", k) layers."""
    cases = [
        (28, [("conv", 5)], 24),
        (24, [("pool", 2)], 12),
        (25, [("pool", 2)], 12),
        (28, [("conv", 1)], 28),
        (28, [("conv", 5), ("pool", 2), ("conv", 5), ("pool", 2)], 4),
        (32, [("conv", 3), ("pool", 2), ("conv", 4), ("pool", 3)], 4),
        (17, [], 17),
    ]
    for side, chain, right in cases:
        found = function(side, list(chain))
        returned(found, "it should return the side after the last layer.")
        if found == right and isinstance(found, Integral):
            continue
        text = f"For side {side} and {chain} it returned {found!r}"
        if chain == [("conv", 5)] and found == 23:
            raise NotYet(f"{text}. The first place is at 0 and the last at 23: that makes 24 places, one more than 28 - 5.")
        if isinstance(found, float) and int(found) == right:
            raise NotYet(f"{text}. There is no part of a pixel: use // , which drops the rest.")
        if chain == [("conv", 5)]:
            raise NotYet(f"{text}. How many places has a kernel of 5 on 28 pixels without sticking out?")
        raise NotYet(f"{text}; it should be {right}. Change the side at each layer in turn, with the k of that layer.")
    return "You can now tell before running it whether layers fit: 28, 24, 12, 8, 4, and 20 maps of 4 x 4 make 320."


@exercise("deeper/02")
def parameters_of_conv(function) -> str:
    """function(inputs, outputs, kernel): weights and biases of a convolution."""
    for inputs, outputs, kernel in ((1, 10, 5), (10, 20, 5), (3, 64, 7), (8, 4, 1)):
        found = function(inputs, outputs, kernel)
        right = sum(p.numel() for p in nn.Conv2d(inputs, outputs, kernel).parameters())
        returned(found, "it should return a whole number.")
        if found == right:
            continue
        text = f"For {inputs} maps in, {outputs} out and kernel {kernel} it returned {found}"
        if found == right - outputs:
            raise NotYet(f"{text}. Those are the weights. Each output map has one bias besides.")
        if found == outputs * (kernel * kernel + 1):
            raise NotYet(f"{text}. A kernel looks at all input maps at once and has weights of its own for each of them.")
        if found == inputs * outputs * (kernel * kernel + 1):
            raise NotYet(f"{text}. The bias is added once to an output map, not once for each input map.")
        if found == outputs * (inputs * kernel + 1):
            raise NotYet(f"{text}. The kernel is a square: kernel times kernel weights.")
        raise NotYet(f"{text}; PyTorch counts {right}. One output map needs inputs x kernel x kernel weights and one bias.")
    return "260 for the first convolution, 5,020 for the second: few, since a kernel is used at every place."


@exercise("02")
def article_net(model) -> str:
    """The article's network as an nn.Sequential: the same answers as RawCNN, once it has the same weights."""
    if not isinstance(model, nn.Sequential):
        raise NotYet(f"This is a {type(model).__name__}; compose the layers yourself, in nn.Sequential(...).")
    model, raw = copy.deepcopy(model).cpu().eval(), RawCNN(seed=1).eval()
    x = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    h = x
    for i, layer in enumerate(model):
        try:
            h = layer(h)
        except Exception as error:
            shape = " x ".join(map(str, h.shape[1:]))
            raise NotYet(f"Layer {i}, {type(layer).__name__}, cannot take what it gets, {shape} an image: {error}") from None
    if h.shape != (8, 10):
        raise NotYet(f"For 8 images the answer is {tuple(h.shape)}; it should be 8 x 10, one number for each class.")
    mine, theirs = ([tuple(p.shape) for p in m.parameters()] for m in (model, raw))
    if mine != theirs:
        total = sum(p.numel() for p in model.parameters())
        raise NotYet(f"It has {total:,} parameters in tensors {mine}; the article's has 21,840 in {theirs}.")
    with torch.no_grad():
        for p, q in zip(model.parameters(), raw.parameters()):
            p.copy_(q)
        answers, right = model(x), raw(x)
        if not torch.allclose(answers.exp().sum(1), torch.ones(8), atol=1e-3):
            if torch.allclose(answers.log_softmax(1), right, atol=1e-4):
                raise NotYet("The answers are not log-probabilities yet: at the end log-softmax over dim=1 is missing.")
            raise NotYet("The exponentials of an image's answers do not add up to 1: is nn.LogSoftmax(dim=1) the end?")
        if not torch.allclose(answers, right, atol=1e-4):
            raise NotYet("All weights fit, but with the same ones it answers differently: a ReLU missing, or one too many?")
        kinds = [type(layer) for layer in model.modules()]
        if nn.Dropout2d not in kinds or nn.Dropout not in kinds:
            raise NotYet("When evaluated it answers like the article's. In training the dropouts are missing, or one is.")
        with seeded(0):
            dropped = model.train()(x)
        if torch.equal(dropped, answers):
            raise NotYet("In training the dropouts do nothing: the article's silence half of the values.")
        with seeded(0):
            if not torch.allclose(dropped, raw.train()(x), atol=1e-4):
                raise NotYet(
                    "In training it drops otherwise than the article's: half of the maps after conv2 (Dropout2d), and half "
                    "of the 50 numbers after fc1 and its ReLU (Dropout)."
                )
    return "The same 21,840 parameters and, given the same weights, the same answers: you have composed it."
