"""Checks of the exercises of lesson 01, and of the notebook behind it."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from ...data import digits
from .base import NotYet, exercise, returned


@exercise("01")
def majority_baseline(baseline) -> str:
    """baseline(train_labels, test_labels): the accuracy of always giving the most common training label."""
    train, test = np.array([0] * 3 + [3] * 5 + [1] * 2), np.array([3] * 2 + [1] * 5 + [0] * 1)
    share = baseline(train.copy(), test.copy())
    returned(share, "it should return a share between 0 and 1.")
    if np.ndim(share) or not 0 <= share <= 1:
        raise NotYet(f"It returned {share!r}; an accuracy is one number between 0 and 1, a share of the test labels.")
    if abs(share - 5 / 8) < 1e-6:
        raise NotYet("You took the most common of the test labels. The lazy model may look at training labels only.")
    if abs(share - 5 / 10) < 1e-6:
        raise NotYet("That is its accuracy on the training labels; count how many of the test labels the answer hits.")
    if not abs(share - 2 / 8) <= 1e-6:
        raise NotYet(
            f"For training labels {train.tolist()} and test labels {test.tolist()} it returned {share:.3f}. The most common "
            "training label there is 3; which share of the test labels is 3?"
        )
    lopsided = np.array([0] * 95 + [1] * 5)
    if not abs(baseline(lopsided, lopsided) - 0.95) <= 1e-6:
        raise NotYet("With 95 labels 0 and 5 labels 1, in training and test, always saying 0 is right in 95 of 100 cases.")
    return "95% accuracy is nothing where 95 of 100 pictures are of one class: always compare with the laziest model."


@exercise("deeper/01")
def half_width(function, beyond_luck) -> str:
    """function(accuracy, n): half of a 95% interval; beyond_luck: the smallest lead above it, in images of 797 at 0.9."""
    cases = [(0.9, 797), (0.5, 100), (0.99, 2000)]
    for accuracy, n in cases:
        found, right = function(accuracy, n), 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
        returned(found, "it should return the margin of the formula.")
        if abs(found - 2 * right) < 0.02 * right:
            raise NotYet("That is the whole interval, from its lower to its upper end; half of it was asked for.")
        if abs(found - right / 1.96) < 0.01 * right:
            raise NotYet("That is the standard error. The 1.96 is missing, which makes 95 of 100 intervals hold the truth.")
        if abs(found - 1.96 * accuracy * (1 - accuracy) / n) < 1e-9 or abs(found * n**0.5 / right - 1) < 0.03:
            raise NotYet("Both the accuracy's part and n stand under the square root: sqrt(accuracy * (1 - accuracy) / n).")
        if not abs(found - right) <= 0.03 * right:
            raise NotYet(f"For accuracy {accuracy} and n = {n} it gives {found:.4f}, the formula gives {right:.4f}.")
    if 0 < beyond_luck < 1:
        raise NotYet("beyond_luck is a share so far; how many of 797 pictures is that?")
    if beyond_luck == 16:
        raise NotYet("The margin is between 16 and 17 pictures, so a lead of 16 is still inside: round up.")
    if beyond_luck != 17:
        raise NotYet(f"beyond_luck is {beyond_luck!r}; the margin at 0.9 is {function(0.9, 797):.4f}. Times 797, then up?")
    return "A lead of 5 pictures of 797 is 0.6 of a point, and the margin 2.1 points: that may well be luck."


REASONS = {  # of the bank or the museum
    "b": "It is true that shuffling costs it nothing, but that shows that it does not use shape; it was trained and tested "
    "on the same order. Neither customer shuffles pixels; one of them moves digits.",
    "c": "Training accuracy says next to nothing about new pictures, and neither customer will send you the old ones again.",
}


@exercise("01")
def whom_to_help(customer, reason) -> str:
    """customer: "bank" (digits in place) or "museum" (digits moved); reason: the letter of a measurement."""
    customer, reason = str(customer).strip().lower(), str(reason).strip().lower()
    if customer not in ("bank", "museum"):
        raise NotYet(f'The customer is "bank" or "museum", in quotes; this is {customer!r}.')
    if reason not in ("a", *REASONS):
        raise NotYet(f'The reason is "a", "b" or "c", in quotes; this is {reason!r}.')
    if customer == "museum":
        raise NotYet("The museum's digits stand a little off their places. What did two pixels do to the linear classifier?")
    if reason in REASONS:
        raise NotYet(f"The bank it is, but not for this reason. {REASONS[reason]}")
    return (
        "Its accuracy is a promise for pictures like those it was tested on: the bank's, not the museum's. To the museum "
        "you might say: not yet, until you have measured on its own pictures."
    )


@exercise("deeper/01")
def shifted(shift) -> str:
    """shift(images, dx, dy): everything dx further right and dy further down, black where nothing comes from."""
    images = torch.randint(1, 256, (3, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    before = images.clone()
    for dx, dy in ((2, 0), (0, 3), (-1, 0), (0, -4), (5, -2), (0, 0)):
        try:
            found = shift(images, dx, dy)
        except RuntimeError as error:
            raise NotYet(f"With dx = {dx} and dy = {dy}: {error} (Beware of the slice [0:-0], which is empty.)") from None
        returned(found, "it should return the moved images.")
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


@exercise("deeper/01")
def chosen_svm(model) -> str:
    """An SVC fitted on the 100 training images of tl.digits(10, 0), its settings chosen on the validation images."""
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
