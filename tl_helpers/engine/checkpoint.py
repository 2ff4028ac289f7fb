"""A training that goes on after a crash. Lesson 11 opens this file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from pathlib import Path

import torch

from .distributed import Team


class Checkpoint:
    """A file that holds a training after its last whole epoch, with the one before kept beside it (`.previous`).

    It is written beside and then renamed, so a crash at any moment leaves a whole one, and it begins with a checksum, which
    tells a damaged one. `recipe` is what is trained and how; a file of another recipe is refused, so that nobody goes on
    from the wrong one. A file that is refused is never written over.

    Args:
        path: where; None for no checkpoint at all.
        recipe: names and numbers.
        parts: what has a state_dict, by name.
        generators: random number generators, by name.
        team: the processes that train together; the first one writes and reads.

    Raises:
        ValueError: nothing can be written there.
    """

    MARK = b"tl_helpers checkpoint\n"

    def __init__(self, path: str | os.PathLike | None, recipe: dict, parts: dict, generators: dict, team: Team):
        self.path = None if path is None else Path(path)
        self.recipe, self.parts, self.generators, self.team = recipe, parts, generators, team
        self.full = False
        if self.path and not team.rank:
            with contextlib.suppress(OSError):  # what is wrong shows in the next line
                self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = self.path.parent
            if self.path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
                raise ValueError(
                    f"No checkpoint can be written to {self.path}: give the path of a file in a folder of yours."
                )

    def save(self, rows: list[dict], kept: dict) -> None:
        """Save everything: the history so far, the weights to keep at the end, and the state of all parts.

        Where the disk is full it says so once, and training goes on with the checkpoint of an earlier epoch.
        """
        if self.path is None:
            return
        random = {name: generator.get_state() for name, generator in self.generators.items()}
        random["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            random["cuda"] = torch.cuda.get_rng_state()
        random = self.team.gather(random)
        if self.team.rank:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        memory = io.BytesIO()
        torch.save({"recipe": self.recipe, "rows": rows, "kept": kept, "parts": state, "random": random}, memory)
        content, new = memory.getbuffer(), self._beside("new")
        try:
            with open(new, "wb") as file:
                file.write(self.MARK + hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                os.replace(self.path, self._beside("previous"))
            os.replace(new, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            if not self.full:
                epoch = f"epoch {rows[-1]['epoch']} is not in {self.path} ({error.strerror})"
                warnings.warn(f"{epoch}; training goes on, and each epoch tries to save again.", stacklevel=3)
            self.full = True

    def resume(self) -> tuple[list[dict], dict] | None:
        """Put everything into its last good state and return (rows, kept); None if there is none.

        Raises:
            ValueError: the file is the checkpoint of another training, or no checkpoint.
        """
        saved = self.team.from_first(self._load) if self.path else None
        if saved is None:
            return None
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        if self.team.rank < len(saved["random"]):  # else one of more processes than there were
            random = saved["random"][self.team.rank]
            for name, generator in self.generators.items():
                generator.set_state(random[name])
            torch.set_rng_state(random["torch"])
            if "cuda" in random and torch.cuda.is_available():
                torch.cuda.set_rng_state(random["cuda"])
        return saved["rows"], saved["kept"]

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _load(self) -> dict | None:
        wrong = []
        for path in (self.path, self._beside("previous")):
            saved = self._read(path) if path.exists() else None
            if isinstance(saved, dict):
                if wrong:
                    os.replace(self.path, self._beside("refused"))
                    warnings.warn(f"{wrong[0]}; it is kept as {self._beside('refused')}, and {path} is used.", stacklevel=4)
                return saved
            wrong += [f"{path} {saved}"] if saved else []
        refused = [text for text in wrong if not text.endswith("is damaged")]
        if refused:
            raise ValueError(f"{refused[0]}. Give another checkpoint path, or delete what is there to start anew.")
        if wrong:
            warnings.warn(f"{wrong[0]} and there is no other; training starts anew.", stacklevel=4)
        return None

    def _read(self, path: Path) -> dict | str:
        """What a file holds, or why it cannot be used."""
        with open(path, "rb") as file:
            if not self.MARK.startswith(file.read(len(self.MARK))):
                return "is no checkpoint of fit"
            checksum, content = file.read(32), file.read()
        if hashlib.sha256(content).digest() != checksum:
            return "is damaged"
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if saved["recipe"] != self.recipe:
            different = ", ".join(sorted(k for k in self.recipe if saved["recipe"].get(k) != self.recipe[k]))
            return f"holds another training (another {different})"
        return saved
