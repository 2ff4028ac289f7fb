"""Checks of the exercises of lesson 10."""

from __future__ import annotations

import torch

from .base import NotYet, exercise, returned


@exercise("10")
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
    returned(found, "it should return a list of pairs of names.")
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


@exercise("10")
def cooled(function) -> str:
    """function(probabilities, temperature): the probabilities, their logits divided by the temperature."""
    given = torch.tensor([[0.90, 0.08, 0.02], [0.40, 0.35, 0.25], [0.05, 0.05, 0.90]])
    for temperature in (2.0, 0.5, 1.0):
        right = (given.log() / temperature).softmax(1)
        found = function(given.clone(), temperature)
        returned(found, "it should return a tensor as large as the one given.")
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


@exercise("10")
def surest(choose) -> str:
    """choose(confidence, right, wanted): the lowest confidence from which on at least that share of answers is right."""
    cases = [
        ([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], 0.75, 0.6),
        ([0.5, 0.9, 0.6, 0.8, 0.7], [0, 1, 1, 1, 0], 0.75, 0.6),
        ([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], 1.0, 0.8),
        ([0.3, 0.9, 0.5], [1, 1, 1], 0.9, 0.3),
        ([0.99, 0.95, 0.9, 0.6], [0, 1, 1, 1], 0.7, 0.6),
    ]
    for confidence, right, wanted, answer in cases:
        found = choose(torch.tensor(confidence), torch.tensor(right, dtype=torch.bool), wanted)
        returned(found, "it should return one of the confidences.")
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
