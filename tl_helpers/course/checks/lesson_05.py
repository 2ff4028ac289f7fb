"""Checks of the exercises of lesson 05."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from ...data import Split
from ...device import seeded
from ...models import RawCNN, freeze
from .base import NotYet, exercise, returned


@exercise("05")
def nearest_centroid(function) -> str:
    """function(train, vectors): for each vector the class whose mean training vector is nearest."""
    generator = torch.Generator().manual_seed(5)
    y = torch.arange(10).repeat_interleave(torch.tensor([2, 9, 4, 3, 7, 2, 5, 8, 3, 6]))
    y = y[torch.randperm(len(y), generator=generator)]
    x = 1.5 * torch.randn(10, 6, generator=generator)[y] + torch.randn(len(y), 6, generator=generator) + 3
    new = 3 + 2 * torch.randn(200, 6, generator=generator)
    centroids = torch.stack([x[y == digit].mean(0) for digit in range(10)])
    right = torch.cdist(new, centroids).argmin(1)
    found = function(Split(x.clone(), y.clone()), new.clone())
    returned(found, "it should return a label for each vector.")
    found = torch.as_tensor(found)
    if found.shape != right.shape:
        raise NotYet(
            f"For 200 vectors it returned the shape {tuple(found.shape)}; one label for each, (200,), was asked for. "
            "cdist gives 200 rows of ten distances: in which column is the smallest?"
        )
    if torch.equal(found.long(), right) and not (found.is_floating_point() and (found != right).any()):
        return "Ten means and a ruler: a classifier without a single trainable parameter."
    if torch.equal(found.long(), torch.cdist(new, centroids).argmax(1)):
        raise NotYet("These are the farthest centroids; take the smallest distance, argmin.")
    if torch.equal(found.long(), y[torch.cdist(new, x).argmin(1)]):
        raise NotYet("This is the nearest training vector. Take the mean of each class first, then the nearest mean.")
    if torch.equal(found.long(), torch.cdist(new, x).argmin(1)):
        raise NotYet("These are positions of training vectors, not labels: compare with ten class means instead.")
    if torch.equal(found.long(), torch.cdist(new, torch.stack([x[y == d].sum(0) for d in range(10)])).argmin(1)):
        raise NotYet("Sums of vectors lie far out where a class has many of them; the centroid is the mean.")
    if torch.equal(found.long(), (new @ centroids.T).argmax(1)):
        raise NotYet("The largest product favours long centroids; it is the smallest distance that counts (torch.cdist).")
    wrong = int((found != right).sum())
    raise NotYet(
        f"{wrong} of 200 vectors get another class than that of the nearest centroid. A centroid is the mean over the "
        "examples of a class, .mean(0), and there are ten of them, in the order of the labels."
    )


@exercise("05")
def trainable(function) -> str:
    """function(model): how many numbers of a model training may change."""
    half = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    half[0].requires_grad_(False)
    cases = (
        (half, "a linear layer 7 -> 5, frozen, then a batch norm of 5 and a linear layer 5 -> 3"),
        (RawCNN(), "the raw CNN"),
        (freeze(RawCNN()), "the raw CNN, all but its last layer frozen"),
        (nn.Linear(4, 4).requires_grad_(False), "a linear layer, frozen"),
    )
    for model, what in cases:
        every, learns = list(model.parameters()), [p for p in model.parameters() if p.requires_grad]
        right = sum(p.numel() for p in learns)
        found = function(model)
        returned(found, "it should return a whole number.")
        if found == right:
            continue
        text = f"For {what} it returned {found}"
        if found == sum(p.numel() for p in every):
            raise NotYet(f"{text}. Those are all parameters; leave out the ones whose requires_grad is False.")
        if found == sum(p.numel() for p in every) - right:
            raise NotYet(f"{text}. Those are the frozen ones; count the others.")
        if found in (len(learns), len(every)):
            raise NotYet(f"{text}. That is how many tensors there are; .numel() says how many numbers each holds.")
        if found == sum(p.numel() for p in learns if p.ndim > 1):
            raise NotYet(f"{text}. The biases (and the weights of norms) have one dimension, and they learn too.")
        raise NotYet(f"{text}; it should be {right}: the sum of .numel() over what requires a gradient.")
    return "For the probe that gives 5,130. For a model that is frozen whole it gives 0: 100% fewer."


@exercise("deeper/05")
def really_frozen(function) -> str:
    """function(model): a model whose backbone stays still in training, also after model.train(), and whose head learns."""
    with seeded(5):
        given = RawCNN(classes=3, norm="batch", dropout=0.0).requires_grad_(False)
        given.train()(2 * torch.randn(64, 1, 28, 28) + 1)  # so that its running statistics are not the initial ones
        given.fc2.requires_grad_(True)
        x, y = torch.randn(6, 1, 28, 28), torch.arange(6) % 3

    def body(model, x):
        with torch.no_grad():
            return model.forward_head(model.forward_features(x), pre_logits=True)

    def state(model):
        named = model.state_dict().items()
        return {name: value.clone() for name, value in named if not name.startswith("fc2") and "batches" not in name}

    right = body(copy.deepcopy(given).eval(), x)
    model = function(copy.deepcopy(given))
    returned(model, "let it end with return model.")
    model = copy.deepcopy(model)  # as tl.fit does
    if not all(p.requires_grad for p in model.fc2.parameters()):
        raise NotYet("Now the last layer is frozen too, and nothing can learn: leave its requires_grad as it was.")
    if any(p.requires_grad for name, p in model.named_parameters() if not name.startswith("fc2")):
        raise NotYet("Weights of the backbone require a gradient again; their requires_grad was right as it was.")
    if not torch.allclose(body(model.eval(), x), right, atol=1e-5):
        raise NotYet("Even in evaluation the features are others now. Keep the batch norms' weights and statistics.")
    before, head = state(model), model.fc2.weight.detach().clone()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for modes in ((True,), (False, True)):  # train() at once, and after an evaluation
        for mode in modes:
            model.train(mode)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        moved = [name for name, value in state(model).items() if not torch.equal(value, before[name])]
        if moved:
            raise NotYet(
                f"After model.train() and one step {moved[0]} has moved, and {len(moved) - 1} more. model.train() puts "
                "every part of a model into training mode again: make the batch norms immune to it."
            )
        if not torch.allclose(body(model, x), right, atol=1e-5):
            raise NotYet(
                "The running statistics stay, but after model.train() the features are others than in evaluation: the batch "
                "norms still use the mean and deviation of the batch, so an image's features depend on its neighbours."
            )
    if torch.equal(model.fc2.weight, head):
        raise NotYet("The last layer did not learn in a training step.")
    return "Trained, evaluated, trained again: not a number of the backbone has moved, and the head learns."
