"""Where the shipped backbones come from: pretraining on letters with `fit`, weights as safetensors, a model card.

Lesson 04 opens this file. `python -m tl_helpers pretrain NAME` calls this. The numbers on a card stand in the header of the
weights' own file too.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import torch
from torch import nn

from .. import glyphs
from ..data import Split, Task, digits, letters
from ..device import machine
from ..engine.weights import DATA
from ..extraction import features
from ..models import backbone, count_parameters, head
from ..results import Evaluation, mean_interval
from ..runs import Run
from ..training import evaluate, fit

RECIPES = {
    "resnet10t.letters": {"lr": 4e-3, "epochs": 56},
    "mobilenetv3_small_050_s1.letters": {"lr": 4e-3, "epochs": 64},
    "convnext_atto_p2.letters": {"lr": 2e-3, "epochs": 56},
}
SHOTS, SEEDS = (1, 2, 5, 10), range(5)


def pretrain(name: str, folder: Path, epochs: int | None = None, seed: int = 0) -> Path:
    """Pretrain a letters backbone and write its weights and card; stopped, it goes on from its last epoch when called again.

    Args:
        name: a key of RECIPES.
        folder: where to write NAME.safetensors (float16), NAME.md, and while it runs NAME.checkpoint.
        epochs: passes over the 2,752 letters; None for the recipe's.
        seed: of the initial weights, the order and the bending.

    Returns: the path of the weights.
    """
    from safetensors.torch import save_file

    recipe = RECIPES[name] | ({"epochs": epochs} if epochs else {})
    task = letters()
    checkpoint = folder / f"{name}.checkpoint"
    run = _pretrained(name, task, recipe, seed, str(checkpoint))
    if run.stopped:
        raise ValueError(f"{name}: {run.stopped}. Call pretrain again to go on from there.")
    facts = {
        "name": name,
        "recipe": {**recipe, "batch size": 256, "weight decay": 0.05, "label smoothing": 0.1, "seed": seed},
        "parameters": count_parameters(run.model)[1],
        "minutes": round(run.history.seconds.iloc[-1] / 60, 1),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "letters": {"accuracy": evaluate(run.model, task.test).accuracy, "n": len(task.test)},
        "digits": probe_accuracies(run.model),
    }
    path = folder / f"{name}.safetensors"
    weights = {k: v.half() if v.is_floating_point() else v for k, v in run.model.cpu().state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, path, metadata={"facts": json.dumps(facts)})
    (folder / f"{name}.md").write_text(card(facts), encoding="utf-8")
    for leftover in folder.glob(f"{checkpoint.name}*"):
        leftover.unlink()
    return path


def _pretrained(name: str, task: Task, recipe: dict, seed: int = 0, checkpoint: str | None = None) -> Run:
    model = backbone(name, classes=len(task.classes), pretrained=False, seed=seed)
    training = {"batch_size": 256, "weight_decay": 0.05, "label_smoothing": 0.1, "augment": glyphs.augment, **recipe}
    return fit(model, task, seed=seed, checkpoint=checkpoint, **training)


# Sources that differ from the letters in one thing each, to see what it is that helps: for lesson 07. Each by its name,
# with what it does to the letters' images (uint8, N x 1 x 32 x 32) and labels.

LOOK_ALIKES = "OoQDIlijJSsZzBbGgqΟοΘθσΙιΖεΒβОоЗзЭэєЄЧчВвБбЬьЪъ"  # of digits, in the three alphabets


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(2018)


SOURCES = {
    "letters, pretrained as briefly": lambda x, y: (x, y),
    "letters without look-alikes": lambda x, y: (x, y),
    "letters upside down": lambda x, y: (x.flip(2), y),
    "letters with shuffled pixels": lambda x, y: (x.flatten(2)[..., torch.randperm(1024, generator=_dice())].view_as(x), y),
    "letters with random names": lambda x, y: (x, y[torch.randperm(len(y), generator=_dice())]),
    "noise": lambda x, y: (torch.randint(256, (172, 1, 32, 32), generator=_dice(), dtype=torch.uint8)[y], y),
    "letters, never bent": lambda x, y: (x, y),
}


def source(name: str, epochs: int = 20) -> nn.Module:
    """A resnet10t pretrained as on letters, but more briefly, on one of SOURCES; kept in the folder `pretrained`."""
    from safetensors.torch import load_file, save_file

    path = DATA.parent / "pretrained" / f"resnet10t.{name.replace(' ', '_').replace(',', '')}.safetensors"
    recipe = RECIPES["resnet10t.letters"] | {"epochs": epochs} | ({"augment": None} if "never bent" in name else {})
    task = letters(LOOK_ALIKES if "look-alikes" in name else "")
    if not path.exists():
        changed = (Split(*SOURCES[name](split.x, split.y)) for split in (task.train, task.val, task.test))
        changed = Task(name, task.classes, *changed)
        run = _pretrained("resnet10t.letters", dataclasses.replace(changed, val=changed.val[:0]), recipe)
        path.parent.mkdir(exist_ok=True)
        save_file({k: v.contiguous() for k, v in run.model.cpu().state_dict().items()}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    model = backbone("resnet10t.letters", classes=len(task.classes), pretrained=False)
    model.load_state_dict(load_file(path))
    return model


def probe_accuracies(model: nn.Module) -> dict[str, list[float]]:
    """Test accuracy on the handwritten digits of linear probes on a backbone, for each number of shots a list over seeds."""
    pool = {(shots, seed): digits(shots, seed) for shots in SHOTS for seed in SEEDS}
    found = {str(shots): [] for shots in SHOTS}
    for (shots, seed), task in pool.items():
        vectors = features(model, task)
        probe = fit(head(model, task, seed=seed), vectors, seed=seed, progress=False)
        found[str(shots)].append(evaluate(probe.model, vectors.test).accuracy)
    return found


def facts_of(path: Path) -> dict:
    """What the header of a weights file says about how it was made."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["facts"])


def compare_with_shipped(path: Path) -> str:
    """One sentence: the letters accuracy of these weights beside that of the shipped ones, with 95% intervals."""
    mine, shipped = (
        Evaluation(facts["letters"]["accuracy"], 0.0, facts["letters"]["n"])
        for facts in (facts_of(path), facts_of(DATA / path.name))
    )
    same = mine.interval[0] <= shipped.interval[1] and shipped.interval[0] <= mine.interval[1]
    texts = [f"{e.accuracy:.3f} ({e.interval[0]:.3f} to {e.interval[1]:.3f})" for e in (mine, shipped)]
    overlap = "overlap" if same else "do not overlap"
    return f"Bent letters named rightly: {texts[0]}; by the shipped weights {texts[1]}. The intervals {overlap}."


def card(facts: dict) -> str:
    """The model card, in Markdown."""
    letters_result = Evaluation(facts["letters"]["accuracy"], 0.0, facts["letters"]["n"])
    low, high = letters_result.interval
    recipe = ", ".join(f"{key} {value}" for key, value in facts["recipe"].items())
    n = len(digits().test)
    rows = "\n".join(
        f"| {shots} | {mean:.3f} | {low:.3f} to {high:.3f} |"
        for shots, (mean, low, high) in ((s, mean_interval(v, n)) for s, v in facts["digits"].items())
    )
    return f"""# {facts["name"]}

A timm backbone of {facts["parameters"]:,} parameters (its head for 172 letters included), pretrained from random weights on
letters drawn by a computer, for teaching transfer learning. Weights: `{facts["name"]}.safetensors`, stored as float16.

- **How made**: `python -m tl_helpers pretrain {facts["name"]}` ({recipe}; AdamW, warm-up and cosine schedule) in
  {facts["minutes"]} minutes on {facts["date"]}; {facts["machine"]["processor"]}; device: {facts["machine"]["device"]};
  {facts["machine"]["system"]}; {facts["machine"]["versions"]}.
- **On what**: 172 letters of the Latin, Greek and Cyrillic alphabets in 16 fonts (2,752 images), bent anew in each epoch
  (`tl_helpers/glyphs.py`). No digit, and nothing written by hand. Letters that look the same in two alphabets are separate
  classes, so an accuracy of 1 cannot be reached.
- **Input**: grey, 1 x 32 x 32, in [0, 1], normalised with mean 0.5 and standard deviation 0.5, white on black.
- **Accuracy on letters** (2,752 bent ones, other bends than in training): {letters_result.accuracy:.3f}
  (95% interval {low:.3f} to {high:.3f}).
- **Accuracy on handwritten digits** ({n} test images) of a linear probe on the frozen backbone, {len(SEEDS)} seeds; the
  intervals cover the draws of training images and, amply, the choice of test images:

| labelled digits a class | accuracy | 95% interval |
|---|---|---|
{rows}

- **Licences**: the weights are the course's own, under its licence. The letters were drawn with fonts that matplotlib ships:
  DejaVu (Bitstream Vera licence) and STIX (SIL Open Font License); no font data is in the weights.
- **Limits**: white glyphs on black, one at a time, filling the frame. Not for photographs, not for reading text, and of no
  use to any decision about people.
"""
