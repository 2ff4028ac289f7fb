"""Any folder of images of yours as a task, with a report of what lies in it. Lesson 10 opens this file."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import math
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..data import Files, Split, Task, draw
from ..engine.examples import DARK
from ..engine.validate import as_path, check_number, check_seed, files_in_words, shown
from ..images import READ, in_threads, open_photograph
from .downloads import progress_bar

NAMES = {"train": "train training", "val": "val valid validation dev", "test": "test testing eval"}
SPLITS = {name: split for split, names in NAMES.items() for name in names.split()}  # in any case
MEANT = re.compile(rf"(?:^|[\W\d_])({'|'.join(SPLITS)})(?:set|data|images)?(?:$|[\W\d_])")  # training_set, 1_test, valset
NEAR = 1000  # pairs of near duplicates that a report lists


@dataclasses.dataclass(frozen=True)
class Report:
    """What lies in a folder of images; shows itself as text, and as a figure by `tl.plots.report`.

    files: one row a file: file, label, split ("train", "val", "test", or "" for one left out), width, height, and in
        `trouble` why it was left out, or "".
    copies: groups of files that show the same picture, pixel for pixel.
    near: pairs of files of different splits that show nearly the same picture; the first 1,000 of them.
    notes: what else was found, a sentence each.
    pairs: how many such pairs there are in all.
    """

    files: pd.DataFrame
    copies: list[tuple[str, ...]]
    near: list[tuple[str, str]]
    notes: list[str]
    pairs: int

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
        lines += _some("Near duplicates across splits, kept (look at them)", pairs, self.pairs)
        return "\n".join(lines + self.notes)


def _some(title: str, items: list[str], count: int | None = None) -> list[str]:
    """A heading with a count, and the first ten items below it."""
    count = len(items) if count is None else count
    more = [f"  and {count - 10:,} more"] if count > 10 else []
    return [f"{title}: {f'{count:,}' if count else 'none'}", *(f"  {item}" for item in items[:10]), *more]


def folder(path: str | os.PathLike, *, val: float = 0.2, test: float = 0.2, seed: int = 0, shots: int | None = None) -> Task:
    """A task of your own images; `.report` of it says what was found.

    The folder holds one subfolder per class, or `train` and, if you like, `val` and `test` (or training, valid, validation,
    dev, testing, eval; in any case), with one subfolder per class in each. In place of a folder, a CSV file names in each
    row a file (seen from where the CSV lies), its class, and if you like its split. Splits that are not given are drawn from
    the training images, in each class the same share. Damaged files are named in the report and left out. Files with the
    same picture stay together in one split; where given splits share one, the copies in train (then val) are left out, and
    test keeps its own.

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
        check_number(name, share, "a share of the images, from 0 to below 1", 0, math.nextafter(1, 0))
    if val + test >= 1:
        raise ValueError(f"val and test together take {val + test:g} of the images, and leave none to learn from.")
    root, seed = as_path(path), check_seed(seed)
    with files_in_words(root, "looked into"):
        if not root.exists():
            raise ValueError(f"There is no folder '{shown(root)}', looked for from {shown(Path.cwd())}.")
        base, rows, notes = _rows_of_csv(root) if root.is_file() else _rows_of_folder(root)
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
    notes += _alike(classes)
    if all(label.isdecimal() for label in classes) and max(map(int, classes)) <= len(classes):  # no years, say
        other = [(label, i) for i, label in enumerate(classes) if int(label) != i]  # as "10", which comes before "2"
        notes += ["Labels count the classes from 0: {0!r} has label {1}, not {0}.".format(*other[0])] if other else []
    dark = sum(look[3].max() <= DARK for look in looks if not isinstance(look, str))  # bytes: of 12 bits in files of 16, say
    notes += [f"Images that are nearly black all over: {dark}. Make them brighter if more is in them."] if dark else []
    near, pairs = _near(frame, looks)
    report = Report(frame.drop(columns=["path", "picture"]), copies, near, notes, pairs)
    splits = {}
    for name in ("train", "val", "test"):
        part = frame[frame.split == name]
        labels = torch.tensor([classes.index(label) for label in part.label], dtype=torch.long)
        splits[name] = Split(Files(part.path), labels)
    splits["train"] = draw(splits["train"], shots, seed)
    name = root.stem if root.is_file() else base.resolve().name
    title = shown(name) if shots in (None, "all") else f"{shown(name)}, {shots} per class"
    return Task(title, tuple(classes), **splits, report=report)


def _alike(classes: list[str]) -> list[str]:
    """A sentence on those whose names differ in capitals, spaces or how accents are written, and in nothing else."""
    groups = {}
    for label in classes:
        groups.setdefault("".join(unicodedata.normalize("NFKC", label).casefold().split()), []).append(label)
    same = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    return [f"The classes {names} have nearly the same name: are they one?" for names in same]


def _rows_of_folder(root: Path) -> tuple[Path, list[tuple[Path, str, str]], list[str]]:
    """Where the classes lie, (file, class, split or "") of every image there, and sentences on what else is there."""
    notes = []
    folders = _subfolders(root)
    while len(folders) == 1 and folders[0].name.lower() not in SPLITS and _subfolders(folders[0]):
        folders = _subfolders(root := folders[0])  # as archives often unpack: pets/pets/cat
    named = [f for f in folders if f.name.lower() in SPLITS]
    halves = {split: f for split in NAMES for f in named if SPLITS[f.name.lower()] == split}
    split_inside = "train" in halves and bool(_subfolders(halves["train"]))
    meant = {f: SPLITS[found[1]] for f in folders if (found := MEANT.search(f.name.lower()))}
    within = [{p.name for p in (*f.glob("*/"), *f.glob("*/*/"))} for f in meant]  # classes of such names share no folders
    if not split_inside and {"train"} < {*meant.values()} and set.intersection(*within):
        listed = ", ".join(shown(f.name) for f in meant)
        raise ValueError(f"{shown(root)} holds {listed}, which look like splits: call them train, and val or test.")
    if len(named) > len(halves) and split_inside or folders and named == folders and not split_inside:
        listed = ", ".join(shown(f.name) for f in named)
        raise ValueError(
            f"{shown(root)} holds {listed}, which look like splits but do not tell which images are for what: have one "
            "folder train with a subfolder per class in it, and if you like one val and one test."
        )
    rows, others, deep = [], Counter(), []
    for split, place in halves.items() if split_inside else (("", root),):
        kinds = _subfolders(place)
        twice = [name for name, count in Counter(shown(kind.name) for kind in kinds).items() if count > 1]
        if twice:  # as old archives unpack names in other alphabets
            raise ValueError(f"{shown(place)} has folders that all read {twice[0]!r}, in no UTF-8: give them other names.")
        for kind in kinds:
            images, odd = images_below(kind)
            others += odd
            rows += [(image, shown(kind.name), split) for image in images]
            deep += [image for image in images if image.parent != kind]
            if not images:
                notes.append(f"The folder {shown(kind.relative_to(root))} holds no images: it is no class here.")
        loose = _loose(place)
        if loose and not rows:
            raise ValueError(
                f"{shown(place)} holds {len(loose)} images and no subfolder with images: put those of each class into a "
                "subfolder named after it, or give a CSV file with a file and a class in each row."
            )
        if loose:
            notes.append(f"Images beside the class folders, in no class, left out: {len(loose)}.")
    if split_inside:
        notes += [f"The folder {shown(f.name)} stands beside train: left out." for f in folders if f not in halves.values()]
    if deep:
        first = shown(deep[0].parent.relative_to(root).as_posix())
        notes.append(
            f"Images in folders within class folders, taken into the class: {len(deep):,}, the first of them in {first}."
        )
    if others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        advice = " Save .heic pictures of phones as JPEG to use them." if {".heic", ".heif"} & set(others) else ""
        notes.append(f"Files of kinds that are not read here, left out: {kinds}.{advice}")
    if not rows:
        raise ValueError(
            f"{shown(root)} holds no images: a folder for tl.folder has one subfolder per class, with images "
            f"({', '.join(sorted(READ))}) in it." + "".join(f" {note}" for note in notes)
        )
    return root, rows, notes


def images_below(place: Path) -> tuple[list[Path], Counter]:
    """The images in a folder and in the folders within it, in the order of their names, and the endings of other files.

    Raises:
        ValueError: one of the folders may not be read.
    """
    images, others, seen = [], Counter(), set()

    def refuse(error: OSError):
        raise ValueError(f"The folder {shown(error.filename)} cannot be read: {error.strerror}.") from error

    for here, inside, names in os.walk(place, onerror=refuse, followlinks=True):
        again = os.path.realpath(here) in seen  # a link to a folder above it
        seen.add(os.path.realpath(here))
        inside[:] = sorted(name for name in inside if not name.startswith((".", "__MACOSX")) and not again)
        if again:
            continue
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            if ending in READ and not name.startswith("."):
                images.append(Path(here, name))
            elif not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                others[ending or "without ending"] += 1
    return images, others


def _subfolders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _loose(place: Path) -> list[Path]:
    return [p for p in place.iterdir() if p.suffix.lower() in READ and not p.name.startswith(".")]


def _rows_of_csv(path: Path) -> tuple[Path, list[tuple[Path, str, str]], list[str]]:
    """The same of a CSV file, whose first line may name the columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n")[0]
        cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        raise ValueError(
            f"{shown(path)} is no CSV file that can be read ({why}); tl.folder takes a folder, or a CSV file in UTF-8."
        ) from error
    cells = [[cell.strip() for cell in row] for row in cells if any(cell.strip() for cell in row)]
    if not cells:
        raise ValueError(f"{shown(path)} is empty: each row names a file, its class, and if you like its split.")
    order = [0, 1, 2]
    if not (path.parent / cells[0][0]).is_file():
        names = [name.lower() for name in cells[0]]
        known = ({"file", "path", "image", "filename", "name"}, {"label", "class", "category"}, {"split", "set", "subset"})
        places = [next((i for i, name in enumerate(names) if name in kind), None) for kind in known]
        if None not in places[:2]:
            order, cells = places, cells[1:]
    rows = []
    for number, row in enumerate(cells, 1):
        row = [row[i] if i is not None and i < len(row) else "" for i in order]
        where = f"Row {number} of {shown(path)} ({shown(', '.join(row))})"
        if not row[0] or not row[1]:
            raise ValueError(
                f"{where} lacks a file or a class: each row names a file, its class, and if you like its split."
            )
        if row[2].lower() not in ("", *SPLITS):
            raise ValueError(f"{where} names the split {row[2]!r}; it must be train, val or test.")
        file = path.parent / row[0]
        if not file.exists() and "\\" in row[0]:
            file = path.parent / row[0].replace("\\", "/")
        rows.append((file, shown(row[1]), SPLITS.get(row[2].lower(), "")))
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

    with progress_bar(total=len(paths), unit=" images", desc="looking at the images", least=1000) as bar:
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


def _near(frame: pd.DataFrame, looks: list) -> tuple[list[tuple[str, str]], int]:
    """Pairs of files from different splits whose thumbnails correlate above .98, whatever their size and brightness.

    Returns: the first NEAR of them, and how many there are.

    Saved smaller, darker or with more loss, a photograph of the pets, ants and bees keeps .98 with itself; no two of
    those 767 reach .91 with each other.
    """
    kept = np.flatnonzero(frame.trouble == "")
    small = np.stack([looks[place][3] for place in kept])
    small -= small.mean(1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    split, picture = (pd.factorize(frame[name].iloc[kept])[0] for name in ("split", "picture"))
    file, places = frame.file.to_numpy()[kept], np.arange(len(kept))
    pairs, count = [], 0
    for start in range(0, len(kept), 1000):
        part = slice(start, start + 1000)
        close = small[part] @ small.T > 0.98
        close &= places[part, None] < places
        for kind in (split, picture):
            close &= kind[part, None] != kind
        count += int(close.sum())
        found = np.flatnonzero(close)[: NEAR - len(pairs)]
        pairs += [(file[start + a], file[b]) for a, b in zip(*np.unravel_index(found, close.shape))]
    return pairs, count
