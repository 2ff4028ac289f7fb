"""What lesson 13 shows and what it reads out of the stored grid `pictures_and_words`. Leads are in points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ..datasets.free import free_photographs
from ..device import hub_cache
from ..engine.figure import Figure
from ..images import open_photograph
from ..results import Interval, mean_interval
from . import experiments
from . import pictures_and_words as pairs
from .pictures_and_words import CLASSES, NAMES, SCRATCH, SHIPPED, SHOTS, Letters


def shown(letters: Letters, columns: int = 2) -> Figure:
    """Letters, each in one of its fonts, with their names beside them."""
    rows = math.ceil(len(letters) / columns)
    figure = Figure(4.0 * columns, 0.72 * rows + 0.1)
    axis = figure.sheet()
    for i, name in enumerate(letters.names):
        left, top = 4.0 * (i % columns) + 0.1, 0.72 * (i // columns) + 0.1
        picture = letters.pictures[i, 3 * i % letters.pictures.shape[1]]
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(left, left + 0.6, top + 0.6, top), aspect="auto")
        axis.text(left + 0.7, top + 0.3, name.replace(" WITH ", "\nWITH "), va="center", fontsize=9)
    figure.alt = f"{len(letters)} pictures of letters with their names: {'; '.join(letters.names)}."
    return figure


@torch.no_grad()
def square(towers: pairs.Towers, letters: Letters) -> Figure:
    """How well each of a few names fits each picture, from -1 to 1: a row for each picture, a column for each name."""
    fits = pairs.fits(towers, letters.pictures[:, :1] / 255, letters.names)
    many, size, left, top = len(letters), 0.6, 0.9, 0.7
    figure = Figure(left + size * many + 0.1, top + size * many + 0.1)
    axis = figure.sheet()
    corner = (left, left + size * many, top + size * many, top)
    axis.imshow(fits, cmap="RdBu_r", vmin=-1.6, vmax=1.6, extent=corner, aspect="auto")
    for i, row in enumerate(fits.tolist()):
        y, x = top + size * i, left + size * (i + 0.5)
        place = (0.25, 0.79, y + 0.57, y + 0.03)
        axis.imshow(letters.pictures[i, 0], cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto")
        axis.text(x, top - 0.12, f"“{letters.letters[i]}”", ha="center", fontsize=12)
        for j, value in enumerate(row):
            words = f"{value:.2f}".replace("-", "−")
            place = (left + size * (j + 0.5), y + size / 2)
            axis.text(*place, words, ha="center", va="center", weight="bold" if i == j else "normal", fontsize=9)
    axis.text(left + size * many / 2, 0.25, "the name of …", ha="center", fontsize=10)
    own, other = fits.diagonal().mean(), fits[~torch.eye(many, dtype=torch.bool)].mean()
    hits = int((fits.argmax(1) == torch.arange(many)).sum())
    figure.alt = (
        f"{many} pictures of letters and their {many} names, and how well each name fits each picture. Own names fit with "
        f"{own:.2f} on average, others with {other:.2f}; the best name is a picture's own for {hits} of {many}."
    )
    return figure


def among_all(towers: pairs.Towers, seen: Letters, unseen: Letters) -> pd.Series:
    """What bent pictures of unseen letters are called among the names of all letters: shares that add up to 1."""
    every = seen + unseen
    found = pairs.fits(towers, pairs.bent(unseen.pictures), every.names).argmax(1).view(unseen.pictures.shape[:2])
    own = len(seen) + torch.arange(len(unseen))[:, None]
    shares = {"its own name": found == own, "a seen name": found < len(seen)}
    shares["another unseen name"] = (found >= len(seen)) & (found != own)
    return pd.Series({name: which.double().mean().item() for name, which in shares.items()}).round(3)


def _rows(measure: str, learned: str = NAMES, start: str = SHIPPED, **only) -> pd.DataFrame:
    wanted = {"stage": "result", "measure": measure, "learned": learned, "start": start} | only
    rows = experiments.select(pairs.load(), **wanted)
    if rows.empty:
        raise ValueError(f"The stored results have nothing for {wanted}.")
    return rows


def stored(measure: str, level: float = 0.95) -> Interval:
    """The share that stored towers got right of a measure: mean of the trainings, and its interval.

    Each training held out letters of its own. The interval covers trainings and letters, or test images.
    """
    rows = _rows(measure)
    found = mean_interval(rows.test.tolist(), n=int(rows.n.min()), level=level)
    kind = "test images" if "digits" in measure else "pictures" if "two" in measure else "letters"
    return Interval(found, f"{len(rows)} trainings, {int(rows.n.min())} {kind}")


def _table(chances: dict[str, tuple[int, float]]) -> pd.DataFrame:
    found = {}
    for measure, (names, guessing) in chances.items():
        middle, low, high = stored(measure)
        least, most = _rows(measure).n.agg(["min", "max"])
        n = f"{least}" if least == most else f"{least} to {most}"
        found[measure] = (round(middle, 3), round(low, 3), round(high, 3), round(guessing, 3), names, n)
    columns = ["share right", "from", "to", "guessing", "names", "n"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def _sizes() -> tuple[int, int]:
    """How many letters a stored training had, and how many it held out."""
    return tuple(int(_rows(measure).n.iloc[0]) for measure in ("seen among all", "unseen among unseen"))


def limits() -> pd.DataFrame:
    """A row for each thing that was measured of stored towers: the share right, its 95% interval, and what guessing gets.

    `names` says among how many names they choose, `n` how many letters or test images a training has.
    """
    seen, unseen = _sizes()
    names = {"unseen among unseen": unseen, "unseen among all": seen + unseen, "seen among all": seen + unseen}
    names |= {"another typeface": unseen, "digits by their own names": 10, "digits by look-alikes": 10}
    return _table({measure: (many, 1 / many) for measure, many in names.items()})


def two_letters() -> pd.DataFrame:
    """Of pictures of two letters that stored towers know alone: is the best name one of theirs, are the two best both.

    The columns are those of `limits`; `n` counts pictures. The names are those of the letters that were in training.
    """
    seen, _ = _sizes()
    return _table({"one of two letters": (seen, 2 / seen), "both of two letters": (seen, 2 / seen / (seen - 1))})


def probed(learned: str, shots: int) -> np.ndarray:
    """Of probes on backbones pretrained from random weights which test digits were right: pretrainings x draws x images."""
    rows = _rows("probe", learned, SCRATCH, shots=shots).sort_values(["seed", "draw"])
    right = [experiments.from_text(word, rows.n.iloc[0]) for word in rows.right]
    return np.array(right, float).reshape(rows.seed.nunique(), rows.draw.nunique(), -1)


def lead(shots: int, level: float = 0.95) -> Interval:
    """The lead of a probe on a backbone that learned names over one on a backbone that learned classes, in points."""
    return experiments.crossed_interval(100 * (probed(NAMES, shots) - probed(CLASSES, shots)), level)


def transfer() -> pd.DataFrame:
    """Accuracy on handwritten digits of probes on backbones that learned names, or classes: a row per number of labels."""
    found = {}
    for shots in SHOTS:
        middle, low, high = lead(shots)
        found[shots] = {
            "names": probed(NAMES, shots).mean().round(3),
            "classes": probed(CLASSES, shots).mean().round(3),
            "lead of names in points": round(middle, 1),
            "from": round(low, 1),
            "to": round(high, 1),
        }
    return pd.DataFrame(found).T.rename_axis("labels per class")


def weakest() -> str:
    """The limit with the lowest share right, in the words of `limits` and `two_letters`."""
    shares = pd.concat([limits()["share right"].iloc[3:], two_letters()["share right"].iloc[1:]])
    return shares.idxmin()


CLIP = "timm/vit_base_patch32_clip_224.openai"


@torch.no_grad()
def real_clip(texts: Sequence[str], download: bool = False) -> pd.DataFrame | None:
    """What OpenAI's CLIP (ViT-B/32) makes of the three free photographs; where it is not here, one sentence says so.

    Args:
        texts: among which it chooses.
        download: fetch its weights (605 MB) if they are not on this machine.

    Returns: a row for each photograph, a column for each text, shares that add up to 1; None where CLIP is not here.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        import open_clip
    except ImportError:
        print("CLIP is not on this machine: its library is missing. `uv pip install open_clip_torch` brings it.")
        return None
    here = isinstance(try_to_load_from_cache(CLIP, "open_clip_model.safetensors", hub_cache()), str)
    try:
        if not here and not download:
            raise RuntimeError
        how = {"pretrained": "openai", "cache_dir": hub_cache()}
        model, _, prepare = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", **how)
    except (RuntimeError, OSError):
        print("CLIP is not on this machine: with a network, download=True fetches its weights once (605 MB).")
        return None
    model.eval()
    photographs = free_photographs()
    pixels = torch.stack([prepare(open_photograph(path)) for path in photographs.values()])
    image_vectors = F.normalize(model.encode_image(pixels), dim=1)
    tokens = open_clip.get_tokenizer("ViT-B-32-quickgelu")(list(texts))
    name_vectors = F.normalize(model.encode_text(tokens), dim=1)
    shares = (model.logit_scale.exp() * image_vectors @ name_vectors.T).softmax(1)
    return pd.DataFrame(shares.numpy(), list(photographs), list(texts)).round(2)
