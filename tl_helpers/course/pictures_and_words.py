"""A small CLIP: letters of ten fonts and their Unicode names, two towers, and a loss of pairs. Lesson 13 opens this file.

The lesson writes the text tower, the loss and the loop in its own cells; here they stand again, for the stored grid, which
`python -m tl_helpers results pictures_and_words` runs or continues.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import math
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .. import glyphs
from ..data import Split, digits, in_floats
from ..device import seeded
from ..engine.examples import as_index
from ..extraction import features
from ..models import backbone, head, input_of, unfreeze
from ..training import fit, predict
from . import experiments, lesson_04, lesson_05, photographs

RESNET = "resnet10t.letters"
STYLES = {
    "Sans": ("", "-Bold", "-Oblique", "-BoldOblique"),
    "SansMono": ("", "-Bold"),
    "Serif": ("", "-Bold", "-Italic", "-BoldItalic"),
}
FONTS = tuple(f"DejaVu{family}{style}" for family, styles in STYLES.items() for style in styles)
OTHER_FONTS = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta")  # a typeface of another kind
NEVER_MET = ("DIGIT", "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
SIDE, SIZE = 32, 128  # of a picture, in pixels; of the vectors
BEND = functools.partial(glyphs.augment, strength=0.4)
STEPS, RATE, BATCH = 450, 2e-3, 256
LEARNS = 3  # of the five blocks of the shipped backbone; the first two stay as they are


@dataclasses.dataclass(frozen=True)
class Letters:
    """Letters with their names and pictures: uint8, letters x fonts x 32 x 32, white on black, at their size in print."""

    letters: tuple[str, ...]
    names: tuple[str, ...]
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.letters)

    def __getitem__(self, which: slice | ArrayLike) -> Letters:
        which = np.arange(len(self))[as_index(which)].tolist()
        return Letters(*(tuple(part[i] for i in which) for part in (self.letters, self.names)), self.pictures[which])

    def __add__(self, other: Letters) -> Letters:
        return Letters(self.letters + other.letters, self.names + other.names, torch.cat([self.pictures, other.pictures]))


def rendered(letters: Sequence[str], fonts: Sequence[str] = FONTS) -> Tensor:
    """Each letter in each font, all on one baseline: uint8, letters x fonts x 32 x 32."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    sheets = []
    for font in fonts:
        face = ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", f"{font}.ttf"), 70)
        for letter in letters:
            canvas = Image.new("L", (3 * SIDE, 3 * SIDE))
            ImageDraw.Draw(canvas).text((1.5 * SIDE, 72), letter, fill=255, font=face, anchor="ms")
            sheets.append(np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(sheets)).view(len(fonts), len(letters), SIDE, SIDE).transpose(0, 1).contiguous()


def _characters(fonts: Sequence[str]) -> set[str]:
    """Those that all of these fonts can draw."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    maps = [FT2Font(str(Path(get_data_path(), "fonts", "ttf", f"{font}.ttf"))).get_charmap() for font in fonts]
    return set(map(chr, set.intersection(*map(set, maps))))


@functools.lru_cache(1)
def every_letter() -> Letters:
    """The Latin, Greek and Cyrillic letters that all fonts have, with at most one mark each, in the order of Unicode.

    No digit, and no letter named after one, as the "tone two" of Zhuang is.
    """
    kept = {}
    for letter in sorted(_characters(FONTS)):
        words = unicodedata.name(letter, "").split()
        plain = len(unicodedata.normalize("NFD", letter)) <= 2 and not {"MODIFIER", *NEVER_MET} & set(words)
        if words and words[0] in ("LATIN", "GREEK", "CYRILLIC") and "LETTER" in words and plain:
            kept[letter] = " ".join(words)
    return Letters(tuple(kept), tuple(kept.values()), rendered(tuple(kept)))


@functools.lru_cache(8)
def split(seed: int = 0) -> tuple[Letters, Letters]:
    """(seen, unseen): three in ten of the combinations such as "... J WITH CIRCUMFLEX" is held out, in all fonts.

    Each word of a name that is held out stands in names that are not. Never held out are letters that the backbone was
    pretrained on, and those that look in some font just like another letter, whose picture would then have been seen.
    """
    every = every_letter()
    words = [set(name.split()) for name in every.names]
    count = {word: sum(word in some for some in words) for word in set().union(*words)}
    pixels = every.pictures.numpy()
    alike = set()
    for font in range(pixels.shape[1]):
        looks = {}
        for i, picture in enumerate(pixels[:, font]):
            looks.setdefault(picture.tobytes(), []).append(i)
        alike |= {i for group in looks.values() if len(group) > 1 for i in group}
    known = set("".join(glyphs.ALPHABETS.values()))
    able = [
        i
        for i, some in enumerate(words)
        if "WITH" in some and min(count[word] for word in some) >= 4 and i not in alike and every.letters[i] not in known
    ]
    held = set(np.random.default_rng(seed).permutation(able)[: 3 * len(able) // 10].tolist())
    left = set().union(*(some for i, some in enumerate(words) if i not in held))
    held = {i for i in held if words[i] <= left}
    return every[[i for i in range(len(every)) if i not in held]], every[sorted(held)]


@functools.lru_cache(1)
def vocabulary() -> tuple[str, ...]:
    """Every word of the names, and those of the digits' names, which are in no training pair."""
    return tuple(sorted({word for name in every_letter().names for word in name.split()} | set(NEVER_MET)))


def bags(names: Sequence[str]) -> Tensor:
    """Names as bags of words: float32, names x words, 1 where a name has the word and 0 elsewhere.

    Raises:
        ValueError: a name has no words, or one that stands in no name.
    """
    known = {word: i for i, word in enumerate(vocabulary())}
    found = torch.zeros(len(names), len(known))
    for row, name in zip(found, names):
        words = name.upper().split()
        if not words:
            raise ValueError('Give a name, such as "latin small letter j with circumflex".')
        for word in words:
            if word not in known:
                near = difflib.get_close_matches(word, known, 3, 0.5)
                hint = f" Near to it: {', '.join(near)}." if near else ""
                raise ValueError(f"No name here has the word {word!r}, so there is no vector for it.{hint}")
            row[known[word]] = 1
    return found


class TextTower(nn.Module):
    """Bags of words (float32, N x words) to vectors (N x 128): the sum of the words' vectors, and a small network on it."""

    def __init__(self, words: int, seed: int = 0):
        super().__init__()
        with seeded(seed):
            self.words = nn.Embedding(words, SIZE)
            self.mlp = nn.Sequential(nn.Linear(SIZE, 256), nn.GELU(), nn.Linear(256, SIZE))

    def forward(self, bags: Tensor) -> Tensor:
        x = bags @ self.words.weight
        return x + self.mlp(x)


class Towers(nn.Module):
    """An image tower and a text tower, whose vectors are compared by their angle; `scale` sharpens the comparison."""

    def __init__(self, image: nn.Module, text: nn.Module):
        super().__init__()
        self.image, self.text, self.scale = image, text, nn.Parameter(torch.tensor(10.0).log())

    def see(self, pictures: Tensor) -> Tensor:
        """Pictures (uint8, or float32 from 0 to 1; N x 1 x H x W) to vectors of length 1 (N x 128)."""
        return F.normalize(self.image(input_of(self.image).normalise(in_floats(pictures))), dim=1)

    def read(self, names: Sequence[str]) -> Tensor:
        """Names to vectors of length 1 (N x 128)."""
        return F.normalize(self.text(bags(names)), dim=1)


def towers(pretrained: bool = True, seed: int = 0) -> Towers:
    """New towers, the image tower from the letters backbone, of which the last three blocks learn, or from random weights.

    Its last layer and the text tower begin with random weights either way.
    """
    image = backbone(RESNET, classes=SIZE, pretrained=pretrained, seed=seed)
    return Towers(unfreeze(image, last=LEARNS) if pretrained else image, TextTower(len(vocabulary()), seed))


def contrastive(image_vectors: Tensor, name_vectors: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss of N pairs: each picture must find its own name among the N, and each name its own picture.

    Source: Radford and others, Learning transferable visual models from natural language supervision (2021).
    """
    scores, own = scale * image_vectors @ name_vectors.T, torch.arange(len(image_vectors))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def batches(letters: Letters, steps: int, size: int = BATCH, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """For each step 256 letters, none twice (int64, 256), and a picture of each, in a random font and bent anew."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        which = torch.randperm(len(letters), generator=generator)[:size]
        font = torch.randint(letters.pictures.shape[1], (len(which),), generator=generator)
        yield which, BEND(letters.pictures[which, font].unsqueeze(1) / 255, generator)


def learn(model: Towers, letters: Letters, steps: int = STEPS, lr: float = RATE, size: int = BATCH, seed: int = 0) -> Towers:
    """Train both towers on pairs of a picture and its name. Changes the model, and returns it."""

    def loss(which: Tensor, pictures: Tensor) -> Tensor:
        names = [letters.names[i] for i in which]
        return contrastive(model.see(pictures), model.read(names), model.scale.exp())

    return _trained(model, loss, batches(letters, steps, size, seed), steps, lr)


def learn_classes(model: nn.Module, letters: Letters, steps: int, lr: float, size: int = BATCH, seed: int = 0) -> nn.Module:
    """Train a classifier on the same pictures, each letter a class. Changes the model, and returns it."""
    normalise = input_of(model).normalise
    loss = lambda which, pictures: F.cross_entropy(model(normalise(pictures)), which)
    return _trained(model, loss, batches(letters, steps, size, seed), steps, lr)


def _trained(model: nn.Module, loss_of: Callable, stream: Iterator, steps: int, lr: float) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    model.train()
    for which, pictures in stream:
        loss = loss_of(which, pictures)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


# What is measured of trained towers. Pictures are bent, in other ways than in training.


@torch.no_grad()
def fits(model: Towers, pictures: Tensor, names: Sequence[str]) -> Tensor:
    """How well each name fits each picture, from -1 to 1: float32, pictures x names."""
    return torch.cat([model.see(part) for part in pictures.split(256)]) @ model.read(names).T


def bent(pictures: Tensor) -> Tensor:
    """Pictures (uint8, letters x fonts x 32 x 32) as float32, letters x fonts in one row, each bent."""
    return BEND(pictures.flatten(0, 1).unsqueeze(1) / 255, torch.Generator().manual_seed(1))


def right(model: Towers, letters: Letters, among: Sequence[str] | None = None) -> Tensor:
    """Whether each bent picture of letters gets its own name, of these names or else of all in `among`: letters x fonts."""
    among = list(among or letters.names)
    own = torch.tensor([among.index(name) for name in letters.names])
    found = fits(model, bent(letters.pictures), among).argmax(1).view(letters.pictures.shape[:2])
    return found == own[:, None]


def in_other_fonts(letters: Letters) -> Letters:
    """Those of the letters that OTHER_FONTS have, drawn in these."""
    able = _characters(OTHER_FONTS)
    some = letters[[i for i, letter in enumerate(letters.letters) if letter in able]]
    return dataclasses.replace(some, pictures=rendered(some.letters, OTHER_FONTS))


def as_letters(handwritten: Tensor) -> Tensor:
    """Handwritten digits (uint8, N x 1 x 28 x 28), as large as capitals in print: float32, N x 1 x 32 x 32."""
    small = F.interpolate(handwritten / 255, (18, 18), mode="bilinear", antialias=True)
    return F.pad(small, (7, 7, 6, 8)).clamp(0, 1)


@torch.no_grad()
def digits_read(model: Towers, names: Sequence[str], split: Split) -> Tensor:
    """Whether each handwritten digit of a split gets its own name, of ten names in the order of the digits: bool, N."""
    return fits(model, as_letters(split.x), names).argmax(1) == split.y


LOOK_ALIKES = (
    "LATIN CAPITAL LETTER O",
    "LATIN CAPITAL LETTER I",
    "LATIN CAPITAL LETTER Z",
    "CYRILLIC CAPITAL LETTER ZE",
    "CYRILLIC CAPITAL LETTER CHE",
    "LATIN CAPITAL LETTER S",
    "CYRILLIC SMALL LETTER BE",
    "LATIN CAPITAL LETTER T",
    "LATIN CAPITAL LETTER B",
    "LATIN SMALL LETTER Q",
)


def two_at_once(letters: Letters, pairs: int = 1000) -> tuple[Tensor, Tensor]:
    """Two different narrow small letters without marks, left and right: float32, N x 2 x 32 x 32, and which, N x 2.

    Both are in the picture in which the larger of the two is taken at each pixel.
    """
    small = [i for i, name in enumerate(letters.names) if "SMALL" in name.split() and "WITH" not in name.split()]
    narrow = [i for i in small if (letters.pictures[i, 0].amax(0) > 0).sum() <= 9]
    rng = np.random.default_rng(0)
    which = torch.tensor(np.stack([rng.choice(narrow, 2, replace=False) for _ in range(pairs)]))
    sides = [letters.pictures[which[:, side], 0].roll(shift, 2) / 255 for side, shift in ((0, -5), (1, 5))]
    return torch.stack(sides, 1), which


def both_found(model: Towers, letters: Letters) -> tuple[Tensor, Tensor]:
    """Of pictures of two letters: is the best name one of theirs, and are the two best names both.

    Only of pairs in which each letter, alone at its place, gets its own name.
    """
    sides, which = two_at_once(letters)
    alone = fits(model, sides.flatten(0, 1).unsqueeze(1), letters.names).argmax(1).view(-1, 2)
    known = (alone == which).all(1)
    best = fits(model, sides[known].amax(1, keepdim=True), letters.names).topk(2).indices
    hits = (best[:, :, None] == which[known][:, None, :]).any(2)
    return hits[:, 0], hits.all(1)


def probes(body: nn.Module, shots: Sequence[int], draws: Sequence[int]) -> Iterator[tuple[int, int, float, Tensor]]:
    """Probes of handwritten digits on a backbone (its head left out): labels per class, draw, validation accuracy, right.

    The features are centred and brought to one spread by those of the training images, whatever the pretraining made of
    them. `right` says of each test image whether it was named rightly.
    """
    vectors = features(body, digits(), progress=False)
    for many, seed in itertools.product(shots, draws):
        few = lesson_04.centred(lesson_05.few(vectors, many, seed))
        unwatched = dataclasses.replace(few, val=few.val[:0])
        epochs = max(20, -(-300 // -(-len(few.train) // 32)))
        model = fit(head(body, few, seed=seed), unwatched, epochs=epochs, lr=3e-3, seed=seed, progress=False).model
        good = [predict(model, part).argmax(1) == part.y for part in (few.val, few.test)]
        yield many, seed, good[0].double().mean().item(), good[1]


# The stored grid: towers on the shipped backbone; and from random weights, names against classes, each with its own rate.

NAMES, CLASSES, SHIPPED, SCRATCH = "names", "classes", "letters", "random"
SEEDS, DRAWS, SHOTS = range(3), range(5), (1, 5, 10)
SHORT = {"steps": 150, "size": 128}  # from random weights: less than a live training takes, the same for both
SEARCH, LADDER, FIRST = range(10, 11), (5e-4, 1e-3, 2e-3, 4e-3, 8e-3), (2e-3, 4e-3)  # seeds; rates; the first
PATH = experiments.RESULTS / "pictures_and_words.csv"


@dataclasses.dataclass(frozen=True)
class Training:
    """One training: what was learned ("names" or "classes"), from which weights, at which rate, seed and stage."""

    learned: str
    start: str
    lr: float
    seed: int
    stage: str = "result"

    @property
    def key(self) -> tuple:
        return self.learned, self.start, f"{self.lr:g}", self.seed, self.stage


def measure(cell: Training) -> list[dict]:
    """Train, and measure: a row for each measure, with the share, of how many (`n`), and which were right, as hexadecimals.

    Each seed has letters of its own held out. n counts letters, not their pictures in several fonts.
    """
    start = time.perf_counter()
    seen, unseen = split(cell.seed)
    pretrained = cell.start == SHIPPED
    how = {"lr": cell.lr, "seed": cell.seed} | ({} if pretrained else SHORT)
    if cell.learned == NAMES:
        model = learn(towers(pretrained, cell.seed), seen, **how)
        body = model.image
    else:
        body = learn_classes(backbone(RESNET, classes=len(seen), pretrained=False, seed=cell.seed), seen, **how)
    rows, seconds = [], round(time.perf_counter() - start, 1)

    def note(what: str, good: Tensor, n: int, shots: int = 0, draw: int = 0, val: float | str = "") -> None:
        good = good.flatten().numpy()
        row = {"measure": what, "shots": shots, "draw": draw, "val": val, "test": float(good.mean()), "n": n}
        bits = experiments.as_text(good) if cell.stage == "result" else ""
        rows.append(dataclasses.asdict(cell) | row | {"answers": len(good), "seconds": seconds, "right": bits})

    if cell.learned == NAMES and cell.stage == "result":
        note("unseen among unseen", right(model, unseen), len(unseen))
    if pretrained:
        every = (seen + unseen).names
        test = digits().test
        other = in_other_fonts(unseen)
        note("unseen among all", right(model, unseen, every), len(unseen))
        note("seen among all", right(model, seen, every), len(seen))
        note("another typeface", right(model, other, unseen.names), len(other))
        note("digits by their own names", digits_read(model, [f"DIGIT {word}" for word in NEVER_MET[1:]], test), len(test))
        note("digits by look-alikes", digits_read(model, LOOK_ALIKES, test), len(test))
        for what, good in zip(("one of two letters", "both of two letters"), both_found(model, seen)):
            note(what, good, len(good))
    shots, draws = (SHOTS, DRAWS) if cell.stage == "result" else (SHOTS[1:2], DRAWS)
    for many, draw, val, good in probes(body, shots, draws):
        note("probe", good, len(good), many, draw, val)
    return rows


def trainings(rows: pd.DataFrame | None = None) -> Iterator[Training]:
    """The trainings of the grid, in order, as far as they are known: results wait for the search of their rate.

    The shipped backbone is trained at RATE. A rate that wins at an edge of those tried brings in the next one beyond.
    """
    keys = [field.name for field in dataclasses.fields(Training)]
    found = {} if rows is None else rows[rows.stage == "search"].groupby(keys).val.mean()
    found = {Training(*key).key: accuracy for key, accuracy in found.items()}
    yield from (Training(NAMES, SHIPPED, RATE, seed) for seed in SEEDS)
    for learned in (NAMES, CLASSES):
        question = Training(learned, SCRATCH, math.nan, 0, "search")
        best, tried = photographs._search(question, SEARCH, found, FIRST, LADDER)
        yield from tried
        if not math.isnan(best):
            yield from (Training(learned, SCRATCH, best, seed) for seed in SEEDS)


def load() -> pd.DataFrame:
    """The stored rows.

    Raises:
        ValueError: there are none.
    """
    words = f"There are no results in {PATH.name}: run `python -m tl_helpers results pictures_and_words`."
    keys = ["learned", "start", "lr", "seed", "stage", "measure", "shots", "draw"]
    return experiments.read(PATH, words, keys, ("val",))


def run() -> pd.DataFrame:
    """Run or continue the grid in this process, and return all rows. A training's rows are written together."""

    def waiting(rows: pd.DataFrame | None) -> list[Training]:
        last = {} if rows is None else rows[(rows.measure == "probe") & (rows.draw == DRAWS[-1])]
        keys = ("learned", "start", "lr", "seed", "stage")
        counts = {} if rows is None else last.groupby(list(keys)).size().to_dict()
        done = {Training(*key).key for key, n in counts.items() if n == (len(SHOTS) if key[-1] == "result" else 1)}
        return [cell for cell in trainings(rows) if cell.key not in done]

    return experiments.continued(PATH, load, waiting, measure)
