"""A camera that learns what you show it, and an examination of what it learned. Lesson 09 shows it.

nearest.py does the same on arrays.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import traitlets
from anywidget import AnyWidget
from PIL import Image
from torch import Tensor, nn

from ..data import Split, Task
from ..datasets.folders import images_below
from ..engine.lite0 import NAMES
from ..engine.validate import as_path, brief, check_kind, check_number, files_in_words, shown
from ..images import open_photograph
from ..models import backbone, head
from ..results import Interval, mean_interval
from ..training import fit, predict
from .base import close_those_of_the_last_run
from .nearest import SIDE, as_jpeg, elsewhere, left_out, likeness, line_below, said, square, stacked, vectors_of

CLASSES = ("this", "that")
OURS = re.compile(r"camera-(\d+)\.jpg")  # the files that are written here
FOLDS = 5  # to examine a probe on what it has not seen
CLOSED = "This camera was closed, as happens when its cell is run again."


@dataclasses.dataclass(eq=False)
class Picture:
    """One that was taken: its file as it came, its class, is it of the examination, and what the backbone makes of it."""

    file: bytes
    kind: int
    exam: bool
    vector: Tensor
    path: Path | None = None  # where it is kept, if it is


class Camera(AnyWidget):
    """What `camera` returns. Pictures travel as messages of their own, so that no stored notebook ever holds one."""

    _esm, _css = (Path(__file__).with_name(f"camera.{ending}") for ending in ("js", "css"))
    state = traitlets.Dict().tag(sync=True)  # all that is shown, besides pictures and live answers

    def __init__(self, body: nn.Module, classes: Sequence[str], folder: Path | None, on_answer: Callable | None):
        self.classes = [_checked(name, classes[:place]) for place, name in enumerate(classes)]
        self.body, self.folder, self.on_answer, self.others = body, folder, on_answer, elsewhere(body)
        self.pictures: dict[int, Picture] = {}
        self.probe, self.held_out, self.known = None, None, {}
        self._made, self._before, self._told = 0, None, None
        self.words = self._read_back() if folder else ""
        super().__init__()
        self._changed()
        self.on_msg(self._heard)
        close_those_of_the_last_run(self)

    # What was taken.

    def task(self, val: float = 0.2) -> Task:
        """What was taken, as a Task for `tl.fit` and the others: taught pictures in train and val, those examined in test.

        Its classes stand in the order of their names, as `tl.folder` has them.

        Args:
            val: the share of each class's taught pictures that goes to val: the last ones, since neighbours are near copies.

        Raises:
            ValueError: there are no pictures of two classes yet.
        """
        check_number("val", val, "a share of the pictures, from 0 to below 1", 0, 0.999)
        places = self._kinds(2)
        train, kept = [], []
        for kind in places:
            mine = self._chosen(exam=False, kind=kind)
            cut = len(mine) - min(round(val * len(mine)), len(mine) - 1)
            train, kept = train + mine[:cut], kept + mine[cut:]
        test = [picture for picture in self._chosen(exam=True) if picture.kind in places]

        def split(pictures: list[Picture]) -> Split:
            labels = torch.tensor([places.index(picture.kind) for picture in pictures], dtype=torch.long)
            images = [_opened(picture.file) for picture in pictures]
            return Split(stacked(images) if images else torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8), labels)

        return Task("camera", [self.classes[kind] for kind in places], split(train), split(kept), split(test))

    def results(self) -> dict[str, Interval]:
        """The accuracy, with its 95% interval, "as taught" and in the "examination", where there are pictures.

        As taught each picture is judged by what has not seen it: the other pictures, or a probe trained on four fifths of
        them. "I don't know" counts as not right.
        """
        return {row["of"]: mean_interval([row["right"] / row["n"]], row["n"]) for row in self.state.get("results", ())}

    def _chosen(self, exam: bool, kind: int | None = None) -> list[Picture]:
        return [p for p in [*self.pictures.values()] if p.exam == exam and kind in (None, p.kind)]

    def _kinds(self, least: int = 0) -> list[int]:
        """The classes with taught pictures, in the order of their names, as `tl.folder` has them."""
        if self.body is None:
            raise ValueError(CLOSED)
        kinds = sorted({picture.kind for picture in self._chosen(exam=False)}, key=lambda kind: self.classes[kind])
        if len(kinds) < least:
            raise ValueError(f"There are pictures of {len(kinds)} classes yet, and it takes {least}: take some of each.")
        return kinds

    # What it makes of them.

    def _changed(self) -> None:
        """Work out anew what depends on the pictures, and show it."""
        taught, self.known = self._chosen(exam=False), {}
        if len(self._kinds()) > 1:
            x, y = torch.stack([p.vector for p in taught]), torch.tensor([p.kind for p in taught])
            self.known = {"vectors": x, "labels": y, "others": self.others}
            self.known["line"] = line_below(**self.known)
        counts = [[len(self._chosen(exam, kind)) for exam in (False, True)] for kind in range(len(self.classes))]
        answers = self._examined()
        self.state = {
            "classes": [[name, *count] for name, count in zip(self.classes, counts)],
            "probe": self.probe is not None,
            "said": {str(key): [self._named(answer), answer == self.pictures[key].kind] for key, answer in answers.items()},
            "results": self._rows(answers),
            "words": self.words,  # to begin with
        }

    def _answered(self, vectors: Tensor) -> tuple[list[int], Tensor]:
        """For each picture the class or -1, and what the bars show: likenesses, or of a probe the probabilities."""
        known = {name: self.known[name] for name in ("vectors", "labels", "others")}
        like = likeness(new=vectors, classes=len(self.classes), **known)
        shares = like
        if self.probe is not None:
            shares = torch.zeros_like(like)
            shares[:, self._kinds()] = predict(self.probe, Split(vectors, torch.zeros(len(vectors), dtype=torch.long)))
        return said(shares, like, self.known["line"]), shares

    def _examined(self) -> dict[int, int]:
        exam = [key for key, picture in self.pictures.items() if picture.exam]
        if not exam or not self.known:
            return {}
        return dict(zip(exam, self._answered(torch.stack([self.pictures[key].vector for key in exam]))[0]))

    def _rows(self, answers: dict[int, int]) -> list[dict]:
        """A row for the pictures as taught, and one for the examination."""
        rows = []
        if self.known:
            known = {name: self.known[name] for name in ("vectors", "labels", "others")}
            like = left_out(**known)
            judged = known["labels"].bincount()[known["labels"]] > 1
            shares = like if self.probe is None else self.held_out
            found = torch.tensor(said(shares, like, self.known["line"]))
            rows.append(_row("as taught", found[judged], known["labels"][judged]))
        labels = torch.tensor([self.pictures[key].kind for key in answers])
        rows.append(_row("examination", torch.tensor([*answers.values()]), labels))
        return [row for row in rows if row["n"]]

    def _named(self, answer: int) -> str:
        return self.classes[answer] if answer >= 0 else ""

    def _train_probe(self) -> str:
        """A linear probe on all taught pictures; and what probes trained without a fifth of them say of that fifth."""
        kinds = self._kinds(2)
        x, y = self.known["vectors"], torch.tensor([kinds.index(kind) for kind in self.known["labels"].tolist()])
        empty = Split(x[:0], y[:0])
        task = Task("camera", [self.classes[kind] for kind in kinds], Split(x, y), empty, empty)
        layer = head(self.body, task)

        def trained(part) -> nn.Module:
            return fit(layer, dataclasses.replace(task, train=task.train[part]), progress=False).model

        shares, fold = torch.zeros(len(x), len(self.classes)), torch.zeros(len(x), dtype=torch.long)
        for kind, count in enumerate(y.bincount().tolist()):  # fifths in the order of taking, but for single ones
            fold[y == kind] = torch.arange(count) * FOLDS // count if count > 1 else -1
        for number in sorted(set(fold.tolist()) - {-1}):
            out = fold == number
            shares[out] = shares[out].index_copy(1, torch.tensor(kinds), predict(trained(~out), task.train[out]))
        self.probe, self.held_out = trained(slice(None)), shares
        return f"A linear probe, trained on {len(y)} pictures, answers now. It is forgotten when the pictures change."

    # What the browser asks.

    def _heard(self, _, content: dict, buffers: list) -> None:
        """Every message gets an answer, whatever happens: the browser sends the next picture after it."""
        answer = {"kind": "answer", "to": content.get("kind"), "view": content.get("view"), "n": content.get("n")}
        try:
            if self.body is None:
                raise ValueError(CLOSED)
            answer |= getattr(self, f"_on_{content['kind']}")(content, *map(bytes, buffers)) or {}
        except ValueError as sentence:
            answer["words"] = str(sentence)
        except Exception as error:
            answer["words"] = f"This stopped with {type(error).__name__}: {error}"
        finally:
            self.send(answer)

    def _on_hello(self, content: dict) -> None:
        for key in self.pictures:
            self._show(key)

    def _on_frame(self, content: dict, file: bytes) -> dict:
        """A picture: to be taken for a class, or only to be named."""
        image, kind, answer = _opened(file), content.get("take"), {}
        vector = vectors_of(self.body, stacked([image]))
        if kind is not None:
            answer = self._take(Picture(file, kind, bool(content["exam"]), vector[0]))
        if self.known:
            (found,), shares = self._answered(vector)
            line = None if self.probe is not None else self.known["line"]
            bars = [round(max(0.0, value), 3) for value in shares[0].tolist()]
            answer |= {"name": self._named(found), "bars": bars, "line": line}
            self._tell(answer["name"] or None, answer)
        return answer

    def _tell(self, name: str | None, answer: dict) -> None:
        """Call the learner's function when the answer has become another one and stayed so for two pictures."""
        if self.on_answer and name == self._before and (self._told is None or self._told[0] != name):
            self._told = (name,)
            try:
                told = self.on_answer(name)
            except Exception as error:
                told = f"Your function on_answer stopped with {type(error).__name__}: {error}"
            if told is not None:
                answer["words"] = str(told)
        self._before = name

    def _take(self, picture: Picture) -> dict:
        name = self.classes[picture.kind]
        if self.folder:
            place = self._place(picture.exam, name)
            with files_in_words(place, "written to"):
                place.mkdir(parents=True, exist_ok=True)
            numbers = [int(found[1]) for file in place.iterdir() if (found := OURS.fullmatch(file.name))]
            picture.path = place / f"camera-{max(numbers, default=0) + 1:04}.jpg"
            try:
                with files_in_words(picture.path, "written"):
                    picture.path.write_bytes(picture.file)
            except ValueError:  # half a picture is none
                picture.path.unlink(missing_ok=True)
                raise
        self._add(picture)
        self._show(self._made)
        words = "" if picture.exam else self._forget_probe()
        self._changed()
        return {"words": words} if words else {}

    def _add(self, picture: Picture) -> None:
        self._made += 1
        self.pictures[self._made] = picture

    def _forget_probe(self) -> str:
        had, self.probe, self.held_out = self.probe is not None, None, None
        return "The pictures have changed: the nearest centroid answers until you train a probe again." if had else ""

    def _show(self, key: int) -> None:
        picture = self.pictures[key]
        content = {"kind": "picture", "key": key, "class": picture.kind, "exam": picture.exam}
        self.send(content, [as_jpeg(_opened(picture.file), 72)])

    def _on_delete(self, content: dict) -> dict:
        words = self._delete(content["key"])
        self._changed()
        return {"words": words}

    def _delete(self, key: int) -> str:
        picture, words = self.pictures.pop(key, None), ""
        if picture is None:
            return ""
        if picture.path and OURS.fullmatch(picture.path.name):
            picture.path.unlink(missing_ok=True)
        elif picture.path:
            words = f"Left out here; {shown(picture.path.name)} stays in the folder, since it was not taken by this camera."
        self.send({"kind": "gone", "key": key})
        return " ".join(filter(None, [words, "" if picture.exam else self._forget_probe()]))

    def _on_new_examination(self, content: dict) -> dict:
        words = {self._delete(key) for key in [key for key, picture in self.pictures.items() if picture.exam]}
        self._changed()
        return {"words": " ".join(sorted(words))}

    def _on_probe(self, content: dict) -> dict:
        if self.probe is None:
            words = self._train_probe()
        else:
            words = self._forget_probe() and "The nearest centroid answers again."
        self._changed()
        return {"words": words}

    def _on_add(self, content: dict) -> dict:
        number = next(n for n in range(len(self.classes) + 1, 1000) if f"class {n}" not in self.classes)
        self.classes.append(f"class {number}")
        self._changed()
        return {"words": f"There is a class more, called class {number}: give it a name of yours."}

    def _on_rename(self, content: dict) -> dict:
        kind = content["class"]
        before, others = self.classes[kind], [*self.classes[:kind], *self.classes[kind + 1 :]]
        name = _checked(content["name"], others)
        if name == before:
            return {}
        if self.folder:
            self._move(before, name)
        self.classes[kind] = name
        self._forget_probe()  # it knows the class by its old name
        self._changed()
        return {"words": ""}

    # The folder.

    def _place(self, exam: bool, name: str) -> Path:
        return self.folder / ("test" if exam else "train") / name

    def _move(self, before: str, after: str) -> None:
        for exam in (False, True):
            old, new = self._place(exam, before), self._place(exam, after)
            if old.exists():
                if new.exists() and not new.samefile(old):
                    raise ValueError(f"{shown(new)} is there already: take another name.")
                old.rename(new)
            for picture in self.pictures.values():
                if picture.path and picture.path.is_relative_to(old):  # it may lie in a folder within it
                    picture.path = new / picture.path.relative_to(old)

    def _read_back(self) -> str:
        """The pictures that lie in the folder; and a sentence about them."""
        lost = 0
        for exam in (False, True):
            for place in sorted(p for p in self._place(exam, "").glob("[!.]*") if p.is_dir()):
                paths, jpegs = images_below(place)[0], []
                for path in paths:
                    try:
                        image = open_photograph(path)
                    except ValueError:
                        lost += 1
                        continue
                    data = path.read_bytes() if image.size == (SIDE, SIDE) else as_jpeg(square(image), SIDE)
                    jpegs.append((path, data))
                if jpegs and place.name not in self.classes:
                    self.classes.append(place.name)
                images = [_opened(data) for _, data in jpegs]
                for (path, data), vector in zip(jpegs, vectors_of(self.body, stacked(images)) if images else ()):
                    self._add(Picture(data, self.classes.index(place.name), exam, vector, path))
        words = f"{_several(len(self.pictures), 'picture was', 'pictures were')} read from {shown(self.folder)}."
        trouble = f" {_several(lost, 'file', 'files')} there cannot be read as pictures." if lost else ""
        return words + trouble if self.pictures or lost else ""

    # The end.

    def close(self) -> None:
        """The camera's light goes out, and networks and pictures are let go of."""
        if self.comm is not None:
            self.layout.close()
        super().close()
        self.body = self.probe = self.on_answer = None
        self.pictures, self.known, self.others = {}, {}, None

    def _repr_mimebundle_(self, **arguments):
        data, more = super()._repr_mimebundle_(**arguments)
        words = ", ".join(self.classes)
        return data | {"text/html": f"<p>Run this cell to teach your camera to tell apart: {words}.</p>"}, more


def _several(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _opened(file: bytes) -> Image.Image:
    image = open_photograph(io.BytesIO(file))
    return image if image.size == (SIDE, SIDE) else square(image)


def _row(of: str, found: Tensor, labels: Tensor) -> dict:
    n, right = len(labels), int((found == labels).sum())
    row = {"of": of, "n": n, "right": right, "unknown": int((found == -1).sum())}
    return row | {"accuracy": [round(float(end), 3) for end in mean_interval([right / n], n)] if n else []}


def _checked(name, others: Sequence[str]) -> str:
    """A name that a class, and a folder, can have."""
    name = name.strip() if isinstance(name, str) else name
    if not isinstance(name, str) or not 0 < len(name) <= 40 or re.search(r'[<>:"/\\|?*\x00-\x1f]|^\.|\.$', name):
        raise ValueError(f"A class's name is a text of at most 40 characters that a folder can have too; not {brief(name)}.")
    if name.casefold() in map(str.casefold, others):
        raise ValueError(f"Two classes cannot both be called {name!r}.")
    return name


@functools.cache
def _default() -> nn.Module:
    return backbone(NAMES[0])


def camera(
    body: nn.Module | None = None,
    classes: Sequence[str] = CLASSES,
    folder: str | os.PathLike | None = None,
    on_answer: Callable[[str | None], str | None] | None = None,
) -> Camera:
    """Teach a camera your own things: hold a button to take pictures of a class, and from two classes on it answers live.

    The answer is the class with the nearest centroid, or a linear probe's when you ask for one; "I don't know" is what is
    like none of them (`line_below` says where that begins). An examination takes pictures of its own, under other
    conditions, and counts them apart. Nothing leaves this machine, and nothing is written unless you name a folder. When the
    cell is run again, what was taken is gone unless there is a folder.

    `.task()` of it is a Task for `tl.fit`, `.results()` the accuracies. Without a camera, pictures can be chosen from files.
    The same on arrays: `vectors_of`, `elsewhere`, `likeness`, `left_out`, `line_below` and `said`, all in `tl.widgets`.

    Args:
        body: a backbone; None for the one that comes with the set-up, "tf_efficientnet_lite0.in1k".
        classes: the names of the classes to begin with; in the widget more can be added.
        folder: where pictures are kept, as train/class/camera-0001.jpg and for the examination test/class/..., for
            `tl.folder`; those that lie there already are read. None to keep nothing.
        on_answer: a function that is called with the name of the answer (None for "I don't know") when it has changed; what
            it returns is shown.

    Raises:
        ValueError: names are missing or equal, or the folder holds pictures in another order.
    """
    if body is not None:
        check_kind("camera", body, nn.Module, "a backbone first; of a run take run.model")
    if isinstance(classes, str) or len(classes) < 2:
        raise ValueError(f"A camera tells at least two classes apart: give a list of their names, not {brief(classes)}.")
    if on_answer is not None and not callable(on_answer):
        raise ValueError(f"on_answer is a function that takes the name of the answer; not {brief(on_answer)}.")
    if folder is not None:
        folder, classes = _checked_folder(as_path(folder), list(classes))
    return Camera(body or _default(), list(classes), folder, on_answer)


def _checked_folder(folder: Path, classes: list[str]) -> tuple[Path, list[str]]:
    """The folder, and the classes: those that lie in it in place of the default names."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{shown(folder)} is a file; a camera keeps pictures in a folder.")
    inside = [p for p in sorted(folder.glob("[!.]*")) if p.is_dir() and p.name not in ("train", "test")]
    if any(images_below(place)[0] for place in inside):
        raise ValueError(
            f"{shown(folder)} holds pictures in {', '.join(shown(p.name) for p in inside)}: a camera's folder has train, "
            "and test for the examination, with a subfolder per class in each. Take another folder, or move them into train."
        )
    found = {p.name: None for split in ("train", "test") for p in sorted((folder / split).glob("[!.]*")) if p.is_dir()}
    others = len(found) > 1 and not found.keys() & {*CLASSES}
    return folder, [*found] if others and classes == [*CLASSES] else classes
