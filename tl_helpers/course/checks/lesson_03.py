"""Checks of the exercises of lesson 03."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from ...device import seeded
from .base import NotYet, exercise, returned


@exercise("03")
def train_step(step) -> str:
    """step(model, images, labels, optimizer): one step of training; returns the loss as a number."""
    with seeded(0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
        batches = [(torch.randn(12, 1, 2, 3), torch.randint(3, (12,))) for _ in range(2)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    weights = list(model.parameters())

    def gradient(at, batch, wrong=None):  # of the right loss, or of what is often taken for it, at given weights
        at = [w.detach().clone().requires_grad_() for w in at]
        logits = F.linear(batch[0].flatten(1), *at)
        if wrong == "softmax":
            logits = logits.softmax(1)
        loss = F.cross_entropy(logits, batch[1], reduction="sum" if wrong == "sum" else "mean")
        return torch.autograd.grad(loss, at), loss.item()

    def moved_by(before, gradients):
        return all(torch.allclose(w, b - 0.2 * g, atol=1e-5) for w, b, g in zip(weights, before, gradients))

    start = [w.detach().clone() for w in weights]
    first, first_loss = gradient(start, batches[0])
    found = step(model, *batches[0], optimizer)
    returned(found, "do one step of training and return loss.item().")
    if all(torch.equal(w, b) for w, b in zip(weights, start)):
        if any(w.grad is not None and w.grad.any() for w in weights):
            raise NotYet("The gradients are there, but no weight moved: optimizer.step() is missing, or comes too early.")
        raise NotYet(
            "No weight moved, and there is no gradient: loss.backward() is missing, or zero_grad() stands between "
            "backward() and step()."
        )
    if moved_by(start, [-g for g in first]):
        raise NotYet("The weights moved the wrong way, up the slope: go backward from the loss itself, not from minus it.")
    if moved_by(start, gradient(start, batches[0], "softmax")[0]):
        raise NotYet("There is a softmax too many: F.cross_entropy takes the model's raw answers and does it itself.")
    if moved_by(start, gradient(start, batches[0], "sum")[0]):
        raise NotYet("The step is 12 times too long for 12 images: take the mean of the losses, not their sum.")
    if not moved_by(start, first):
        raise NotYet("The weights moved, but not as one step down the slope of the cross-entropy moves them.")
    middle = [w.detach().clone() for w in weights]
    second, second_loss = gradient(middle, batches[1])
    found = [found, step(model, *batches[1], optimizer)]
    if moved_by(middle, [a + b for a, b in zip(first, second)]):
        raise NotYet("The second step still had the first one's gradients in it: optimizer.zero_grad() is missing.")
    if not moved_by(middle, second):
        raise NotYet("The first step is right, the second is not: does your function keep something from call to call?")
    if any(isinstance(loss, torch.Tensor) and loss.requires_grad for loss in found):
        raise NotYet("Return loss.item(): a loss that is kept as a tensor keeps all that it was computed from in memory.")
    if not all(abs(float(a) - b) <= 1e-3 for a, b in zip(found, (first_loss, second_loss))):
        raise NotYet(f"It trains; but it returned {found[0]:.3f} where the loss of the batch was {first_loss:.3f}.")
    losses = [step(model, *batches[0], optimizer) for _ in range(50)]
    return f"50 more steps brought the loss of a small model from {losses[0]:.2f} to {losses[-1]:.2f}: you can train."


MOVES = ("raise the rate", "lower the rate", "stop earlier")
REASONS = {
    1: "both losses are still falling at the end",
    2: "the validation loss rose while the training loss fell",
    3: "the losses are stuck at ln 10",
}
RIGHT_MOVES = {"A": (MOVES[0], 1), "B": (MOVES[1], 3), "C": (MOVES[2], 2)}
AGAINST = {  # what speaks against each wrong move
    ("A", MOVES[1]): "it has hardly moved, and with smaller steps it would move even less.",
    ("A", MOVES[2]): "it has not got far enough yet to overfit; stopping now keeps a network that knows almost nothing.",
    ("B", MOVES[0]): "the large steps are what threw it out; larger ones would do so sooner.",
    ("B", MOVES[2]): "a third of the way in it was already guessing, so there is nothing good to stop at.",
    ("C", MOVES[0]): "it learned its 50 images by heart as it is; a higher rate does not give it more images.",
    ("C", MOVES[1]): "smaller steps would learn the same 50 images by heart a little later. The turn would still come.",
}


@exercise("03")
def next_move(decision) -> str:
    """decision: for the runs A, B and C a pair each, the next move and the number of its reason."""
    if not isinstance(decision, dict) or set(decision) != set(RIGHT_MOVES):
        raise NotYet('A dictionary with a pair for each of the runs "A", "B" and "C" was asked for.')
    for run, (right, reason) in RIGHT_MOVES.items():
        pair = decision[run]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise NotYet(f'Run {run}: give a pair, such as ("stop earlier", 1).')
        move, because = pair
        if move is ... or because is ...:
            raise NotYet(f"Run {run} is still open: put a move and the number of a reason in place of the dots.")
        if move in REASONS and because in MOVES:
            raise NotYet(f"Run {run}: the move comes first, then the number of the reason.")
        if move not in MOVES:
            raise NotYet(f"Run {run}: {move!r} is not one of the moves, {', '.join(map(repr, MOVES))}.")
        if because not in REASONS:
            raise NotYet(f"Run {run}: reasons have the numbers 1, 2 and 3; this is {because!r}.")
        if move != right:
            raise NotYet(f"Run {run}, {move!r}: {AGAINST[run, move]}")
        if because != reason:
            raise NotYet(f"Run {run}: the move is right, but look again. Is it true of this run that {REASONS[because]}?")
    return (
        "Too low shows as losses that still fall, too high as a loss of ln 10, too long as two losses that part. "
        "All three are in the losses; the accuracy alone would have hidden the last one."
    )


@exercise("deeper/03")
def turning_point(history, epoch) -> str:
    """epoch: the one with the lowest validation loss in the history of a run."""
    losses = history.set_index("epoch").val_loss
    if len(losses) < 5 or losses.isna().any():
        raise NotYet("Hand over the history as it is, all of its epochs: overfit.history.")
    best, last = losses.idxmin(), losses.index[-1]
    if epoch == best:
        return (
            f"After epoch {best} the validation loss was {losses[best]:.2f}; by epoch {last} it had come to "
            f"{losses[last]:.2f}, while the training loss went on falling. The early weights were the better ones."
        )
    if epoch == best - 1:
        raise NotYet("That is the row's number on the left, counted from 0. The column `epoch` counts from 1.")
    if epoch in (last, history.set_index("epoch").loss.idxmin()):
        raise NotYet("There the training loss is lowest. On images it did not learn from, the network was better before.")
    if epoch == history.set_index("epoch").val_accuracy.idxmax():
        raise NotYet(
            "That is the epoch of the highest validation accuracy. The loss, which is asked about, turns elsewhere."
        )
    if epoch in losses.index:
        raise NotYet(f"After epoch {epoch} the validation loss was {losses[epoch]:.3f}, and another epoch has a lower one.")
    raise NotYet(f"The answer is one epoch, a whole number from 1 to {last}; not {epoch!r}.")


@exercise("deeper/03")
def chosen_rate(choose) -> str:
    """choose(results): the learning rate with the best mean validation accuracy over its seeds."""
    train, val, test = "training accuracy", "validation accuracy", "test accuracy"
    kinds = {  # what three seeds of a rate gave: in training, validation and test
        "steady": ([0.93, 0.92, 0.94], [0.90, 0.89, 0.91], [0.86, 0.88, 0.87]),
        "lucky on test": ([0.90, 0.91, 0.90], [0.84, 0.85, 0.86], [0.95, 0.94, 0.95]),
        "learned by heart": ([1.0, 1.0, 1.0], [0.80, 0.82, 0.81], [0.80, 0.81, 0.79]),
        "one lucky run": ([0.80, 0.60, 0.99], [0.70, 0.60, 0.97], [0.70, 0.60, 0.90]),
    }
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rates = dict(zip(kinds, rng.permutation([1e-4, 1e-3, 1e-2, 1e-1]).tolist()))
        rows = [(rates[kind], i, *numbers) for kind, columns in kinds.items() for i, numbers in enumerate(zip(*columns))]
        table = pd.DataFrame(rows, columns=["learning rate", "seed", train, val, test])
        found = choose(table.sample(frac=1, random_state=seed).reset_index(drop=True))
        returned(found, "it should return one of the learning rates in the table.")
        if np.ndim(found) or found not in rates.values():
            text = "That looks like an accuracy; idxmax() gives its rate. " if np.ndim(found) == 0 else ""
            raise NotYet(f"It returned {found!r}, which is none of the learning rates in the table. {text}")
        if found == rates["lucky on test"]:
            raise NotYet("It chose by test accuracy. Then the test set has helped to choose, and can no longer judge.")
        if found == rates["learned by heart"]:
            raise NotYet("It chose by training accuracy. A network that knows its images by heart looks best there.")
        if found == rates["one lucky run"]:
            raise NotYet("It chose by the best single run, with seeds at 0.97, 0.70 and 0.60. Take the mean of the seeds.")
        if found != rates["steady"]:
            raise NotYet("The best mean validation accuracy belongs to another rate.")
    return "Chosen by the mean over seeds on validation data, so the test set is still fit to judge."


@exercise("deeper/03")
def rests_in_evaluation(head) -> str:
    """A head of two linear layers with dropout between, which drops in training only."""
    if isinstance(head, type):
        raise NotYet("That is the class; hand over a module made of it, with brackets: MyHead().")
    if not isinstance(head, nn.Module):
        raise NotYet(f"This is a {type(head).__name__}; the mended module was asked for.")
    head = copy.deepcopy(head).cpu()
    with seeded(0), torch.no_grad():
        x = 3 * torch.randn(1, 320)
        head.eval()
        rest, again = head(x), head(x)
        if rest.shape != (1, 10):
            raise NotYet(f"For one row of 320 numbers it returns {tuple(rest.shape)}; the head should still give 1 x 10.")
        if not torch.equal(rest, again):
            raise NotYet(
                "In evaluation two calls with the same image still differ. Tell F.dropout whether the module is training, "
                "or use an nn.Dropout made in __init__; one made inside forward is never told."
            )
        drops = head.train()(x.expand(4000, -1))
        if (drops.std(0) < 1e-6).all():
            raise NotYet("Now nothing is dropped in training either. Dropout should stay, and rest in evaluation only.")
        error = (drops.mean(0) - rest[0]).abs() / (drops.std(0) / 4000**0.5)
        if not error.max() <= 6:
            raise NotYet(
                "In evaluation its answer is not its average in training: something besides the dropout has changed. "
                "(What is not dropped is already scaled up in training.)"
            )
    return "Its dropout is active in training only, and its mean is the same in both. eval() now does what it says."
