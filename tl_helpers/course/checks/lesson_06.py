"""Checks of the exercises of lesson 06."""

from __future__ import annotations

import copy

import torch

from ...data import Split
from ...engine.parts import blocks
from ...models import RawCNN
from ...training import evaluate, predict
from .base import NotYet, exercise, returned


@exercise("06")
def fine_tune_or_probe(choose) -> str:
    """choose(probe, tuned): "fine-tune" if the 95% interval of the paired difference is above zero, else "probe"."""
    draws = [0.80, 0.85, 0.90, 0.95, 0.88]
    better = [0.813, 0.861, 0.915, 0.962, 0.894]
    cases = [
        (draws, better, "fine-tune", "It leads by a point in every draw: compare draw by draw."),
        (draws, [0.79, 0.95, 0.88, 0.97, 0.87], "probe", "Its mean is higher, but the interval holds zero."),
        (draws, [0.70, 0.74, 0.81, 0.84, 0.79], "probe", "Here fine-tuning is behind in every draw. Mind the sign."),
        (
            draws,
            [0.803, 0.891, 0.922, 0.953, 0.912],
            "probe",
            "Ahead in every draw, but unevenly: the interval holds zero.",
        ),
        (
            draws,
            [0.803, 0.854, 0.903, 0.953, 0.884],
            "fine-tune",
            "A third of a point is little, but it is there in every draw: the interval lies above zero.",
        ),
        (draws, draws, "probe", "The two are equal, so nothing speaks for fine-tuning: take the cheaper one."),
    ]
    for probe, tuned, right, why in cases:
        found = choose(list(probe), list(tuned))
        returned(found, 'it should return "fine-tune" or "probe".')
        if found not in ("fine-tune", "probe"):
            raise NotYet(f'It returned {found!r}; the answer is one of the two texts "fine-tune" and "probe".')
        if found != right:
            raise NotYet(f"For probe {probe} and fine-tuned {tuned} it says {found!r}. {why}")
    return "Paired by draw, a lead of one point can be clear, and a lead of two points can be nothing."


@exercise("06")
def forgetting_of(forgetting) -> str:
    """forgetting(before, after, split): accuracy of before, minus that of after's backbone under before's head."""
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
    returned(found, "it should return a difference of two accuracies.")
    found = found.item() if isinstance(found, torch.Tensor) and found.numel() == 1 else found
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
    if not abs(found - (old - new)) <= 1e-6:
        raise NotYet(
            f"It says {found:.3f} where {old - new:.3f} is lost. Is the head that of `before`, its weights included? A new "
            "head from reset_classifier is random until you load them."
        )
    if not abs(forgetting(before, before, split)) <= 1e-6:
        raise NotYet("A network compared with itself has forgotten nothing, but your function says otherwise.")
    return "Old head, new backbone: the difference is what the old head can no longer read. It may still be in the features."


CASES = {  # what to do, the reason that the lesson measured, and what speaks against the other answers
    "tablet": (
        "probe",
        "few labels, near",
        "Two labels per digit, and digits are close to letters: no gain could be shown there, at many times the computing.",
    ),
    "chess": (
        "fine-tune",
        "far from the source",
        "Photographs of paper are far from clean letters, and the probe is stuck: there is much to relearn.",
    ),
    "twenty heads": (
        "probe",
        "old heads must go on working",
        "A backbone that is fine-tuned for the newcomer changes under the other nineteen heads, and they fail.",
    ),
}
REASONS = sorted({reason for _, reason, _ in CASES.values()})


@exercise("06")
def decisions(answers) -> str:
    """answers: for each case a pair, "probe" or "fine-tune" and one of the reasons."""
    if not isinstance(answers, dict) or not set(CASES) <= set(answers):
        raise NotYet(f"It should be a dictionary with an answer for each case: {', '.join(map(repr, CASES))}.")
    for case, (choice, reason, why) in CASES.items():
        answer = answers[case]
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise NotYet(f"{case}: give a pair, what you would do and why.")
        if ... in answer:
            raise NotYet(f'{case} is still open: put "probe" or "fine-tune" and a reason in place of the dots.')
        if answer[0] not in ("probe", "fine-tune"):
            raise NotYet(f'{case}: the first of the pair is "probe" or "fine-tune".')
        if answer[1] not in REASONS:
            raise NotYet(f"{case}: the second of the pair is one of the reasons {', '.join(map(repr, REASONS))}.")
        if answer[0] != choice:
            raise NotYet(f"{case}: think again about {answer[0]!r}. {why}")
        if answer[1] != reason:
            raise NotYet(f"{case}: {choice!r} it is, but {answer[1]!r} is not what decides it. {why}")
    return (
        "Three decisions, each with a reason that was measured. Where you are unsure, measure: probe first, then fine-tune."
    )


@exercise("deeper/06")
def discriminative_groups(groups) -> str:
    """groups(model, lr, decay): a parameter group for each block and the head, each slower by decay towards the input."""
    for lr, decay in ((1e-2, 0.5), (3e-3, 0.8)):
        model = RawCNN(norm="batch")
        found = groups(model, lr, decay)
        returned(found, "it should return a list of dicts.")
        if not isinstance(found, list) or not all(isinstance(g, dict) and {"params", "lr"} <= set(g) for g in found):
            raise NotYet('It should be a list of dicts, each with the keys "params" and "lr".')
        of = lambda params: [params] if isinstance(params, torch.Tensor) else list(params)  # as optimizers take them
        rates = [(id(weight), group["lr"]) for group in found for weight in of(group["params"])]
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
        if not abs(rate["fc2.weight"] / lr - 1) <= 1e-6:
            raise NotYet(f"The head should learn at lr = {lr:g} itself; yours learns at {rate['fc2.weight']:g}.")
        if rate["conv1.weight"] > rate["fc1.weight"]:
            raise NotYet("The blocks near the input learn fastest: tl.models.blocks begins at the input, so turn it round.")
        wrong = next((name for name in right if not abs(rate[name] / right[name] - 1) <= 1e-6), None)
        if wrong:
            raise NotYet(
                f"With lr {lr:g} and decay {decay:g}, {wrong} learns at {rate[wrong]:g} and should at {right[wrong]:g}: one "
                "factor of decay for each block between it and the head, its own included."
            )
    return "These are discriminative learning rates, and what layer_decay does in fit. An optimizer would take the list."
