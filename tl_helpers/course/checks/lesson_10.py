"""Checks of the exercises of lesson 10."""

from __future__ import annotations

import re

import torch

from ...engine.model_folder import CARD, read_folder
from ...engine.validate import as_path
from ..lesson_10 import SECTIONS
from .base import NotYet, exercise, returned


@exercise("10")
def copies_across(find) -> str:
    """find(train, test): the pairs (train file, test file) whose contents are the same; both are dicts of name and bytes."""
    train = {
        "train/a.jpg": b"cat",
        "train/b.jpg": b"dog",
        "train/c.jpg": b"dog",
        "train/d.jpg": b"a bird that sings here",
        "train/e.jpg": b"Cat",
    }
    test = {"test/a.jpg": b"fish", "test/x.jpg": b"dog", "test/y.jpg": b"cat", "test/z.jpg": b"fish"}
    test["test/w.jpg"] = b"a bird that hides here"  # begins, ends and is as long as one in train
    right = {("train/a.jpg", "test/y.jpg"), ("train/b.jpg", "test/x.jpg"), ("train/c.jpg", "test/x.jpg")}
    found = find(dict(train), dict(test))
    returned(found, "it should return a list of pairs of names.")
    found = list(found)
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in found):
        raise NotYet('Each answer should be a pair of names, as ("train/a.jpg", "test/y.jpg").')
    many, found = len(found), set(map(tuple, found))
    if many > len(found):
        raise NotYet("Some pair is there twice: name each once.")
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
    return "These test images would have been learned by heart. A new name does not hide a copy when you compare bytes."


@exercise("deeper/10")
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
        ([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0], 0.75, 0.9),  # two of one confidence stand or fall together
        ([0.9, 0.8, 0.8, 0.6], [1, 0, 1, 0], 0.75, 0.9),
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
    return "Below it, the model should say that it does not know. The more right answers you ask for, the fewer it gives."


NUMBER, SIGN, JOINED = r"(?<![\w.])(?:\d[\d,]*\.?\d*|\.\d+)", r"\s*(?:%|per ?cent)", r"\s*(?:to|and|[-–])\s*"
LEVEL = rf"(?<![\w.])9[059]{SIGN}(?=[ -]?(?:confidence|interval|ci\b))"
INTERVAL = rf"(?:(?:interval|ci\b)\D*|\(\s*){NUMBER}(?:{SIGN})?{JOINED}{NUMBER}(?:{SIGN})?"


def _numbers(text: str, intervals: bool = True) -> list[float]:
    """The numbers in a text, as shares where a percent sign follows, if only the second of two; no interval's level."""
    text = re.sub(LEVEL, "", text.lower())
    text = text if intervals else re.sub(INTERVAL, "", text)
    text = re.sub(rf"(?<![\w.,])(\d\d?(?:\.\d+)?)(?={JOINED}{NUMBER}{SIGN})", r"\1%", text)
    found = re.findall(rf"({NUMBER})({SIGN})?", text)
    return [float(number.replace(",", "")) / (100 if sign else 1) for number, sign in found]


def _saved(folder) -> dict:
    """What the report of a saved model must agree with, from its card and config."""
    path = as_path(folder)
    try:
        config, _ = read_folder(path)
        card = (path / CARD).read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise NotYet(f"The model cannot be read: {error}") from None
    found = re.search(r"accuracy ([\d.]+) \(95% interval ([\d.]+) to ([\d.]+)\).*, n = (\d+)", card)
    if not found:
        raise NotYet("The model's card gives no result: save it with evaluation=, the evaluation on the test images.")
    learned = re.search(r"(\d+) training images", card)
    return {
        "accuracy": float(found[1]),
        "ends": (float(found[2]), float(found[3])),
        "n": int(found[4]),
        "trained": int(learned[1]) if learned else None,
        "classes": config["label_names"],
        "licence": config["pretrained_cfg"].get("license"),
    }


@exercise("10")
def one_page(report, folder) -> str:
    """A report (a dict of SECTIONS and sentences) on the model that tl.save wrote into a folder."""
    if not isinstance(report, dict):
        raise NotYet("The report should be a dict: the name of each section, and what you say there.")
    missing = [name for name in SECTIONS if name not in report]
    if missing:
        raise NotYet(f"The section {missing[0]!r} is missing.")
    for name in SECTIONS:
        if report[name] is ... or report[name] is None:
            raise NotYet(f"The section {name!r} is still empty: put a sentence in place of the dots.")
        if not isinstance(report[name], str) or len(report[name].split()) < 4:
            raise NotYet(f"The section {name!r} needs at least a sentence.")
    saved = _saved(folder)
    near = lambda value, *numbers: any(abs(number - value) <= 0.0051 for number in numbers)
    result = _numbers(report["result"])
    if saved["trained"] is not None and saved["trained"] not in _numbers(report["data"]):
        raise NotYet(f"Under 'data', say how many images it learned from: the card says {saved['trained']}.")
    shares = lambda **how: [number for number in _numbers(report["baseline"], **how) if 0 < number < 1]
    baseline = shares(intervals=False) or shares()
    if not baseline:
        raise NotYet("Under 'baseline', give the accuracy of something simple. Without it, nobody can judge yours.")
    if len(report["choice"].split()) < 8:
        raise NotYet("Under 'choice', say what you chose, and why: which numbers, on which images?")
    if not near(saved["accuracy"], *result):
        raise NotYet(
            f"Under 'result', the accuracy of the saved model is {saved['accuracy']}; the page says another, or none."
        )
    first = next(number for number in result if 0 < number < 1 or near(saved["accuracy"], number))
    if not near(saved["accuracy"], first):
        raise NotYet(
            f"Under 'result', begin with the accuracy: the first share there is {first:g}, and the accuracy of the saved "
            f"model is {saved['accuracy']}."
        )
    signs = re.search(SIGN, re.sub(LEVEL, "", report["result"].lower()))
    percent = [number / 100 for number in result if 1 < number <= 100] if signs else []  # one sign may do for all
    if not all(near(end, *result, *percent) for end in saved["ends"]):
        low, high = saved["ends"]
        raise NotYet(f"Under 'result', the interval is missing, or another: {low} to {high}, says the model's card.")
    if saved["n"] not in result:
        raise NotYet(f"Under 'result', say on how many test images this was measured: the card says {saved['n']}.")
    if not any(name.lower() in report["where it fails"].lower() for name in saved["classes"]):
        raise NotYet("Under 'where it fails', name at least one class: which one is taken for which?")
    if len(report["who might be harmed"].split()) < 8:
        raise NotYet("Under 'who might be harmed', think of one person on the other side of a wrong answer. What then?")
    licence = saved["licence"]
    if licence and licence.split("-")[0].lower() not in report["licence"].lower():
        raise NotYet(f"Under 'licence', the weights you started from are under {licence}; your page does not say so.")
    if max(baseline) > saved["accuracy"] and not near(saved["accuracy"], max(baseline)):
        raise NotYet("Your baseline is better than the model. Then the honest choice is the baseline.")
    return "Its numbers are those of the saved model. Somebody who has only this page can decide whether to trust it."
