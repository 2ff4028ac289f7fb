"""Sets of photographs that are fetched once. Lesson 09 opens this file.

Everything lives in one folder, TL_HOME (else a cache folder of yours), which can be carried to other machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..data import Files, Split, Task, draw
from ..device import cache_folder
from ..engine.validate import brief, shown
from ..engine.weights import PREFETCH
from .downloads import download, part_of


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
}
WEIGHTS = {"mobilenetv2_100.ra_in1k": 14}  # megabytes of the ImageNet weights that lessons use
NEEDS = {"09": ("pets", "ants-and-bees", "mobilenetv2_100.ra_in1k"), "10": ("mobilenetv2_100.ra_in1k",)}


def command_for(name: str) -> str:
    """The shell's command that gets a set or weights."""
    lesson = next((lesson for lesson, names in NEEDS.items() if name in names), None)
    return f"`{PREFETCH} {lesson or name}`"


def photos(name: str, shots: int | str | None = None, seed: int = 0) -> Task:
    """Photographs from a set that is fetched once and then kept in `cache_folder()`.

    "pets": 37 breeds of cats and dogs; "cats-and-dogs": the same photographs by species; "ants-and-bees": the small set of
    PyTorch's transfer-learning tutorial. The test images are the set's own (for ants-and-bees what the tutorial calls val).
    The validation images are a fifth of each class of the rest, always the same; training images are drawn from the others.

    Args:
        name: one of these three.
        shots: how many labelled training images of each class; None for all.
        seed: which ones. One seed draws the same images every time, and 10 shots hold the 5 shots of the same seed.

    Raises:
        ValueError: there is no such set, or it has fewer images per class than shots.
        ConnectionError: the set is not on this machine and cannot be fetched.

    Source: Parkhi et al., Cats and Dogs, CVPR 2012 (CC BY-SA 4.0); hymenoptera_data of PyTorch's tutorial, from ImageNet.
    """
    from torchvision import datasets

    name = name if isinstance(name, str) else brief(name)
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
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Images of your own are for tl.folder(path)."
        raise ValueError(f"There is no set of photographs {name!r}; there are {', '.join(map(repr, known))}.{hint}")
    pool = Split(rest, labels[0])
    rng = np.random.default_rng(2018)
    places = [rng.permutation(np.flatnonzero(kinds[0].numpy() == kind)) for kind in range(int(kinds[0].max()) + 1)]
    cuts = [max(1, round(0.2 * len(place))) for place in places]
    val = np.sort(np.concatenate([place[:cut] for place, cut in zip(places, cuts)]))
    train = np.sort(np.concatenate([place[cut:] for place, cut in zip(places, cuts)]))
    drawn = draw(pool[train], shots, seed)
    title = name if drawn.y.shape == train.shape else f"{name}, {shots} per class"
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
    """The folder of a set, in `cache_folder()` or elsewhere: fetched, checked and unpacked first if it is not there whole.

    It is unpacked beside its place and then renamed, so what stands in its place is whole.

    Raises:
        ValueError: the disk is full or cannot be written to.
        ConnectionError: the set cannot be fetched.
    """
    from filelock import FileLock
    from torchvision.datasets.utils import extract_archive

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
