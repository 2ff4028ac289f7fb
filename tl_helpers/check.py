"""Exercise checks: `tl.check.NAME(answer)` never raises; it says "Not yet" and why, or what you have now shown.

`claims` holds the sentences of a lesson against what this machine measured.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path


class NotYet(Exception):
    """What is still missing, in words that teach."""


class Verdict:
    """The answer of a check: `passed`, and `text` in words."""

    def __init__(self, passed: bool, text: str):
        self.passed, self.text = passed, text

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'✔ Passed.' if self.passed else 'Not yet.'} {self.text}"


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that raises NotYet, or returns what the learner has shown, into a check that never raises."""

    @functools.wraps(check)
    def checked(*answers) -> Verdict:
        if any(answer is ... or answer is None for answer in answers):
            return Verdict(False, "Put your answer in place of the dots and run the cell again.")
        try:
            verdict = Verdict(True, check(*answers))
            _remember(check.__name__)
            return verdict
        except NotYet as hint:
            return Verdict(False, str(hint))
        except Exception as error:  # whatever a learner's own code raises
            return Verdict(False, f"Your answer stopped with {type(error).__name__}: {error}")

    return checked


def _returned(found, wanted: str) -> None:
    if found is None or found is ...:
        raise NotYet(f"The function returns nothing so far: {wanted}")


# Progress: which checks have passed on this machine, for the learner's own eyes.


def _store() -> Path:
    """The file that keeps it: TL_PROGRESS if that is set, else one in TL_HOME or where this system keeps a user's data."""
    import platformdirs

    home = os.environ.get("TL_HOME") or platformdirs.user_data_dir("tl_helpers", appauthor=False)
    return Path(os.environ.get("TL_PROGRESS") or Path(home, "progress.json"))


def _passed() -> list[str]:
    try:
        return [name for name in json.loads(_store().read_text(encoding="utf-8")) if isinstance(name, str)]
    except (OSError, ValueError, TypeError):  # none yet, or damaged: nothing depends on it
        return []


def _remember(name: str) -> None:
    """Note that a check passed, if a learner's cell called it.

    That is a cell of a notebook that names no `solution_...`, as every solution of the course does. What tests and scripts
    call counts for nothing either: they have no notebook.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if not hasattr(shell, "kernel") or "solution_" in shell.user_ns.get("In", ["solution_"])[-1]:
        return
    known = _passed()
    if name not in known:
        with contextlib.suppress(OSError):  # a disk that is full or cannot be written to stops no lesson
            _store().parent.mkdir(parents=True, exist_ok=True)
            _store().write_text(json.dumps([*known, name]), encoding="utf-8")


class Progress:
    """The exercises of a lesson, and which of them passed on this machine."""

    def __init__(self, lesson: str, passed: dict[str, bool]):
        self.lesson, self.passed = lesson, passed

    def __repr__(self) -> str:
        many, done = len(self.passed), sum(self.passed.values())
        marks = ", ".join(f"{'✔' if passed else '○'} {name.replace('_', ' ')}" for name, passed in self.passed.items())
        return f"Exercises of lesson {self.lesson} passed on this machine: {done} of {many} ({marks})"


def progress(lesson: str) -> Progress:
    """Which exercises of a lesson, "02" for example, have passed on this machine. Nothing in the course depends on it.

    Raises:
        ValueError: there is no such lesson, or it has no exercises.
    """
    parts = re.split(r"^# Lesson (\d\d)$", Path(__file__).read_text(encoding="utf-8"), flags=re.M)
    checks = {n: re.findall(r"^@exercise\ndef (\w+)", text, re.M) for n, text in zip(parts[1::2], parts[2::2])}
    if lesson not in checks:
        raise ValueError(f"There are exercises in lessons {', '.join(checks)}; not in {lesson!r}.")
    done = _passed()
    return Progress(lesson, {name: name in done for name in checks[lesson]})


def forget_progress() -> None:
    """Begin anew: no exercise has passed."""
    if _store().exists():
        _store().write_text("[]", encoding="utf-8")


class Claims:
    """Sentences, and for each whether the numbers at hand bear it out."""

    def __init__(self, sentences: dict[str, bool]):
        self.sentences = {text: bool(holds) for text, holds in sentences.items()}

    def __bool__(self) -> bool:
        return all(self.sentences.values())

    def __repr__(self) -> str:
        lines = [f"{'✔ holds:       ' if holds else '✘ not here:    '}{text}" for text, holds in self.sentences.items()]
        if not self:
            lines.append("Where a claim does not hold: did you change a number above? Then this is your finding.")
        return "\n".join(lines)


def claims(sentences: dict[str, bool]) -> Claims:
    """Hold what a lesson says against what was measured in it: a dict of sentences and conditions."""
    return Claims(sentences)


# Lesson 00


@exercise
def single_example(accuracy) -> str:
    """The test accuracy of the probe on letters features with one example of each digit, seed 0."""
    from .data import digits
    from .features import features
    from .models import backbone, head
    from .training import evaluate, fit

    if callable(accuracy):
        raise NotYet("That is the function itself. Call it: its name, and the number of examples in parentheses.")
    if 1 < accuracy <= 100:
        raise NotYet(f"Accuracy is a share between 0 and 1 here; {accuracy!r} is not. Take what the function returns.")

    def measured(shots):
        task, body = digits(shots, seed=0), backbone("resnet10t.letters")
        return evaluate(fit(head(body, task), features(body, task), lr=1e-2, progress=False).model, task.test).accuracy

    right = measured(1)
    if abs(accuracy - right) > 0.005:
        if abs(accuracy - measured(10)) < 0.005:
            raise NotYet("That is the accuracy with ten examples of each digit. Call the function with 1.")
        raise NotYet(f"{accuracy!r} is not what comes out with one example of each digit. Call the function with 1.")
    return f"One example of each digit, and {right:.3f} of the test pictures are named correctly. Guessing gives 0.1."


@exercise
def share_right(function) -> str:
    """function(answers, labels): the share of places where two tensors agree."""
    import torch

    answers, labels = torch.tensor([7, 1, 2, 3, 9, 9, 0, 4]), torch.tensor([7, 7, 2, 3, 4, 9, 0, 4])
    share = function(answers.clone(), labels.clone())
    _returned(share, "put an expression in place of the dots.")
    if isinstance(share, torch.Tensor) and share.numel() > 1:
        raise NotYet("It returns one answer for each place. Take the mean of them: the share of those that are true.")
    share = float(share)
    if share == 6:
        raise NotYet("That is the number of right answers; divide by how many there are, and it is a share.")
    if abs(share - 75) < 1e-4:
        raise NotYet("That is a percentage. A share lies between 0 and 1.")
    if abs(share - 2 / 8) < 1e-6:
        raise NotYet("That is the share of wrong answers.")
    if abs(share - 6 / 8) > 1e-6:
        raise NotYet(f"For {answers.tolist()} and {labels.tolist()} it returned {share:g}; how many of the 8 agree?")
    if abs(float(function(answers[:3], labels[:3])) - 2 / 3) > 1e-6:
        raise NotYet("It is right for the first eight numbers tried, and not for three of which two agree.")
    return "This is accuracy, the number that the whole course measures by. `tl.evaluate` computes it for you."


# Lesson 01


@exercise
def majority_baseline(baseline) -> str:
    """baseline(train_labels, test_labels): the accuracy of always giving the commonest training label."""
    import numpy as np

    train, test = np.array([3] * 5 + [1] * 2 + [0] * 3), np.array([3] * 2 + [1] * 5 + [0] * 1)
    share = baseline(train.copy(), test.copy())
    _returned(share, "it should return a share between 0 and 1.")
    if np.ndim(share) or not 0 <= share <= 1:
        raise NotYet(f"It returned {share!r}; an accuracy is one number between 0 and 1, a share of the test labels.")
    if abs(share - 5 / 8) < 1e-6:
        raise NotYet("You took the commonest of the test labels. The lazy model may look at training labels only.")
    if abs(share - 5 / 10) < 1e-6:
        raise NotYet("That is its accuracy on the training labels; count how many of the test labels the answer hits.")
    if abs(share - 2 / 8) > 1e-6:
        raise NotYet(
            f"For training labels {train.tolist()} and test labels {test.tolist()} it returned {share:.3f}. The commonest "
            "training label there is 3; which share of the test labels is 3?"
        )
    lopsided = np.array([0] * 95 + [1] * 5)
    if abs(baseline(lopsided, lopsided) - 0.95) > 1e-6:
        raise NotYet("With 95 labels 0 and 5 labels 1, in training and test, always saying 0 is right in 95 of 100 cases.")
    return "95% accuracy is nothing where 95 of 100 pictures are of one class: always compare with the laziest model."


@exercise
def half_width(function, beyond_luck) -> str:
    """function(accuracy, n): half of a 95% interval; beyond_luck: the smallest lead above it, in images of 797 at 0.9."""
    cases = [(0.9, 797), (0.5, 100), (0.99, 2000)]
    for accuracy, n in cases:
        found, right = function(accuracy, n), 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
        _returned(found, "it should return the margin of the formula.")
        if abs(found - 2 * right) < 0.02 * right:
            raise NotYet("That is the whole interval, from its lower to its upper end; half of it was asked for.")
        if abs(found - right / 1.96) < 0.01 * right:
            raise NotYet("That is the standard error. The 1.96 is missing, which makes 95 of 100 intervals hold the truth.")
        if abs(found - 1.96 * accuracy * (1 - accuracy) / n) < 1e-9 or abs(found * n**0.5 / right - 1) < 0.03:
            raise NotYet("Both the accuracy's part and n stand under the square root: sqrt(accuracy * (1 - accuracy) / n).")
        if abs(found - right) > 0.03 * right:
            raise NotYet(f"For accuracy {accuracy} and n = {n} it gives {found:.4f}, the formula gives {right:.4f}.")
    if 0 < beyond_luck < 1:
        raise NotYet("beyond_luck is a share so far; how many of 797 pictures is that?")
    if beyond_luck == 16:
        raise NotYet("The margin is between 16 and 17 pictures, so a lead of 16 is still inside: round up.")
    if beyond_luck != 17:
        raise NotYet(f"beyond_luck is {beyond_luck!r}; the margin at 0.9 is {function(0.9, 797):.4f}. Times 797, then up?")
    return "A lead of 5 pictures of 797 is 0.6 of a point, and the margin 2.1 points: that may well be luck."


@exercise
def shifted(shift) -> str:
    """shift(images, dx, dy): everything dx further right and dy further down, black where nothing comes from."""
    import torch

    images = torch.randint(1, 256, (3, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    before = images.clone()
    for dx, dy in ((2, 0), (0, 3), (-1, 0), (0, -4), (5, -2), (0, 0)):
        try:
            found = shift(images, dx, dy)
        except RuntimeError as error:
            raise NotYet(f"With dx = {dx} and dy = {dy}: {error} (Beware of the slice [0:-0], which is empty.)") from None
        _returned(found, "it should return the moved images.")
        if not torch.equal(images, before):
            raise NotYet("The images that were passed have changed: write into a new tensor, torch.zeros_like(images).")
        if tuple(found.shape) != tuple(images.shape):
            raise NotYet(f"The result of ({dx}, {dy}) is {tuple(found.shape)}; it should be as large as what came in.")
        right = torch.zeros_like(images)
        rows, columns = (range(max(0, d), 28 + min(0, d)) for d in (dy, dx))
        for row in rows:
            right[:, :, row, columns[0] : columns[-1] + 1] = before[:, :, row - dy, columns[0] - dx : columns[-1] + 1 - dx]
        if torch.equal(found, right):
            continue
        if torch.equal(found, before.roll((dy, dx), (2, 3))):
            raise NotYet("What leaves on one side comes back on the other. What leaves should be lost; fill with 0.")
        if dx != dy and torch.equal(found, shift(images, 0, 0)):
            raise NotYet(f"With dx = {dx} and dy = {dy} nothing moves.")
        raise NotYet(
            f"With dx = {dx} and dy = {dy} something else comes out. dx counts to the right, along the last dimension, and "
            "dy down, along the one before it; try it on a single bright pixel."
        )
    return "Moved without a trace, in all directions. Now see what the models make of it."


@exercise
def chosen_svm(model) -> str:
    """An SVC fitted on the 100 training images of tl.digits(10, 0), its settings chosen on the validation images."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    from .data import digits

    task = digits(10, seed=0)
    X, y = task.train.numpy()
    if not isinstance(model, SVC):
        raise NotYet(f"This is a {type(model).__name__}; an SVC from sklearn.svm was asked for, the model itself.")
    if not hasattr(model, "support_vectors_"):
        raise NotYet("This SVM has not been fitted yet: .fit(X, y) on the training pictures.")
    known = {row.tobytes() for row in X.astype("float32")}
    if not all(row.tobytes() in known for row in model.support_vectors_.astype("float32")):
        raise NotYet("It was fitted on other pictures than the 100 of task.train. Learn from no others.")
    if model.shape_fit_[0] != len(y):
        raise NotYet(f"It was fitted on {model.shape_fit_[0]} pictures; all 100 of task.train are yours to use.")
    if model.get_params() == SVC().get_params():
        raise NotYet("This is the SVM as it comes. Try other values of C and gamma and compare them on task.val.")
    val = model.score(*task.val.numpy())
    if val < 0.925:
        raise NotYet(f"{val:.2f} of the validation pictures are right; some settings reach 0.93. Try a wider grid.")
    test = task.test.numpy()
    forest = RandomForestClassifier(random_state=0).fit(X, y).score(*test)
    return f"Chosen with {val:.2f} on validation. On the test: {model.score(*test):.3f}; the forest: {forest:.3f}."


# Lesson 02


@exercise
def stroke_kernel(kernel) -> str:
    """A 5 x 5 kernel that finds the middle of horizontal strokes, not vertical ones, not even areas."""
    import torch
    import torch.nn.functional as F

    kernel = torch.as_tensor(kernel).detach().float().squeeze()
    if tuple(kernel.shape) != (5, 5):
        raise NotYet(f"The kernel is {' x '.join(map(str, kernel.shape))}; 5 x 5 was asked for: five rows of five numbers.")
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
    return "It finds horizontal strokes. Training finds kernels like this one without being told what a stroke is."


@exercise
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
        _returned(found, "it should return the side after the last layer.")
        if found == right and isinstance(found, int):
            continue
        text = f"For side {side} and {chain} it returned {found!r}"
        if chain == [("conv", 5)] and found == 23:
            raise NotYet(f"{text}. The first place is at 0 and the last at 23: that makes 24 places, one more than 28 - 5.")
        if chain == [("conv", 5)]:
            raise NotYet(f"{text}. How many places has a kernel of 5 on 28 pixels without sticking out?")
        if isinstance(found, float) and int(found) == right:
            raise NotYet(f"{text}. There is no part of a pixel: use // , which drops the rest.")
        raise NotYet(f"{text}; it should be {right}. Change the side at each layer in turn, with the k of that layer.")
    return "You can now tell before running it whether layers fit: 28, 24, 12, 8, 4, and 20 maps of 4 x 4 make 320."


@exercise
def parameters_of_conv(function) -> str:
    """function(inputs, outputs, kernel): weights and biases of a convolution."""
    from torch import nn

    for inputs, outputs, kernel in ((1, 10, 5), (10, 20, 5), (3, 64, 7), (8, 4, 1)):
        found = function(inputs, outputs, kernel)
        right = sum(p.numel() for p in nn.Conv2d(inputs, outputs, kernel).parameters())
        _returned(found, "it should return a whole number.")
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


@exercise
def article_net(model) -> str:
    """The article's network as an nn.Sequential: the same answers as RawCNN, once it has the same weights."""
    import copy

    import torch
    from torch import nn

    from .device import seeded
    from .models import RawCNN

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
                raise NotYet("The answers are no log-probabilities yet: at the end log-softmax over dim=1 is missing.")
            raise NotYet("The exponentials of an image's answers do not add up to 1: is nn.LogSoftmax(dim=1) the end?")
        if not torch.allclose(answers, right, atol=1e-4):
            raise NotYet("All weights fit, but with the same ones it answers otherwise: a ReLU missing, or one too many?")
        kinds = [type(layer) for layer in model.modules()]
        if nn.Dropout2d not in kinds or nn.Dropout not in kinds:
            raise NotYet("When evaluated it answers like the article's. In training the dropouts are missing, or one is.")
        with seeded(0):
            if torch.equal(model.train()(x), answers):
                raise NotYet("In training the dropouts do nothing: the article's silence half of the values.")
    return "The same 21,840 parameters and, given the same weights, the same answers: you have composed it."


# Lesson 03


@exercise
def train_step(step) -> str:
    """step(model, images, labels, optimizer): one step of training; returns the loss as a number."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from .device import seeded

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
    _returned(found, "do one step of training and return loss.item().")
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
    if any(abs(float(a) - b) > 1e-3 for a, b in zip(found, (first_loss, second_loss))):
        raise NotYet(f"It trains; but it returned {found[0]:.3f} where the loss of the batch was {first_loss:.3f}.")
    losses = [step(model, *batches[0], optimizer) for _ in range(50)]
    return f"50 more steps brought the loss of a small model from {losses[0]:.2f} to {losses[-1]:.2f}: you can train."


@exercise
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
        raise NotYet("There the training loss is lowest. On pictures the network has not learned from it was better before.")
    if epoch == history.set_index("epoch").val_accuracy.idxmax():
        raise NotYet("That is the epoch of the highest validation accuracy. The loss was asked for, and it turns elsewhere.")
    if epoch in losses.index:
        raise NotYet(f"After epoch {epoch} the validation loss was {losses[epoch]:.3f}, and another epoch has a lower one.")
    raise NotYet(f"The answer is one epoch, a whole number from 1 to {last}; not {epoch!r}.")


@exercise
def chosen_rate(choose) -> str:
    """choose(results): the learning rate with the best mean validation accuracy over its seeds."""
    import numpy as np
    import pandas as pd

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
        _returned(found, "it should return one of the learning rates in the table.")
        if np.ndim(found) or found not in rates.values():
            text = "That looks like an accuracy; idxmax() gives its rate. " if np.ndim(found) == 0 else ""
            raise NotYet(f"It returned {found!r}, which is none of the learning rates in the table. {text}")
        if found == rates["lucky on test"]:
            raise NotYet("It chose by test accuracy. Then the test set has helped to choose, and can no longer judge.")
        if found == rates["learned by heart"]:
            raise NotYet("It chose by training accuracy. A network that knows its pictures by heart looks best there.")
        if found == rates["one lucky run"]:
            raise NotYet("It chose by the best single run, with seeds at 0.97, 0.70 and 0.60. Take the mean of the seeds.")
        if found != rates["steady"]:
            raise NotYet("The best mean validation accuracy belongs to another rate.")
    return "Chosen by the mean over seeds on validation data, so the test set is still fit to judge."


@exercise
def rests_in_evaluation(head) -> str:
    """A head of two linear layers with dropout between, which drops in training only."""
    import copy

    import torch
    from torch import nn

    from .device import seeded

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
                "In evaluation two calls with the same picture still differ. Tell F.dropout whether the module is training, "
                "or use an nn.Dropout made in __init__; one made inside forward is never told."
            )
        drops = head.train()(x.expand(4000, -1))
        if (drops.std(0) < 1e-6).all():
            raise NotYet("Now nothing is dropped in training either. Dropout should stay, and rest in evaluation only.")
        error = (drops.mean(0) - rest[0]).abs() / (drops.std(0) / 4000**0.5)
        if error.max() > 6:
            raise NotYet(
                "In evaluation it answers otherwise than on average in training: something besides the dropout has changed. "
                "(What is not dropped is already scaled up in training.)"
            )
    return "It drops in training, rests in evaluation, and means the same in both. eval() now does what it says."


# Lesson 04


@exercise
def moves_randomly(move) -> str:
    """move(images, generator): every picture moved by its own random number of whole pixels, up to 3 each way."""
    import torch
    import torch.nn.functional as F

    def moved(seed):
        return move(images, torch.Generator().manual_seed(seed))

    images = torch.rand(200, 1, 32, 28, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.1
    before = images.clone()
    found = moved(0)
    _returned(found, "it should return the moved pictures.")
    if not isinstance(found, torch.Tensor) or found.shape != images.shape:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise NotYet(f"For pictures {tuple(images.shape)} it returned {shape}: the shape has to stay the same.")
    if not torch.equal(images, before):
        raise NotYet("The pictures that came in have changed: an augmentation returns new ones, or the originals are lost.")
    padded = F.pad(images, (3, 3, 3, 3))
    corners = [(y, x) for y in range(7) for x in range(7)]
    windows = torch.stack([padded[:, :, y : y + 32, x : x + 28] for y, x in corners])
    hits = torch.isclose(windows, found.float()).flatten(2).all(2)
    if not hits.any(0).all():
        inner = torch.isclose(windows, found.float())[..., 3:-3, 3:-3].flatten(2).all(2)
        if inner.any(0).all():
            raise NotYet(
                "Pictures move, but at the edge something else than black follows: does it come in on the other side?"
            )
        raise NotYet(
            f"{int((~hits.any(0)).sum())} of 200 pictures are not moved by -3 to 3 whole pixels, with black following."
        )
    drawn = {corners[i] for i in hits.int().argmax(0).tolist()}
    if len(drawn) == 1:
        same = "not at all" if drawn == {(3, 3)} else "all by the same amount"
        raise NotYet(f"The pictures of a batch are moved {same}; draw a move for each picture.")
    if any({corner[axis] for corner in drawn} != set(range(7)) for axis in (0, 1)):
        raise NotYet(
            "Not every move from -3 to 3 occurs, up and down as well as left and right: does randint leave out its end?"
        )
    if len(drawn) < 25:
        raise NotYet("Moves across and moves down depend on each other: draw two numbers for each picture.")
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        again = moved(0)
    if not torch.equal(found, again):
        raise NotYet("The same seed gave two results: pass generator=generator to every function that draws random numbers.")
    if torch.equal(found, moved(1)):
        raise NotYet("Another seed gives the same moves: draw from the generator that is passed in, as it is.")
    return "New pictures each time, the old ones untouched, and a seed repeats them: tl.fit would take it as augment=move."


@exercise
def black_pixel(values) -> str:
    """What 0 becomes in each channel when it is normalised as resnet18.tv_in1k wants it."""
    import numpy as np
    import timm

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
    return "About -2 where ours makes -1: a network that is fed the other's numbers sees another picture."


@exercise
def body_and_head(sizes) -> str:
    """sizes(name, classes): the parameters of an architecture's body, and of a linear head on it."""
    from .models import backbone, count

    for name, classes in (("resnet10t", 3), ("resnet18", 7)):
        answer = sizes(name, classes)
        _returned(answer, "it should return two numbers, body and head.")
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise NotYet(f"It returned {answer!r}; two numbers were asked for, body first and then head.")
        body, head = answer
        model = backbone(name, pretrained=False)
        right, features = count(model)[1], model.num_features
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


@exercise
def weights_for_a_product(names) -> str:
    """The pretrained ResNet-50s for 224 x 224 whose licence does not forbid commercial use."""
    import timm

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
            raise NotYet(f"{name} was trained on pictures of {side} x {side}, by the input_size of its configuration.")
    right = {name for name, config in configs.items() if config.input_size[-1] == 224 and "-nc" not in config.license}
    missing = sorted(right - set(names))
    if missing:
        raise NotYet(
            f"{len(missing)} are missing, such as {missing[0]} ({configs[missing[0]].license}): is the filter too strict?"
        )
    return (
        f"{len(right)} of {len(configs)} come into question, by what timm has noted. Before a product ships, somebody reads "
        "the card itself, and asks on which pictures the weights were made."
    )


# Lesson 05


@exercise
def nearest_centroid(function) -> str:
    """function(train, vectors): for each vector the class whose mean training vector is nearest."""
    import torch

    from .data import Split

    generator = torch.Generator().manual_seed(5)
    y = torch.arange(10).repeat_interleave(torch.tensor([2, 9, 4, 3, 7, 2, 5, 8, 3, 6]))
    y = y[torch.randperm(len(y), generator=generator)]
    x = 1.5 * torch.randn(10, 6, generator=generator)[y] + torch.randn(len(y), 6, generator=generator) + 3
    new = 3 + 2 * torch.randn(200, 6, generator=generator)
    centroids = torch.stack([x[y == digit].mean(0) for digit in range(10)])
    right = torch.cdist(new, centroids).argmin(1)
    found = function(Split(x.clone(), y.clone()), new.clone())
    _returned(found, "it should return a label for each vector.")
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


@exercise
def trainable(function) -> str:
    """function(model): how many numbers of a model training may change."""
    from torch import nn

    from .models import RawCNN, freeze

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
        _returned(found, "it should return a whole number.")
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


@exercise
def really_frozen(function) -> str:
    """function(model): a model whose backbone stays still in training, also after model.train(), and whose head learns."""
    import copy

    import torch
    import torch.nn.functional as F

    from .device import seeded
    from .models import RawCNN

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
    _returned(model, "let it end with return model.")
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


# Lesson 06


@exercise
def fine_tune_or_probe(choose) -> str:
    """choose(probe, tuned): "fine-tune" if the 95% interval of the paired difference is above zero, else "probe"."""
    draws = [0.80, 0.85, 0.90, 0.95, 0.88]
    better = [0.813, 0.861, 0.915, 0.962, 0.894]
    cases = [
        (draws, better, "fine-tune", "It leads by a point in every draw: compare draw by draw."),
        (draws, [0.79, 0.95, 0.88, 0.97, 0.87], "probe", "Its mean is higher, but the interval holds zero."),
        (draws, [0.70, 0.74, 0.81, 0.84, 0.79], "probe", "Here fine-tuning is behind in every draw. Mind the sign."),
        (draws, draws, "probe", "The two are equal, so nothing speaks for fine-tuning: take the cheaper one."),
    ]
    for probe, tuned, right, why in cases:
        found = choose(list(probe), list(tuned))
        _returned(found, 'it should return "fine-tune" or "probe".')
        if found not in ("fine-tune", "probe"):
            raise NotYet(f'It returned {found!r}; the answer is one of the two texts "fine-tune" and "probe".')
        if found != right:
            raise NotYet(f"For probe {probe} and fine-tuned {tuned} it says {found!r}. {why}")
    return "Paired by draw, a lead of one point can be beyond doubt, and a lead of two points can be nothing."


@exercise
def forgetting_of(forgetting) -> str:
    """forgetting(before, after, split): accuracy of before, minus that of after's backbone under before's head."""
    import copy

    import torch

    from .data import Split
    from .models import RawCNN
    from .training import evaluate, predict

    before, after = RawCNN(classes=6, seed=0), RawCNN(classes=3, seed=0)
    with torch.no_grad():
        before.fc2.weight.mul_(5)
        after.fc1.weight.add_(torch.randn(after.fc1.weight.shape, generator=torch.Generator().manual_seed(1)) * 0.04)
    images = torch.randint(0, 256, (60, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[::2] //= 2
    names = predict(before, Split(images, torch.zeros(60, dtype=torch.long))).argmax(1)
    split = Split(images, names.where(torch.arange(60) % 6 > 0, (names + 1) % 6))
    grafted = copy.deepcopy(after)
    grafted.fc2 = copy.deepcopy(before.fc2)
    old, new = evaluate(before, split).accuracy, evaluate(grafted, split).accuracy
    kept = [copy.deepcopy(model.state_dict()) for model in (before, after)]
    found = forgetting(before, after, split)
    _returned(found, "it should return a difference of two accuracies.")
    for name, model, state in zip(("before", "after"), (before, after), kept):
        now = model.state_dict()
        if any(key not in now or not torch.equal(now[key], value) for key, value in state.items()):
            raise NotYet(f"The network `{name}` was changed by your function: put the head on a copy, copy.deepcopy(after).")
    if not isinstance(found, float):
        raise NotYet(f"It returned {found!r}; an accuracy is `.accuracy` of what tl.evaluate returns, a number.")
    if abs(found - (new - old)) < 1e-6:
        raise NotYet("The sign is turned round: what is lost is the accuracy before, minus the accuracy afterwards.")
    if abs(found - new) < 1e-6:
        raise NotYet("That is the accuracy that is left. How much is that less than before?")
    if abs(found) < 1e-6:
        raise NotYet("It says that nothing is lost. Is the backbone that you test really that of `after`?")
    if abs(found - (old - new)) > 1e-6:
        raise NotYet(
            f"It says {found:.3f} where {old - new:.3f} is lost. Is the head that of `before`, its weights included? A new "
            "head from reset_classifier is random until you load them."
        )
    if abs(forgetting(before, before, split)) > 1e-6:
        raise NotYet("A network compared with itself has forgotten nothing, but your function says otherwise.")
    return "Old head, new backbone: the difference is what the old head can no longer read. It may still be in the features."


@exercise
def discriminative_groups(groups) -> str:
    """groups(model, lr, decay): a parameter group for each block and the head, each slower by decay towards the input."""
    from .models import RawCNN, blocks

    for lr, decay in ((1e-2, 0.5), (3e-3, 0.8)):
        model = RawCNN(norm="batch")
        found = groups(model, lr, decay)
        _returned(found, "it should return a list of dicts.")
        if not isinstance(found, list) or not all(isinstance(g, dict) and {"params", "lr"} <= set(g) for g in found):
            raise NotYet('It should be a list of dicts, each with the keys "params" and "lr".')
        rates = [(id(weight), group["lr"]) for group in found for weight in list(group["params"])]
        names = {id(weight): name for name, weight in model.named_parameters()}
        if any(key not in names for key, _ in rates):
            raise NotYet('"params" should hold the weights themselves, as model.named_parameters() gives them, not names.')
        if len(rates) != len(dict(rates)):
            raise NotYet("Some weight stands in two groups; the optimizer would refuse that.")
        missing = sorted(name for key, name in names.items() if key not in dict(rates))
        if missing:
            raise NotYet(f"In no group, so that it would never learn: {', '.join(missing)}.")
        parts = [["fc2.weight", "fc2.bias"], *reversed(blocks(model))]
        right = {name: lr * decay**steps for steps, part in enumerate(parts) for name in part}
        rate = {names[key]: value for key, value in rates}
        if abs(rate["fc2.weight"] / lr - 1) > 1e-6:
            raise NotYet(f"The head should learn at lr = {lr:g} itself; yours learns at {rate['fc2.weight']:g}.")
        if rate["conv1.weight"] > rate["fc1.weight"]:
            raise NotYet("The blocks near the input learn fastest: tl.models.blocks begins at the input, so turn it round.")
        wrong = next((name for name in right if abs(rate[name] / right[name] - 1) > 1e-6), None)
        if wrong:
            raise NotYet(
                f"With lr {lr:g} and decay {decay:g}, {wrong} learns at {rate[wrong]:g} and should at {right[wrong]:g}: one "
                "factor of decay for each block between it and the head, its own included."
            )
    return "These are discriminative learning rates, and what layer_decay does in fit. An optimizer would take the list."


# Lesson 07


@exercise
def labels_for(function) -> str:
    """function(curve, goal): the smallest index of a Series of accuracies at which the goal is reached, or None."""
    import pandas as pd

    curve = pd.Series([0.55, 0.75, 0.91, 0.95, 0.98], index=[1, 2, 5, 10, 20])
    answers = {goal: function(curve.copy(), goal) for goal in (0.9, 0.95, 0.5, 0.99)}
    if all(answer is None or answer is ... for answer in answers.values()):
        raise NotYet("The function returns nothing so far: put its body in place of the dots.")
    if answers[0.9] in (0.91, 2) and answers[0.9] != 5:
        raise NotYet(
            "For a goal of 0.9 that is the accuracy, or its position. Wanted is the number of labels: the index, 5."
        )
    if answers[0.9] in (10, 20):
        raise NotYet("For a goal of 0.9 more labels than needed came out. Of all that are enough take the first.")
    if answers[0.9] != 5 or answers[0.5] != 1:
        raise NotYet(
            f"For goals of 0.9 and 0.5 on the curve {curve.to_dict()} it returned {answers[0.9]!r} and {answers[0.5]!r}."
        )
    if answers[0.95] != 10:
        raise NotYet("At exactly the goal it is reached: at least means >=.")
    if answers[0.99] is not None:
        raise NotYet("No number here reaches 0.99, and the function should then return None.")
    return "So a goal has a price in labels, for every method another one. Ask for it before you collect any."


@exercise
def predicts(function) -> str:
    """function(old, new): whether a new run lies in the 99% prediction interval of the old ones."""
    import numpy as np

    from .intervals import mean_interval, prediction_interval

    old = [0.91, 0.95, 0.93, 0.96, 0.92, 0.94]
    (middle, _, high), (_, _, mean_high) = prediction_interval(old), mean_interval(old, 0.99)
    if function(list(old), middle) is None or function(list(old), middle) is ...:
        raise NotYet("The function returns nothing so far: put its body in place of the dots.")
    n, spread = len(old), np.std(old)
    for name, edge in (
        ("The 1 under the root is missing: that is the interval of the mean, not of a new run.", mean_high),
        ("That divides by n in the standard deviation; it wants ddof=1.", middle + (high - middle) * np.sqrt((n - 1) / n)),
    ):
        inside = (edge + high) / 2
        if not function(list(old), inside) and function(list(old), middle + (edge - middle) * 0.98):
            raise NotYet(name)
    for new in (middle + (high - middle) * 1.02, middle - (high - middle) * 1.02):
        if function(list(old), new):
            raise NotYet(f"For {old} a new run of {new:.3f} lies outside, and the function says it is inside.")
    for new in (middle + (high - middle) * 0.98, middle - (high - middle) * 0.98):
        if not function(list(old), new):
            raise NotYet(f"For {old} a new run of {new:.3f} lies inside, above or below; the function says it is not.")
    if not function([0.8, 0.9], 0.1) or spread == 0:
        raise NotYet(
            "With two old runs t is 63.7, and nearly everything is possible: take n from the list, not a fixed one."
        )
    return "That is how to tell whether a repeated experiment agrees: not with the mean, but with the spread of single runs."


@exercise
def shares_that_work(function) -> str:
    """function(frame, share): for each method the share of rows that reach share x the best mean of any method."""
    import pandas as pd

    rows = [("a", 0.1, s, t) for s, t in enumerate((0.9, 1.0))] + [("a", 0.2, s, t) for s, t in enumerate((0.2, 0.88))]
    rows += [("b", 0.1, s, t) for s, t in enumerate((0.5, 0.7))] + [("b", 0.2, s, t) for s, t in enumerate((0.86, 0.5))]
    frame = pd.DataFrame(rows, columns=["method", "lr", "seed", "test"])
    found = function(frame.copy(), 0.9)
    _returned(found, "put its body in place of the dots.")
    found = {str(method): float(value) for method, value in dict(found).items()}
    if set(found) != {"a", "b"}:
        raise NotYet(f"The dict should have one entry for each method, a and b here; it has {sorted(found)}.")
    if found == {"a": 3.0, "b": 1.0}:
        raise NotYet("These are numbers of rows. Divide by how many rows the method has.")
    if found["b"] >= 0.5:
        raise NotYet("A poor method comes out well: each was judged by its own best. Judge all by the best of any method.")
    if found == {"a": 0.5, "b": 0.0}:
        raise NotYet("The goal is a share of the best mean over seeds, not of the best single run.")
    if found != {"a": 0.75, "b": 0.25}:
        raise NotYet(f"For the goal 0.9 x 0.95 = 0.855 three of the four rows of a work and one of b; it returned {found}.")
    return "One goal for all: a method that is equally bad everywhere is sturdy, but of no use."


# Lesson 08


@exercise
def joined_labels(function) -> str:
    """function(first, second, classes): labels of two tasks as labels of one, the second behind the first."""
    import torch

    first, second = torch.tensor([3, 0, 9]), torch.tensor([0, 1, 1, 0])
    given = (first.clone(), second.clone())
    found = function(*given, 10)
    _returned(found, "put an expression in place of the dots.")
    found = torch.as_tensor(found)
    if found.shape != (7,):
        raise NotYet(f"Three and four labels should give seven in one row; the shape is {tuple(found.shape)}.")
    if found.tolist() == [3, 0, 9, 0, 1, 1, 0]:
        raise NotYet("Now 'even' has the same label as the digit 0. The labels of the second task have to begin at 10.")
    if not (given[0] == first).all() or not (given[1] == second).all():
        raise NotYet("The labels that were given have been changed in place: += changes a tensor, + makes a new one.")
    if found.tolist() != [3, 0, 9, 10, 11, 11, 10]:
        raise NotYet(f"From {first.tolist()} and {second.tolist()} with 10 classes came {found.tolist()}.")
    if torch.as_tensor(function(first, second, 4)).tolist()[3:] != [4, 5, 5, 4]:
        raise NotYet("It is right for 10 classes in the first task, and not for 4: use the argument.")
    return "Each task keeps labels of its own, and one network can be told both."


@exercise
def of_one_head(function) -> str:
    """function(p, start, stop): the probabilities of one head out of those of all heads, so that rows add up to 1."""
    import torch

    p = torch.softmax(torch.randn(5, 12, generator=torch.Generator().manual_seed(0)), 1)
    found = function(p.clone(), 0, 10)
    _returned(found, "put an expression in place of the dots.")
    found = torch.as_tensor(found)
    if found.shape == p.shape or found.shape != (5, 10):
        raise NotYet(
            f"Of 12 columns those from 0 up to (not including) 10 are wanted: 5 x 10. The shape is {tuple(found.shape)}."
        )
    right = p[:, :10] / p[:, :10].sum(1, keepdim=True)
    if torch.allclose(found, p[:, :10]):
        raise NotYet(
            "These are the right columns, but their rows do not add up to 1: the other head has kept a part. Divide."
        )
    if not torch.allclose(found.sum(1), torch.ones(5), atol=1e-5):
        raise NotYet("Each row should add up to 1: divide it by its own sum, sum(1, keepdim=True).")
    if not torch.allclose(found, right, atol=1e-6):
        raise NotYet("The rows add up to 1, but the proportions have changed. Divide by the sum, nothing more.")
    second = torch.as_tensor(function(p, 10, 12))
    if second.shape != (5, 2) or not torch.allclose(second, p[:, 10:] / p[:, 10:].sum(1, keepdim=True), atol=1e-6):
        raise NotYet("It is right for the first head, and not for the second, from 10 to 12.")
    return "That is the question to one head alone: given that it is a digit, which one?"


# Lesson 09


@exercise
def by_group(function) -> str:
    """function(probabilities, groups): the probability of each group of classes, N x groups."""
    import torch

    generator = torch.Generator().manual_seed(9)
    for groups in (torch.tensor([0, 1, 0, 2, 1, 1]), torch.tensor([1, 1, 0, 1, 1])):
        chances = (2 * torch.randn(40, len(groups), generator=generator)).softmax(1)
        member = torch.nn.functional.one_hot(groups).float()
        right = chances @ member
        found = function(chances.clone(), groups.clone())
        _returned(found, "it should return a tensor, N x the number of groups.")
        found = torch.as_tensor(found).float()
        if found.shape == (40,):
            raise NotYet("That is one number for each photograph; a probability for each group was asked for.")
        if found.shape == right.T.shape and found.shape != right.shape:
            raise NotYet("Rows and columns are exchanged: torch.stack(..., dim=1) puts the groups into columns.")
        if found.shape != right.shape:
            raise NotYet(
                f"For 40 photographs, {len(groups)} classes and {right.shape[1]} groups it returned {tuple(found.shape)}, "
                f"not {tuple(right.shape)}."
            )
        if torch.allclose(found, right / member.sum(0), atol=1e-5):
            raise NotYet("That is the mean over the classes of a group, which makes large groups too small: add them up.")
        best = torch.stack([chances[:, groups == group].amax(1) for group in range(right.shape[1])], dim=1)
        if torch.allclose(found, best, atol=1e-5):
            raise NotYet("That is the likeliest class of each group. It is one class or another: add up all of them.")
        if not torch.allclose(found, right, atol=1e-5):
            total = " Each row should add up to 1." if not torch.allclose(found.sum(1), torch.ones(40), atol=1e-4) else ""
            raise NotYet(f"The numbers are others than the sums over the classes of each group.{total}")
    return "One model, two questions: the breeds, and by adding up, the species. No photograph had to be labelled again."


@exercise
def normalised(function) -> str:
    """function(pixels, config): uint8 images as the network of this config wants them."""
    import torch

    pixels = torch.randint(0, 256, (2, 3, 3, 3), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)
    for mean, std in (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.1, 0.5, 0.7), (0.5, 0.3, 1.0))):
        m, s = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        right = (pixels / 255 - m) / s
        found = function(pixels.clone(), {"mean": mean, "std": std, "input_size": (3, 3, 3)})
        _returned(found, "it should return the pixels as the network wants them.")
        if not isinstance(found, torch.Tensor) or found.shape != right.shape:
            raise NotYet("It should return a tensor of the same shape as the pixels.")
        faults = {
            "The mean is meant for pixels from 0 to 1: divide by 255 first.": (pixels - m) / s,
            "That is pixels from 0 to 1; now subtract the mean and divide by the standard deviation.": pixels / 255,
            "Subtract the mean first, and divide what is left by the standard deviation.": pixels / 255 / s - m,
            "The mean is gone; now divide by the standard deviation.": pixels / 255 - m,
            "The standard deviation divides; it does not multiply.": (pixels / 255 - m) * s,
            "The numbers went along the rows of the picture, not the channels: give them the shape C x 1 x 1.": (
                (pixels / 255 - m.view(-1)) / s.view(-1)
            ),
        }
        for words, fault in faults.items():
            if torch.allclose(found.double(), fault.double(), atol=1e-4):
                raise NotYet(words)
        if not torch.allclose(found.double(), right.double(), atol=1e-4):
            raise NotYet("The numbers are others: (pixels / 255 - mean) / std, each channel with its own mean and std.")
        if found.dtype != torch.float32:
            raise NotYet(f"The numbers are right, but of type {found.dtype}; networks take float32.")
    return "That is all there is to it, and tl.data.Input.normalise does the same."


@exercise
def best_of(function) -> str:
    """function(p, n, looks): the mean of the best of so many accuracies, each on n photographs, of a network right for p."""
    import numpy as np
    from scipy.stats import binom

    for p, n, looks in ((0.94, 153, 25), (0.7, 50, 4), (0.9, 400, 10)):
        beaten = binom.cdf(np.arange(n), n, p) ** looks  # the chance that no look finds more than 0, 1, ... n - 1
        right = float((1 - beaten).sum() / n)
        found = function(p, n, looks)
        _returned(found, "it should return an accuracy.")
        found = float(found)
        text = f"For p = {p}, n = {n} and {looks} looks it says {found:.3f}"
        if found > 1:
            raise NotYet(f"{text}. An accuracy is a share: divide the number of right answers by n.")
        if abs(found - right) < 0.004:
            continue
        if abs(found - p) < 0.004:
            raise NotYet(f"{text}, which is p. Take the best of each row of looks before the mean: .max(1).")
        if found > binom.ppf(0.999, n, p) / n - 1e-9:
            raise NotYet(f"{text}. Is that the best of all rows at once? Take the best of each row, then their mean.")
        raise NotYet(f"{text}, and about {right:.3f} is what looking so often gives.")
    return "The more often one looks and the fewer photographs there are, the better it looks, and nothing has been learned."


# Lesson 10


@exercise
def copies_across(find) -> str:
    """find(train, test): the pairs (train file, test file) whose contents are the same; both are dicts of name and bytes."""
    train = {
        "train/a.jpg": b"cat",
        "train/b.jpg": b"dog",
        "train/c.jpg": b"dog",
        "train/d.jpg": b"bird",
        "train/e.jpg": b"Cat",
    }
    test = {"test/a.jpg": b"fish", "test/x.jpg": b"dog", "test/y.jpg": b"cat", "test/z.jpg": b"fish"}
    right = {("train/a.jpg", "test/y.jpg"), ("train/b.jpg", "test/x.jpg"), ("train/c.jpg", "test/x.jpg")}
    found = find(dict(train), dict(test))
    _returned(found, "it should return a list of pairs of names.")
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in found):
        raise NotYet('Each answer should be a pair of names, as ("train/a.jpg", "test/y.jpg").')
    found = set(found)
    if found == {(b, a) for a, b in right}:
        raise NotYet("The right pairs, turned round: the file from train comes first.")
    if ("train/a.jpg", "test/a.jpg") in found:
        raise NotYet("Files of one name need not be the same picture, and copies often have another name: compare bytes.")
    if any(a in train and b in train or a in test and b in test for a, b in found):
        raise NotYet("There is a pair within one split. Only pairs across the two spoil a test.")
    if found < right:
        a, b = sorted(right - found)[0]
        raise NotYet(f"{a} and {b} are the same too: one test file may have several copies in train.")
    if found != right:
        raise NotYet(f"{sorted(found - right)[0]} are not the same, byte for byte.")
    if list(find(test, {})):
        raise NotYet("With nothing in test there is no pair, but your function finds one.")
    return "So many test images would have been learned by heart. A renamed copy does not escape a comparison of bytes."


@exercise
def cooled(function) -> str:
    """function(probabilities, temperature): the probabilities, their logits divided by the temperature."""
    import torch

    given = torch.tensor([[0.90, 0.08, 0.02], [0.40, 0.35, 0.25], [0.05, 0.05, 0.90]])
    for temperature in (2.0, 0.5, 1.0):
        right = (given.log() / temperature).softmax(1)
        found = function(given.clone(), temperature)
        _returned(found, "it should return a tensor as large as the one given.")
        found = torch.as_tensor(found, dtype=torch.float32)
        if found.shape != given.shape:
            raise NotYet(f"The result is {' x '.join(map(str, found.shape))}; it should be like what was given, 3 x 3.")
        if torch.allclose(found, right, atol=1e-4):
            continue
        if torch.allclose(found, (given.log() * temperature).softmax(1), atol=1e-4):
            raise NotYet("It goes the wrong way: a temperature above 1 should make the model less sure. Divide.")
        if torch.allclose(found, (given / temperature).softmax(1), atol=1e-4):
            raise NotYet("You divided the probabilities. Divide their logarithms, which are logits up to a constant.")
        if torch.allclose(found, (given.log() / temperature).softmax(0), atol=1e-4):
            raise NotYet("The softmax goes down the columns. Each row is one image: softmax(1).")
        if not torch.allclose(found.sum(1), torch.ones(3), atol=1e-3):
            raise NotYet(f"At temperature {temperature:g} a row adds up to {found.sum(1)[0]:.3f}, not to 1: softmax(1).")
        raise NotYet(
            f"At temperature {temperature:g}, {given[0].tolist()} should become {right[0].numpy().round(3).tolist()}."
        )
    return "The order of the classes has not changed, only how far they stand apart. At 1 nothing changes."


@exercise
def surest(choose) -> str:
    """choose(confidence, right, wanted): the lowest confidence from which on at least that share of answers is right."""
    import torch

    cases = [
        ([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], 0.75, 0.6),
        ([0.5, 0.9, 0.6, 0.8, 0.7], [0, 1, 1, 1, 0], 0.75, 0.6),
        ([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], 1.0, 0.8),
        ([0.3, 0.9, 0.5], [1, 1, 1], 0.9, 0.3),
        ([0.99, 0.95, 0.9, 0.6], [0, 1, 1, 1], 0.7, 0.6),
    ]
    for confidence, right, wanted, answer in cases:
        found = choose(torch.tensor(confidence), torch.tensor(right, dtype=torch.bool), wanted)
        _returned(found, "it should return one of the confidences.")
        found = float(found)
        if abs(found - answer) < 1e-6:
            continue
        where = f"For confidences {confidence}, right {right}, and {wanted:.0%} wanted, it says {found:g}"
        kept = [r for c, r in zip(confidence, right) if c >= found - 1e-6]
        if not kept:
            raise NotYet(f"{where}: then nothing is answered at all. It should be {answer}.")
        if sum(kept) / len(kept) < wanted:
            raise NotYet(f"{where}: but of the {len(kept)} answers from there on {sum(kept)} are right, which is too few.")
        raise NotYet(f"{where}: that will do, but {answer} will too, and answers more. Take the lowest that does.")
    return "Below it the model had better say that it does not know. The more you want right, the more often it must."


# Lesson 11


@exercise
def accumulated(backward) -> str:
    """backward(model, images, labels, most): gradients of the mean loss over all images, of which `most` fit at a time."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Narrow(nn.Linear):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    for n, most in ((10, 4), (12, 4), (3, 5)):
        seen, random = [], torch.Generator().manual_seed(0)
        model, images = Narrow(6, 3), torch.randn(n, 6, generator=random)
        labels = torch.randint(3, (n,), generator=random)
        weights, parts = model.weight.detach().clone(), [*zip(images.split(most), labels.split(most))]
        losses = [F.cross_entropy(F.linear(x, model.weight, model.bias), y) for x, y in parts]
        means = [torch.autograd.grad(loss, model.weight)[0] for loss in losses]
        right = sum(g * len(x) for g, (x, _) in zip(means, parts)) / n
        backward(model, images, labels, most)
        found, case = model.weight.grad, f"With {n} images and room for {most}"
        if not torch.equal(weights, model.weight):
            raise NotYet("The weights have changed. Leave the step to the optimizer; only gradients were asked for.")
        if found is None or not found.any():
            raise NotYet("After it the weights have no gradient: call backward() on the loss of each part.")
        if max(seen) > most:
            raise NotYet(f"{case}, the model was given {max(seen)} at once.")
        if torch.allclose(found, right, atol=1e-5):
            continue
        if torch.allclose(found, sum(means), atol=1e-5):
            raise NotYet(f"{case}, the gradients are {len(parts)} times too large: each part's mean counts as a whole one.")
        if torch.allclose(found, sum(means) / len(parts), atol=1e-5):
            raise NotYet("The mean of the parts' means: right only for equal parts. Weigh each by its share of the images.")
        if torch.allclose(found, means[-1], atol=1e-5) or torch.allclose(
            found, means[-1] * len(parts[-1][0]) / n, atol=1e-5
        ):
            raise NotYet("Only the last part is in the gradients: zero_grad between the parts throws the others away.")
        if sum(seen) != n:
            raise NotYet(f"{case}, the model saw {sum(seen)} images: none may be lost, and none seen twice.")
        raise NotYet(f"{case}, the gradients are not those of the mean loss over the whole batch.")
    return "A batch as large as you like, in the memory of a small one, with the same step at its end."


@exercise
def shared(share) -> str:
    """share(batch, rank, size): the part of a list that one of `size` processes takes."""
    for n, size in ((10, 3), (8, 4), (11, 4), (5, 1)):
        batch = [100 + 7 * i for i in range(n)]
        parts = [share(list(batch), rank, size) for rank in range(size)]
        if any(part is None or part is ... for part in parts):
            raise NotYet("The function returns nothing so far: it should return a part of the list.")
        parts, case = [list(part) for part in parts], f"Of {n} examples for {size} processes"
        together = [example for part in parts for example in part]
        if not set(together) <= set(batch):
            raise NotYet("It returns what was not in the batch. The examples themselves are wanted, not their places.")
        if len(together) > len(set(together)):
            raise NotYet(f"{case}, some are taken twice.")
        if len(together) < n:
            raise NotYet(f"{case}, some are lost. What does not divide evenly has to go somewhere.")
        if max(map(len, parts)) - min(map(len, parts)) > 1:
            raise NotYet(f"{case}, the parts have {[len(part) for part in parts]}: all wait for the one with the most.")
    return "Everybody knows what is theirs, and nobody had to ask."


@exercise
def bytes_on_the_wire(function) -> str:
    """function(parameters, processes): the bytes that each process sends in one ring of float32 gradients."""
    for parameters, processes in ((1000, 4), (21_840, 2), (25_000_000, 64), (1000, 1)):
        found, right = function(parameters, processes), 8 * parameters * (processes - 1) / processes
        _returned(found, "it should return a number of bytes.")
        for wrong, hint in {
            right / 4: "That is how many numbers are sent; each is float32, of four bytes.",
            right / 2: "Around once the pieces are added up, around a second time the sums reach everybody: twice.",
            right * processes: "That is what all processes send together; for each one, divide by how many there are.",
            8 * parameters: "Nearly: nobody sends the piece that it keeps. So (n - 1) / n of it, and alone nothing.",
        }.items():
            if wrong != right and abs(found - wrong) < 0.5:
                raise NotYet(hint)
        if abs(found - right) > 0.5:
            raise NotYet(
                f"{parameters:,} parameters in {processes} processes make {right:,.0f} bytes; it says {found:,.0f}."
            )
    return "Twice the gradients, nearly, however many take part: the wire of each one need not grow with the team."


@exercise
def worth_it(most) -> str:
    """most(seconds, least): the largest number of processes whose speed-up, divided by that number, is at least `least`."""
    slow, odd = {1: 8.0, 2: 4.4, 4: 2.5, 8: 1.6, 16: 1.4}, {8: 1.0, 1: 6.0, 2: 5.0, 4: 1.7}
    for seconds, least, right in ((slow, 0.75, 4), (slow, 0.5, 8), (slow, 0.95, 1), (slow, 0.3, 16), (odd, 0.7, 8)):
        found = most(dict(seconds), least)
        _returned(found, "it should return one of the numbers of processes.")
        if found not in seconds:
            raise NotYet(f"It returned {found!r}; one of the numbers of processes was asked for, {list(seconds)}.")
        if found == right:
            continue
        efficiency = seconds[1] / seconds[found] / found
        if efficiency >= least:
            raise NotYet(f"For {seconds} and at least {least}, {right} processes will do as well: take the largest number.")
        if found == max(n for n in seconds if seconds[1] / seconds[n] >= least):
            raise NotYet("That asks for a speed-up of `least`. The efficiency is the speed-up divided by the processes.")
        raise NotYet(f"For {seconds}, {found} processes have an efficiency of {efficiency:.2f}; at least {least} is wanted.")
    return "So many are worth their price. More would be quicker still, and each second of them dearer."
