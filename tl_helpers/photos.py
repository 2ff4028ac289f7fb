"""Photographs: sets that are fetched once, and any folder of yours, with a report of what lies in it.

Everything lives in one folder, TL_HOME (else a cache folder of yours), which can be carried to other machines.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import difflib
import errno
import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Files, Split, Task, in_threads, open_photograph, shown

READ = frozenset(".jpg .jpeg .jfif .png .gif .bmp .webp .tif .tiff .ppm .pgm".split())
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def crop_and_flip(images: Tensor, generator: torch.Generator | None = None, area: float = 0.35) -> Tensor:
    """Vary photographs as one who stands nearer or elsewhere sees them: a part of each, enlarged, and half of them mirrored.

    Args:
        images: float, N x C x H x W, in [0, 1].
        generator: source of the random numbers, on the device of the images; None takes torch's own.
        area: the smallest share of the picture that is kept, above 0 and up to 1.

    Returns: images of the same shape, each cropped in its own way.

    Source: the random resized crops of Szegedy et al. 2015 (https://arxiv.org/abs/1409.4842), drawn for each image.
    """
    kept, shape, x, y, mirror = torch.rand(5, len(images), generator=generator, device=images.device)
    kept, shape = area + (1 - area) * kept, (4 / 3) ** (2 * shape - 1)
    width, height = (kept * shape).sqrt().clamp(max=1), (kept / shape).sqrt().clamp(max=1)
    maps = torch.zeros(len(images), 2, 3, device=images.device)
    maps[:, 0, 0], maps[:, 0, 2] = torch.where(mirror < 0.5, -width, width), (2 * x - 1) * (1 - width)
    maps[:, 1, 1], maps[:, 1, 2] = height, (2 * y - 1) * (1 - height)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


# A folder of yours.


@dataclasses.dataclass(frozen=True)
class Report:
    """What lies in a folder of images; shows itself as text, and as a figure by `tl.plots.report`.

    files: one row a file: file, label, split ("train", "val", "test", or "" for one left out), width, height, and in
        `trouble` why it was left out, or "".
    copies: groups of files that show the same picture, pixel for pixel.
    near: pairs of files of different splits that show nearly the same picture.
    notes: what else was found, a sentence each.
    """

    files: pd.DataFrame
    copies: list[tuple[str, ...]]
    near: list[tuple[str, str]]
    notes: list[str]

    @property
    def counts(self) -> pd.DataFrame:
        """Images by class (rows) and split (columns)."""
        kept = self.files[self.files.split != ""]
        return pd.crosstab(kept.label, kept.split).reindex(columns=["train", "val", "test"], fill_value=0)

    @property
    def damaged(self) -> pd.DataFrame:
        """The files that could not be read, and why."""
        return self.files.loc[self.files.width == 0, ["file", "trouble"]]

    def __repr__(self) -> str:
        counts, kept = self.counts, self.files[self.files.split != ""]
        split, kind = (dict(zip(self.files.file, self.files[column])) for column in ("split", "label"))
        lines = [f"{len(kept):,} images of {len(counts)} classes", counts.rename_axis(None, axis=1).to_string(), ""]
        low, middle, high = kept[["width", "height"]].quantile([0, 0.5, 1]).astype(int).to_numpy().tolist()
        lines += [
            f"Sizes: {low[0]} to {high[0]} pixels wide (median {middle[0]}), {low[1]} to {high[1]} high ({middle[1]})."
        ]
        sums = counts.sum(axis=1)
        most, least = sums.idxmax(), sums.idxmin()
        lines += [
            f"Balance: the largest class, {most!r}, has {sums[most] / sums[least]:.1f} times the images of the smallest, "
            f"{least!r}; always naming {most!r} would be right in {sums[most] / sums.sum():.0%}."
        ]
        lines += _some("Damaged files, left out", [f"{file}: {why}" for file, why in self.damaged.values])
        groups = []
        for group in self.copies:
            kinds = dict.fromkeys(kind[file] for file in group)
            out = [file for file in group if not split[file]]
            groups += [
                " = ".join(group)
                + f", in {next(split[file] for file in group if split[file])}"
                + (f"; left out: {', '.join(out)}" if out else "")
                + (f"; under several classes ({', '.join(kinds)}), of which all but one are wrong" if len(kinds) > 1 else "")
            ]
        lines += _some("Exact copies, each group in one split only", groups)
        pairs = [f"{a} ({split[a]}) and {b} ({split[b]})" for a, b in self.near]
        lines += _some("Near duplicates across splits, kept (look at them)", pairs)
        return "\n".join(lines + self.notes)


def _some(title: str, items: list[str], most: int = 10) -> list[str]:
    """A heading with a count, and the first items below it."""
    more = [f"  and {len(items) - most} more"] if len(items) > most else []
    return [f"{title}: {len(items)}", *(f"  {item}" for item in items[:most]), *more] if items else [f"{title}: none"]


def folder(path: str | os.PathLike, *, val: float = 0.2, test: float = 0.2, seed: int = 0, shots: int | None = None) -> Task:
    """A task of your own images; `.report` of it says what was found.

    The folder holds one subfolder a class, or `train` and, if you like, `val` and `test`, with one subfolder a class in
    each. In place of a folder, a CSV file names in each row a file (seen from where the CSV lies), its class, and if you
    like its split. Splits that are not given are drawn from the training images, in each class the same share. Damaged files
    are named in the report and left out. Files with the same picture stay together in one split; where given splits share
    one, the copies in train (then val) are left out, and test keeps its own.

    Args:
        path: the folder, or the CSV file.
        val: share of the images for validation, where no such split is given; 0 for none.
        test: share of the images for testing, where no such split is given; 0 for none.
        seed: which images go where.
        shots: None for all training images, or how many of each class to learn from.

    Raises:
        ValueError: there is no such folder, or nothing in it to learn from; the message says what to do.
    """
    for name, share in (("val", val), ("test", test)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise ValueError(f"{name} must be a share of the images, from 0 to below 1; not {share!r}.")
    if val + test >= 1:
        raise ValueError(f"val and test together take {val + test:g} of the images, and leave none to learn from.")
    root = Path(path).expanduser()
    if not root.exists():
        raise ValueError(f"There is no folder {shown(root)!r}, looked for from {shown(Path.cwd())}.")
    try:
        base, rows, notes = _rows_of_csv(root) if root.is_file() else _rows_of_folder(root)
    except OSError as error:
        raise ValueError(f"{shown(root)} cannot be looked into: {error.strerror or error}.") from error
    frame = pd.DataFrame(rows, columns=["path", "label", "split"])
    frame.insert(0, "file", [shown(os.path.relpath(p, base)) for p in frame.path])
    looks = _look_at(list(frame.path))
    frame["width"], frame["height"] = ([0 if isinstance(look, str) else look[i] for look in looks] for i in (0, 1))
    frame["trouble"] = [look if isinstance(look, str) else "" for look in looks]
    frame["picture"] = [None if isinstance(look, str) else look[2] for look in looks]
    copies = _settle_copies(frame)
    _deal(frame, val, test, seed)
    frame.loc[frame.trouble != "", "split"] = ""
    labels = frame[frame.trouble == ""].groupby("split").label.unique()
    classes = sorted(labels.get("train", []))
    for name in ("val", "test"):
        strange = sorted(set(labels.get(name, [])) - set(classes))
        if strange:
            raise ValueError(f"{name} holds the class {strange[0]!r}, of which there is no image in train to learn from.")
    if len(classes) < 2:
        bad = frame[frame.width == 0]
        why = f" ({len(bad)} cannot, the first of them {bad.file.iloc[0]}: {bad.trouble.iloc[0]})" if len(bad) else ""
        what = f"images of only one class, {classes[0]!r}, that can be read" if classes else "no images that can be read"
        raise ValueError(f"{shown(root)} holds {what}{why}; a task needs at least two classes, in a subfolder each.")
    lost = sorted(set(frame.label) - set(classes))
    notes += [f"No image of the class {label!r} can be read: it is no class here." for label in lost]
    near = _near(frame, looks)
    report = Report(frame.drop(columns=["path", "picture"]), copies, near, notes)
    splits = {}
    for name in ("train", "val", "test"):
        part = frame[frame.split == name]
        labels = torch.tensor([classes.index(label) for label in part.label], dtype=torch.long)
        splits[name] = Split(Files(part.path), labels)
    splits["train"] = _draw(splits["train"], shots, seed)
    name = root.stem if root.is_file() else base.resolve().name
    title = shown(name) if shots in (None, "all") else f"{shown(name)}, {shots} a class"
    return Task(title, tuple(classes), **splits, report=report)


def _rows_of_folder(root: Path) -> tuple[Path, list[tuple[Path, str, str]], list[str]]:
    """Where the classes lie, (file, class, split or "") of every image there, and sentences on what else is there."""
    notes = []
    folders = _subfolders(root)
    while len(folders) == 1 and _subfolders(folders[0]):  # as archives often unpack: pets/pets/cat
        if folders[0].name.lower() == "train":
            break
        folders = _subfolders(root := folders[0])
    halves = {SPLITS[f.name.lower()]: f for f in folders if f.name.lower() in SPLITS}
    split_inside = "train" in halves and bool(_subfolders(halves["train"]))
    rows, others = [], Counter()
    for split, place in halves.items() if split_inside else (("", root),):
        for kind in _subfolders(place):
            images, odd = images_below(kind)
            others += odd
            rows += [(image, shown(kind.name), split) for image in images]
            if not images:
                notes.append(f"The folder {shown(kind.relative_to(root))} holds no images: it is no class here.")
        loose = [p for p in place.iterdir() if p.suffix.lower() in READ and not p.name.startswith(".")]
        if loose and not rows:
            raise ValueError(
                f"{shown(place)} holds {len(loose)} images and no subfolder with images: put those of each class into a "
                "subfolder named after it, or give a CSV file with a file and a class in each row."
            )
        if loose:
            notes.append(f"Images beside the class folders, in no class, left out: {len(loose)}.")
    if split_inside:
        notes += [f"The folder {shown(f.name)} stands beside train: left out." for f in folders if f not in halves.values()]
    if others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        advice = " Save .heic pictures of phones as JPEG to use them." if {".heic", ".heif"} & set(others) else ""
        notes.append(f"Files of kinds that are not read here, left out: {kinds}.{advice}")
    if not rows:
        raise ValueError(
            f"{shown(root)} holds no images: a folder for tl.folder has one subfolder a class, with images "
            f"({', '.join(sorted(READ))}) in it." + "".join(f" {note}" for note in notes)
        )
    return root, rows, notes


def _subfolders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def images_below(place: Path) -> tuple[list[Path], Counter]:
    """The images in a folder and in the folders within it, in the order of their names, and the endings of other files."""
    images, others = [], Counter()
    for here, inside, names in os.walk(place):
        inside[:] = sorted(name for name in inside if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            if ending in READ and not name.startswith("."):
                images.append(Path(here, name))
            elif not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                others[ending or "without ending"] += 1
    return images, others


def _rows_of_csv(path: Path) -> tuple[Path, list[tuple[Path, str, str]], list[str]]:
    """The same of a CSV file, whose first line may name the columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n")[0]
        cells = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{shown(path)} is no CSV file that can be read ({error}); tl.folder takes a folder, or a CSV file in UTF-8."
        ) from error
    cells = [[cell.strip() for cell in row] for row in cells if any(cell.strip() for cell in row)]
    if not cells:
        raise ValueError(f"{shown(path)} is empty: each row names a file, its class, and if you like its split.")
    order = [0, 1, 2]
    if len(cells) and not (path.parent / cells[0][0]).is_file():
        names = [name.lower() for name in cells[0]]
        known = ({"file", "path", "image", "filename", "name"}, {"label", "class", "category"}, {"split", "set", "subset"})
        places = [next((i for i, name in enumerate(names) if name in kind), None) for kind in known]
        if None not in places[:2]:
            order, cells = places, cells[1:]
    rows = []
    for number, row in enumerate(cells, 1):
        row = [row[i] if i is not None and i < len(row) else "" for i in order]
        where = f"Row {number} of {shown(path)} ({', '.join(row)})"
        if not row[0] or not row[1]:
            raise ValueError(
                f"{where} lacks a file or a class: each row names a file, its class, and if you like its split."
            )
        if row[2].lower() not in ("", *SPLITS):
            raise ValueError(f"{where} names the split {row[2]!r}; it must be train, val or test.")
        file = path.parent / row[0]
        if not file.exists() and "\\" in row[0]:
            file = path.parent / row[0].replace("\\", "/")
        rows.append((file, row[1], SPLITS.get(row[2].lower(), "")))
    rows, labels = list(dict.fromkeys(rows)), {}
    for file, label, _ in rows:
        if labels.setdefault(file, label) != label:
            raise ValueError(f"{shown(path)} gives {shown(file)} two classes, {labels[file]!r} and {label!r}: keep one.")
    if len(labels) < len(rows):
        raise ValueError(f"{shown(path)} puts one file into two splits: keep one row of each file.")
    given = {split for _, _, split in rows}
    if "" in given and len(given) > 1:
        raise ValueError(f"Some rows of {shown(path)} name a split and others none: fill in all of them, or none.")
    if given and given != {""} and "train" not in given:
        raise ValueError(f"No row of {shown(path)} is of the split train: there is nothing to learn from.")
    return path.parent, rows, []


def _look_at(paths: list[Path]) -> list[tuple[int, int, bytes, np.ndarray] | str]:
    """Of each file width, height, a hash of its pixels, and a thumbnail for comparison; or what is wrong with it."""
    from PIL import Image

    def look(path: Path):
        try:
            image = open_photograph(path)
        except ValueError as error:
            bar.update()
            return str(error).removeprefix(f"{shown(path)} cannot be read as a picture: ").removesuffix(".")
        mark = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        small = np.asarray(image.resize((16, 16), Image.Resampling.BOX), dtype=np.float32).ravel()
        bar.update()
        return *image.size, mark, small

    with _bar(total=len(paths), unit=" images", desc="looking at the images", least=1000) as bar:
        return in_threads(look, paths)


def _settle_copies(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    """Groups of files with the same picture. Where given splits share one, the lesser split's files get their trouble."""
    groups = []
    rank = {"test": 0, "val": 1, "train": 2, "": 3}
    for _, part in frame[frame.trouble == ""].groupby("picture", sort=False):
        if len(part) < 2:
            continue
        first = part.iloc[np.argsort(part.split.map(rank), kind="stable")].iloc[0]
        for place, row in part.iterrows():
            if row.split != first.split:
                frame.loc[place, "trouble"] = f"the same picture as {first.file} in {first.split}"
        groups.append(tuple(part.file))
    return groups


def _deal(frame: pd.DataFrame, val: float, test: float, seed: int) -> None:
    """Fill in the splits that are not given, in each class the same share; files with one picture go the same way."""
    given = set(frame.split) - {""}
    wanted = {name: share for name, share in (("test", test), ("val", val)) if share and name not in given}
    pool = frame[(frame.trouble == "") & frame.split.isin(["train", ""])]
    frame.loc[frame.split == "", "split"] = "train"
    pictures = pool.drop_duplicates("picture")
    few = pictures.groupby("label").size().reindex(pool.label.unique(), fill_value=0)
    few = few[few <= len(wanted)]
    if len(few):
        raise ValueError(
            f"Of the class {few.index[0]!r} there are {few.iloc[0]} different images that can be read, and train"
            f"{''.join(f', {name}' for name in wanted)} need one each: add images, or leave the class out."
        )
    rng = np.random.default_rng(seed)
    for _, part in pictures.groupby("label"):
        left = list(rng.permutation(part.picture.to_numpy(dtype=object)))
        size = len(left)
        for i, (name, share) in enumerate(wanted.items()):
            count = min(max(1, round(share * size)), len(left) - (len(wanted) - i))
            taken, left = left[:count], left[count:]
            frame.loc[frame.picture.isin(taken) & (frame.trouble == ""), "split"] = name


def _near(frame: pd.DataFrame, looks: list, least: float = 0.98) -> list[tuple[str, str]]:
    """Pairs of files from different splits whose thumbnails correlate above `least`, whatever their size and brightness.

    Saved smaller, darker or with more loss, a photograph of the pets, ants and bees keeps .98 with itself; no two of
    those 767 reach .91 with each other.
    """
    kept = np.flatnonzero(frame.trouble == "")
    small = np.stack([looks[place][3] for place in kept])
    small -= small.mean(1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    split, file, picture = (frame[name].to_numpy()[kept] for name in ("split", "file", "picture"))
    pairs = []
    for start in range(0, len(kept), 1000):
        for a, b in np.argwhere(small[start : start + 1000] @ small.T > least):
            a += start
            if a < b and split[a] != split[b] and picture[a] != picture[b]:
                pairs.append((file[a], file[b]))
    return pairs


def _draw(split: Split, shots: int | str | None, seed: int) -> Split:
    """So many examples of each class; one seed's 10 shots hold its 5 shots."""
    if shots is None or shots == "all":
        return split
    most = int(split.y.bincount().min())
    if isinstance(shots, bool) or not isinstance(shots, (int, np.integer)) or not 1 <= shots <= most:
        raise ValueError(
            f"shots is the number of labelled images a class: 1 to {most} here, or None for all; not {shots!r}."
        )
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(split.y.numpy() == kind) for kind in range(int(split.y.max()) + 1)]
    return split[np.concatenate([rng.permutation(place)[:shots] for place in places])]


# Sets that are fetched once.


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a set comes from: its place below `home()`, and its archives as (address, megabytes, md5 or None)."""

    title: str
    place: str
    archives: tuple[tuple[str, int, str | None], ...]
    inside: str  # where the archives unpack to, seen from the folder they are unpacked in

    @property
    def megabytes(self) -> int:
        return sum(size for _, size, _ in self.archives)


_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
SOURCES = {
    "pets": Source(
        "The Oxford-IIIT pets",
        "torchvision/oxford-iiit-pet",
        (  # addresses and sums as in torchvision.datasets.OxfordIIITPet
            (f"{_PETS}images.tar.gz", 792, "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            (f"{_PETS}annotations.tar.gz", 19, "95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
        ".",
    ),
    # PyTorch publishes no sum for this one: whether it is whole is told by the number of its images.
    "ants-and-bees": Source(
        "The ants and bees",
        "hymenoptera_data",
        (("https://download.pytorch.org/tutorial/hymenoptera_data.zip", 47, None),),
        "hymenoptera_data",
    ),
}
WEIGHTS = {"mobilenetv2_100.ra_in1k": 14}  # megabytes of the ImageNet weights that lessons use
NEEDS = {"09": ("pets", "ants-and-bees", "mobilenetv2_100.ra_in1k"), "10": ("mobilenetv2_100.ra_in1k",)}
PREFETCH = "python -m tl_helpers prefetch"


def reach(address: str) -> None:
    """Say at once that there is no network, where a library would try for a minute.

    Raises:
        ConnectionError: nothing answers at this address.
    """
    import requests

    try:
        requests.head(address, timeout=10)
    except (requests.RequestException, RuntimeError) as error:
        raise ConnectionError(f"{address} does not answer") from error


def command_for(name: str) -> str:
    """The shell's command that gets a set or weights."""
    lesson = next((lesson for lesson, names in NEEDS.items() if name in names), None)
    return f"`{PREFETCH} --only {lesson or name}`"


def home() -> Path:
    """Where the sets live: TL_HOME, else the cache folder that this system keeps for a user's programs."""
    import platformdirs

    named = os.environ.get("TL_HOME")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("tl_helpers", appauthor=False)


def hub_cache() -> Path | None:
    """Where Hugging Face's library keeps weights: below TL_HOME if that is set; None for wherever it does by itself."""
    own = {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} & set(os.environ)
    return home() / "hf" / "hub" if os.environ.get("TL_HOME") and not own else None


def photos(name: str, shots: int | str | None = None, seed: int = 0) -> Task:
    """Photographs from a set that is fetched once and then kept in `home()`.

    "pets": 37 breeds of cats and dogs; "cats-and-dogs": the same photographs by species; "ants-and-bees": the small set of
    PyTorch's transfer-learning tutorial. The test images are the set's own (for ants-and-bees what the tutorial calls val).
    The validation images are a fifth of each class of the rest, always the same; training images are drawn from the others.

    Args:
        name: one of these three.
        shots: how many labelled training images of each class; None for all.
        seed: which ones. One seed draws the same images every time, and 10 shots hold the 5 shots of the same seed.

    Raises:
        ValueError: there is no such set, or it has fewer images a class than shots.
        ConnectionError: the set is not on this machine and cannot be fetched.

    Source: Parkhi et al., Cats and Dogs, CVPR 2012 (CC BY-SA 4.0); hymenoptera_data of PyTorch's tutorial, from ImageNet.
    """
    from torchvision import datasets

    if name in ("pets", "cats-and-dogs"):
        root = get("pets").parent
        parts = [datasets.OxfordIIITPet(root, split) for split in ("trainval", "test")]
        rest, test = (Files(part._images) for part in parts)  # asking the set itself would open each photograph
        kinds = [torch.tensor(part._labels) for part in parts]
        labels, classes = kinds, parts[0].classes
        if name == "cats-and-dogs":
            labels, classes = [torch.tensor(part._bin_labels) for part in parts], parts[0].bin_classes
    elif name == "ants-and-bees":
        root = get(name)
        parts = [datasets.ImageFolder(root / split) for split in ("train", "val")]
        rest, test = (Files(path for path, _ in part.samples) for part in parts)
        labels = kinds = [torch.tensor(part.targets) for part in parts]
        classes = parts[0].classes
    else:
        known = ("pets", "cats-and-dogs", "ants-and-bees")
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Images of your own are for tl.folder(path)."
        raise ValueError(f"There is no set of photographs {name!r}; there are {', '.join(map(repr, known))}.{hint}")
    pool = Split(rest, labels[0])
    rng = np.random.default_rng(2018)
    places = [rng.permutation(np.flatnonzero(kinds[0].numpy() == kind)) for kind in range(int(kinds[0].max()) + 1)]
    cuts = [max(1, round(0.2 * len(place))) for place in places]
    val = np.sort(np.concatenate([place[:cut] for place, cut in zip(places, cuts)]))
    train = np.sort(np.concatenate([place[cut:] for place, cut in zip(places, cuts)]))
    drawn = _draw(pool[train], shots, seed)
    title = name if drawn.y.shape == train.shape else f"{name}, {shots} a class"
    return Task(title, tuple(classes), drawn, pool[val], Split(test, labels[1]))


def missing(name: str, place: Path) -> list[str]:
    """What a set lacks in a folder, by the set's own lists: empty if it is whole."""
    if name == "ants-and-bees":
        counts = {"train/ants": 123, "train/bees": 121, "val/ants": 70, "val/bees": 83}
        found = {part: sum(p.endswith((".jpg", ".jpeg")) for p in _whole(place / part)) for part in counts}
        return [f"{counts[part] - found[part]} images in {part}" for part in counts if found[part] < counts[part]]
    lists = [place / "annotations" / f"{split}.txt" for split in ("trainval", "test")]
    absent = [f"annotations/{path.name}" for path in lists if not path.is_file()]
    if absent:
        return absent
    there = _whole(place / "images")
    named = (line.split()[0] + ".jpg" for path in lists for line in path.read_text().splitlines() if line.strip())
    return [f"images/{file}" for file in named if file not in there]


def _whole(place: Path) -> set[str]:
    """The names of the files in a folder that are not empty."""
    return {entry.name for entry in os.scandir(place) if entry.stat().st_size} if place.is_dir() else set()


def get(name: str, where: Path | None = None) -> Path:
    """The folder of a set, in `home()` or elsewhere: fetched, checked and unpacked first if it is not there whole.

    It is unpacked beside its place and then renamed, so what stands in its place is whole.

    Raises:
        ValueError: the disk is full or cannot be written to.
        ConnectionError: the set cannot be fetched.
    """
    from filelock import FileLock
    from torchvision.datasets.utils import extract_archive

    source, where = SOURCES[name], where or home()
    place = where / source.place
    if not missing(name, place):
        return place
    with _in_words(source, place, command_for(name)):
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(where / f".{name}.lock"):  # two notebooks may ask for it at once
            lacks = missing(name, place)
            if not lacks:
                return place
            why = f" (what is there lacks {lacks[0]}{' and more' if len(lacks) > 1 else ''})" if place.exists() else ""
            print(
                f"{source.title} come from the network once, {source.megabytes} MB, to {shown(place)}{why}.", file=sys.stderr
            )
            fresh = place.with_name(f"{place.name}.unpacking")
            shutil.rmtree(fresh, ignore_errors=True)
            parts = [(url, where / "downloads" / url.rsplit("/")[-1], md5) for url, _, md5 in source.archives]
            have = sum(path.stat().st_size for _, to, _ in parts for path in (to, _part(to)) if path.exists())
            if shutil.disk_usage(place.parent).free < 2 * 10**6 * source.megabytes - have:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            files = [download(*part) for part in parts]
            for file in files:
                try:
                    extract_archive(str(file), str(fresh))
                except Exception as error:  # a damaged archive fails in many ways
                    if isinstance(error, OSError) and error.errno:
                        raise
                    file.unlink()
                    raise ConnectionError(f"{file.name} came damaged ({error})") from error
            lacks = missing(name, fresh / source.inside)
            if lacks:
                for file in files:
                    file.unlink()
                raise ConnectionError(f"what came is not whole: it lacks {lacks[0]}")
            if place.exists():
                shutil.rmtree(place)
            os.replace(fresh / source.inside, place)
            shutil.rmtree(fresh, ignore_errors=True)
            for file in files:
                file.unlink()
    return place


@contextlib.contextmanager
def _in_words(source: Source, place: Path, command: str) -> Iterator[None]:
    """Turns what stops a download into one sentence that says what to do."""
    try:
        yield
    except ConnectionError as error:
        raise ConnectionError(
            f"{source.title} are not on this machine and could not be fetched: {error}. Run {command} with "
            "a network (it goes on where it stopped), or set TL_HOME to a folder that holds them."
        ) from error
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise ValueError(
            f"{source.title} could not be written to {shown(place)}: {why}. They need about "
            f"{2 * source.megabytes} MB while they are unpacked; make room, or set TL_HOME to another folder, and try again."
        ) from error


TRIES, PAUSE, STALL = 5, 1.0, 30.0  # attempts; seconds before the second of them; seconds without a byte


def download(url: str, to: Path, md5: str | None = None) -> Path:
    """A file from the network, with a bar of size, speed and time left. It grows as `.part` and is renamed when it is whole.

    A part that is there already is continued. torchvision's and torch.hub's downloads do neither that nor have a timeout.

    Raises:
        ConnectionError: it cannot be fetched, or is not the file that the sum names. The message is the reason only.
        OSError: it cannot be written.
    """
    part, anew = _part(to), False
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.exists() and (md5 is None or _md5(to) == md5):
        return to
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        reason, hopeless = _attempt(url, part)
        if reason is None and md5 is not None and _md5(part) != md5:
            part.unlink()
            reason, hopeless = "its sum (md5) is not the one it should have, so another file or a damaged one came", anew
            anew = True
        if reason is None:
            os.replace(part, to)
            return to
        if hopeless:
            break
    raise ConnectionError(f"{url}: {reason}")


def _part(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _attempt(url: str, part: Path) -> tuple[str | None, bool]:
    """Fetch the rest of a file. Returns (None, False) when it is whole, else (what went wrong, whether to give up)."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    ask = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    total = None
    try:
        with requests.get(url, stream=True, timeout=(10, STALL), headers=ask) as answer:
            code = answer.status_code
            if code == 416:  # the part is as long as the file, or longer
                whole = answer.headers.get("Content-Range", "") == f"bytes */{have}"
                if not whole:
                    part.unlink()
                return (None if whole else "another file stands there now"), False
            if code not in (200, 206):
                return f"the server answers {code} ({answer.reason})", 400 <= code < 500 and code not in (408, 429)
            have = have if code == 206 else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            bar = _bar(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
            with open(part, "ab" if have else "wb") as file, bar:
                for chunk in answer.iter_content(1 << 14):
                    file.write(chunk)
                    bar.update(len(chunk))
                    have += len(chunk)
    except requests.Timeout:
        return f"nothing came for {STALL:g} seconds", False
    except (requests.RequestException, RuntimeError):  # a blocked network may show as the latter
        if total is None:
            return "there is no connection", not have
        return f"the connection broke after {have / 1e6:.0f} of {total / 1e6:.0f} MB", False
    if total is not None and have < total:
        return f"the connection broke after {have / 1e6:.0f} of {total / 1e6:.0f} MB", False
    return None, False


def _bar(total: int | None, unit: str, desc: str, least: int = 0, **more):
    """A progress bar where somebody watches, if there is at least so much to do."""
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or tqdm.__name__ == "tqdm_notebook"
    hidden = not watched or (total is not None and total < least)
    return tqdm(total=total, unit=unit, desc=desc, disable=hidden, leave=False, **more)
