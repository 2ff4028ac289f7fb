"""Sets of photographs, from a package or fetched once. Lesson 09 opens this file.

Everything lives in one folder, TL_HOME (else a cache folder of yours), which can be carried to other machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import Files, Split, Task, draw
from ..device import cache_folder
from ..engine.validate import brief, check_choice, shown
from ..engine.weights import PREFETCH
from .downloads import download, part_of, unpack


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a set comes from: its place below `cache_folder()`, and its archives as (address, megabytes, md5 or None)."""

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
    "clothes": Source(
        "The pictures of clothes",
        "torchvision/FashionMNIST/raw",
        tuple(  # addresses and sums as in torchvision.datasets.FashionMNIST
            (f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{file}.gz", size, md5)
            for file, size, md5 in (
                ("train-images-idx3-ubyte", 26, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                ("train-labels-idx1-ubyte", 1, "25c81989df183df01b3e8a0aad5dffbe"),
                ("t10k-images-idx3-ubyte", 5, "bef4ecab320f06d8554ea6380940ec79"),
                ("t10k-labels-idx1-ubyte", 1, "bb300cfdad3c16e7a12a480ee83cd310"),
            )
        ),
        ".",
    ),
}
WEIGHTS = {"mobilenetv2_100.ra_in1k": 14, "resnet50.a1_in1k": 102}  # megabytes of weights that lessons propose
NEEDS = {"09": ("ants-and-bees", "clothes", "pets")}
PETS = "the Oxford-IIIT pets, Parkhi and others, Cats and Dogs, 2012 (CC BY-SA 4.0)"
CREDITS = {  # whose they are, and what one may do with them: the report of each task
    "ants-and-bees": "hymenoptera_data of PyTorch's tutorial, taken from ImageNet: for research and teaching",
    "cats-and-dogs": PETS,
    "clothes": "Fashion-MNIST, Xiao, Rasul and Vollgraf, 2017 (MIT)",
    "pets": PETS,
    "solar-cells": "elpv-dataset, Buerhop-Lutz and others, 2018, and Deitsch and others, 2021 (CC BY-NC-SA 4.0: not for "
    "commercial use)",
}
SETS = tuple(CREDITS)


def command_for(name: str) -> str:
    """The shell's command that gets a set or weights."""
    lesson = next((lesson for lesson, names in NEEDS.items() if name in names), None)
    return f"`{PREFETCH} {lesson or name}`"


def photos(name: str, shots: int | str | None = None, seed: int = 0, doubtful: bool = False) -> Task:
    """Photographs from a set that comes with a package, or is fetched once and then kept in `cache_folder()`.

    "pets": 37 breeds of cats and dogs; "cats-and-dogs": the same photographs by species; "ants-and-bees": the small set of
    PyTorch's transfer-learning tutorial; "clothes": ten kinds, 28 x 28 grey; "solar-cells": cells of solar modules that glow
    under current, sound or defective, 300 x 300 grey, from the package elpv-dataset. The test images are the set's own (for
    ants-and-bees what the tutorial calls val; of the solar cells, which have none, a fixed three tenths). The validation
    images are a fifth of each class of the rest, always the same; training images are drawn from the others. The task's
    `report` says whose the photographs are, and under which licence; the card of a model saved with the task says it too.

    Args:
        name: one of these five.
        shots: how many labelled training images of each class; None for all.
        seed: which ones. One seed draws the same images every time, and 10 shots hold the 5 shots of the same seed.
        doubtful: take in the solar cells of which the experts were not sure, at what they held more probable.

    Raises:
        ValueError: there is no such set, or it has fewer images per class than shots; or its package is not installed.
        ConnectionError: the set is not on this machine and cannot be fetched.

    Source: Parkhi et al., Cats and Dogs, CVPR 2012 (CC BY-SA 4.0); hymenoptera_data of PyTorch's tutorial, from ImageNet;
    Xiao et al., Fashion-MNIST, 2017 (MIT); Deitsch et al., Segmentation of photovoltaic module cells in uncalibrated
    electroluminescence images, 2021, and Buerhop-Lutz et al., 2018 (CC BY-NC-SA 4.0).
    """
    name = name if isinstance(name, str) else brief(name)
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Images of your own are for tl.folder(path)."
        raise ValueError(f"There is no set of photographs {name!r}; there are {', '.join(map(repr, SETS))}.{hint}")
    check_choice("doubtful", doubtful, (True, False))
    if doubtful and name != "solar-cells":
        raise ValueError("doubtful=True is for the solar cells: no other set says of which labels it is not sure.")
    classes, pool, test, kinds = _solar_cells(doubtful) if name == "solar-cells" else _fetched(name)
    rng = np.random.default_rng(2018)
    places = [rng.permutation(np.flatnonzero(kinds.numpy() == kind)) for kind in range(int(kinds.max()) + 1)]
    cuts = [max(1, round(0.2 * len(place))) for place in places]
    val = np.sort(np.concatenate([place[:cut] for place, cut in zip(places, cuts)]))
    train = np.sort(np.concatenate([place[cut:] for place, cut in zip(places, cuts)]))
    drawn = draw(pool[train], shots, seed)
    title = name if drawn.y.shape == train.shape else f"{name}, {shots} per class"
    return Task(title, tuple(classes), drawn, pool[val], test, CREDITS[name])


def _fetched(name: str) -> tuple[Sequence[str], Split, Split, Tensor]:
    """Classes, images to learn from, images for testing, and the kinds of which each part shall have its share."""
    from torchvision import datasets

    if name == "clothes":
        root = get(name).parent.parent
        parts = [datasets.FashionMNIST(root, train) for train in (True, False)]
        pool, test = (Split(part.data[:, None], part.targets) for part in parts)
        return parts[0].classes, pool, test, pool.y
    if name == "ants-and-bees":
        root = get(name)
        parts = [datasets.ImageFolder(root / split) for split in ("train", "val")]
        pool, test = (Split(Files(path for path, _ in part.samples), torch.tensor(part.targets)) for part in parts)
        return parts[0].classes, pool, test, pool.y
    root = get("pets").parent
    parts = [datasets.OxfordIIITPet(root, split) for split in ("trainval", "test")]
    breeds = torch.tensor(parts[0]._labels)
    classes, labels = parts[0].classes, "_labels"
    if name == "cats-and-dogs":
        classes, labels = parts[0].bin_classes, "_bin_labels"
    # Asking the set itself would open each photograph.
    pool, test = (Split(Files(part._images), torch.tensor(getattr(part, labels))) for part in parts)
    return classes, pool, test, breeds


def _solar_cells(doubtful: bool) -> tuple[Sequence[str], Split, Split, Tensor]:
    """As `_fetched`. The kinds are the labels, for cells of one and of many crystals."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or not (place := Path(spec.origin).parent / "data").is_dir():
        raise ValueError(
            "The solar cells come with the package elpv-dataset, which is not installed here: run "
            "`uv sync --group photographs`, or `pip install elpv-dataset`."
        )
    with open(place / "labels.csv", encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip()]
    # Version 1.0.0 has one more column.
    rows = [(name, float(defect), kind) for name, defect, kind, *_ in rows if doubtful or float(defect) in (0, 1)]
    labels = torch.tensor([int(defect > 0.5) for _, defect, _ in rows])
    cells = Split(Files(place / name for name, _, _ in rows), labels)
    order = np.random.default_rng(2018).permutation(len(rows))
    test, rest = (np.sort(part) for part in np.split(order, [round(0.3 * len(rows))]))
    kinds = 2 * labels + torch.tensor([kind == "poly" for _, _, kind in rows]).long()
    return ("sound", "defective"), cells[rest], cells[test], kinds[rest]


def missing(name: str, place: Path) -> list[str]:
    """What a set lacks in a folder, by the set's own lists: empty if it is whole."""
    if name == "ants-and-bees":
        counts = {"train/ants": 123, "train/bees": 121, "val/ants": 70, "val/bees": 83}
        found = {part: sum(p.endswith((".jpg", ".jpeg")) for p in _whole(place / part)) for part in counts}
        return [f"{counts[part] - found[part]} images in {part}" for part in counts if found[part] < counts[part]]
    if name == "clothes":
        files = [url.rsplit("/")[-1].removesuffix(".gz") for url, _, _ in SOURCES[name].archives]
        return [file for file in files if file not in _whole(place)]
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
    """The folder of a set, in `cache_folder()` or elsewhere: fetched, checked and unpacked first if it is not there whole.

    It is unpacked beside its place and then renamed, so what stands in its place is whole.

    Raises:
        ValueError: the disk is full or cannot be written to.
        ConnectionError: the set cannot be fetched.
    """
    from filelock import FileLock

    source, where = SOURCES[name], where or cache_folder()
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
            have = sum(path.stat().st_size for _, to, _ in parts for path in (to, part_of(to)) if path.exists())
            if shutil.disk_usage(place.parent).free < 2 * 10**6 * source.megabytes - have:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            files = [download(*part) for part in parts]
            fresh.mkdir(exist_ok=True)
            for file in files:
                try:
                    unpack(file, fresh, 4 * 10**6 * source.megabytes)
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
