"""Right and typical wrong answers to the exercises of lesson 03."""

import pandas as pd
import torch.nn.functional as F
from torch import nn

VAL_LOSSES = [2.0, 1.4, 1.0, 0.8, 0.9, 1.1, 1.3]
HISTORY = pd.DataFrame(
    {
        "epoch": range(1, 8),
        "loss": [2.0, 1.2, 0.8, 0.5, 0.3, 0.2, 0.1],
        "val_loss": VAL_LOSSES,
        "val_accuracy": [0.3, 0.5, 0.6, 0.7, 0.72, 0.71, 0.7],
    }
)


def _step(zero=True, backward=True, move=True, late=False, softmax=False, reduction="mean", sign=1, give="item"):
    """A training step with one thing wrong."""

    def step(model, images, labels, optimizer):
        if zero:
            optimizer.zero_grad()
        answers = model(images)
        loss = F.cross_entropy(answers.softmax(1) if softmax else answers, labels, reduction=reduction)
        if backward:
            (sign * loss).backward()
        if late:
            optimizer.zero_grad()
        if move:
            optimizer.step()
        return {"item": loss.item(), "tensor": loss, "nothing": None, "accuracy": 0.5, "nan": float("nan")}[give]

    return step


def _zero_at_the_end(model, images, labels, optimizer):
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


class Head(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.fc1, self.fc2, self.drop = nn.Linear(320, 50), nn.Linear(50, 10), drop

    def forward(self, x):
        return self.fc2(self.drop(self, F.relu(self.fc1(x))))


def _by(column, how="mean"):
    return lambda results: getattr(results.groupby("learning rate")[f"{column} accuracy"], how)().idxmax()


MOVES = {"A": ("raise the rate", 1), "B": ["lower the rate", 3], "C": ("stop earlier", 2)}

RIGHT = {
    "train_step": _zero_at_the_end,
    "next_move": MOVES,
    "turning_point": (HISTORY, 4),
    "chosen_rate": _by("validation"),
    "rests_in_evaluation": Head(lambda head, x: F.dropout(x, training=head.training)),
}
WRONG = {
    "train_step": [
        (lambda *_: ..., "returns nothing"),
        (_step(give="nothing"), "returns nothing"),
        (_step(zero=False), "zero_grad() is missing"),
        (_step(move=False), "optimizer.step() is missing"),
        (_step(backward=False), "loss.backward() is missing"),
        (_step(late=True), "between"),
        (_step(softmax=True), "softmax too many"),
        (_step(reduction="sum"), "12 times too long"),
        (_step(sign=-1), "wrong way"),
        (_step(give="tensor"), "in memory"),
        (_step(give="accuracy"), "where the loss of the batch was"),
        (_step(give="nan"), "where the loss of the batch was"),
    ],
    "next_move": [
        ({"A": (..., ...), "B": (..., ...), "C": (..., ...)}, "still open"),
        (MOVES | {"A": ("raise the rate", ...)}, "still open"),
        (["raise the rate", "lower the rate", "stop earlier"], "A dictionary"),
        (MOVES | {"B": "lower the rate"}, "give a pair"),
        (MOVES | {"A": (1, "raise the rate")}, "the move comes first"),
        (MOVES | {"A": ("more epochs", 1)}, "not one of the moves"),
        (MOVES | {"A": ("raise the rate", 4)}, "numbers 1, 2 and 3"),
        (MOVES | {"A": ("stop earlier", 1)}, "almost nothing"),
        (MOVES | {"A": ("lower the rate", 1)}, "even less"),
        (MOVES | {"B": ("raise the rate", 3)}, "threw it out"),
        (MOVES | {"C": ("lower the rate", 2)}, "The turn would still come"),
        (MOVES | {"C": ("stop earlier", 1)}, "look again"),
    ],
    "turning_point": [
        ((HISTORY, 3), "counted from 0"),
        ((HISTORY, 7), "training loss is lowest"),
        ((HISTORY, 5), "highest validation accuracy"),
        ((HISTORY, 2), "another epoch has a lower one"),
        ((HISTORY, 0.8), "a whole number"),
        ((HISTORY.head(3), 3), "all of its epochs"),
    ],
    "chosen_rate": [
        (lambda results: ..., "returns nothing"),
        (_by("test"), "can no longer judge"),
        (_by("training"), "by heart"),
        (_by("validation", "max"), "mean of the seeds"),
        (lambda results: results.groupby("learning rate")["validation accuracy"].mean().max(), "idxmax()"),
        (lambda results: results.loc[results["validation accuracy"].idxmax()], "none of the learning rates"),
        (lambda results: 0.01, "It chose by"),
    ],
    "rests_in_evaluation": [
        (Head, "with brackets"),
        (Head(lambda head, x: F.dropout(x)), "two calls"),
        (Head(lambda head, x: nn.Dropout(0.5)(x)), "made inside forward"),
        (Head(lambda head, x: F.dropout(x, training=False)), "in training either"),
        (Head(lambda head, x: F.dropout(x) if head.training else 0.5 * x), "not its average"),
        (Head(lambda head, x: F.dropout(x) / F.dropout(x) if head.training else x), "not its average"),
    ],
}
