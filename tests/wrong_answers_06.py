"""Right and typical wrong answers to the exercises of lesson 06."""

import copy

import numpy as np
import torch
from scipy import stats

import tl_helpers as tl


def _choose(probe, tuned):
    return "fine-tune" if tl.results.mean_interval(np.subtract(tuned, probe))[1] > 0 else "probe"


def _t(differences, ddof):
    margin = stats.t.ppf(0.975, len(differences) - 1) * np.std(differences, ddof=ddof) / len(differences) ** 0.5
    return "fine-tune" if np.mean(differences) > margin else "probe"


def _unpaired(probe, tuned):
    return "fine-tune" if tl.results.mean_interval(tuned)[1] > tl.results.mean_interval(probe)[2] else "probe"


def _graft(before, after, head=True):
    model = copy.deepcopy(after)
    torch.manual_seed(0)
    model.reset_classifier(before.get_classifier().out_features)
    if head:
        model.get_classifier().load_state_dict(before.get_classifier().state_dict())
    return model


def _lost(before, after, split, head=True):
    return tl.evaluate(before, split).accuracy - tl.evaluate(_graft(before, after, head), split).accuracy


def _in_place(before, after, split):
    after.fc2 = before.fc2
    return tl.evaluate(before, split).accuracy - tl.evaluate(after, split).accuracy


def _groups(model, lr, decay, order=reversed, start=1, head=True, names=False):
    weights = dict(model.named_parameters())
    result = [{"params": list(model.get_classifier().parameters()), "lr": lr}] if head else []
    for steps, part in enumerate(order(tl.models.blocks(model)), start=start):
        result.append({"params": part if names else [weights[name] for name in part], "lr": lr * decay**steps})
    return result


def _alone(model, lr, decay):
    """Each weight in a group of its own, as an optimizer takes it too: not in a list."""
    return [{**group, "params": weight} for group in _groups(model, lr, decay) for weight in group["params"]]


_DECISIONS = {
    "tablet": ("probe", "few labels, near"),
    "chess": ("fine-tune", "far from the source"),
    "twenty heads": ("probe", "old heads must go on working"),
}

RIGHT = {
    "fine_tune_or_probe": _choose,
    "forgetting_of": lambda *given: torch.tensor(_lost(*given), dtype=torch.float64),  # as answers == labels gives it
    "decisions": _DECISIONS,
    "discriminative_groups": _groups,
}
ALSO_RIGHT = {"discriminative_groups": [_alone], "fine_tune_or_probe": [lambda a, b: _t(np.subtract(b, a), ddof=1)]}
WRONG = {
    "fine_tune_or_probe": [
        (lambda probe, tuned: None, "returns nothing"),
        (lambda probe, tuned: np.mean(tuned) > np.mean(probe), "one of the two texts"),
        (lambda probe, tuned: "fine-tune" if np.mean(tuned) > np.mean(probe) else "probe", "holds zero"),
        (lambda probe, tuned: "fine-tune" if all(b > a for a, b in zip(probe, tuned)) else "probe", "but unevenly"),
        (lambda probe, tuned: "fine-tune" if np.mean(d := np.subtract(tuned, probe)) > np.std(d) else "probe", "unevenly"),
        (lambda probe, tuned: _t(np.subtract(tuned, probe), ddof=0), "unevenly"),
        (_unpaired, "draw by draw"),
        (lambda probe, tuned: "fine-tune" if np.subtract(tuned, probe).min() > 0.005 else "probe", "third of a point"),
        (lambda probe, tuned: "probe", "draw by draw"),
        (lambda probe, tuned: "fine-tune", "holds zero"),
    ],
    "forgetting_of": [
        (lambda before, after, split: None, "returns nothing"),
        (lambda before, after, split: -_lost(before, after, split), "sign is turned"),
        (lambda before, after, split: tl.evaluate(_graft(before, after), split).accuracy, "accuracy that is left"),
        (lambda before, after, split: _lost(before, after, split, head=False), "random until"),
        (lambda before, after, split: tl.evaluate(_graft(before, after), split), "`.accuracy`"),
        (lambda before, after, split: 0.0, "nothing is lost"),
        (lambda before, after, split: float("nan"), "says nan"),
        (lambda before, after, split: _lost(before, after, split) if before is not after else float("nan"), "with itself"),
        (_in_place, "`after` was changed"),
    ],
    "decisions": [
        (["probe", "fine-tune", "probe"], "a dictionary"),
        ({"tablet": ("probe", "few labels, near")}, "an answer for each case"),
        (dict.fromkeys(_DECISIONS, "probe"), "give a pair"),
        (dict.fromkeys(_DECISIONS, ("wait", "few labels, near")), 'is "probe" or "fine-tune"'),
        (dict.fromkeys(_DECISIONS, ("probe", "it is cheap")), "one of the reasons"),
        (_DECISIONS | {"tablet": ("fine-tune", "few labels, near")}, "no gain could be shown"),
        (_DECISIONS | {"chess": ("probe", "few labels, near")}, "much to relearn"),
        (_DECISIONS | {"twenty heads": ("probe", "few labels, near")}, "not what decides it"),
    ],
    "discriminative_groups": [
        (lambda model, lr, decay: None, "returns nothing"),
        (lambda model, lr, decay: {"head": lr}, "list of dicts"),
        (lambda model, lr, decay: _groups(model, lr, decay, head=False), "In no group"),
        (lambda model, lr, decay: _groups(model, lr, decay, order=list), "turn it round"),
        (lambda model, lr, decay: _groups(model, lr, decay, start=0), "its own included"),
        (lambda model, lr, decay: _groups(model, lr, decay, names=True), "not names"),
        (lambda model, lr, decay: _groups(model, lr, decay) + _groups(model, lr, decay)[:1], "two groups"),
        (lambda model, lr, decay: [{"params": list(model.parameters()), "lr": lr}], "should at"),
        (lambda model, lr, decay: _groups(model, float("nan"), decay), "yours learns at nan"),
        (lambda model, lr, decay: _groups(model, lr, float("nan")), "learns at nan"),
    ],
}
