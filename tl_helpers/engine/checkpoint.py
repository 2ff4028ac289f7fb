"""A training that goes on after a crash. Lesson 11 opens this file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from pathlib import Path

import torch

from .distributed import Distributed


class Checkpoint:
    """A file that holds a training after its last whole epoch.

    It is written beside its place and then renamed, so that a whole one is there at any moment, and it begins with a
    checksum, which tells a damaged one. A file that is not this training's is refused, and never written over. Inside the
    `with` block no other training gets it.

    Args:
        path: where; None for no checkpoint at all.
        recipe: what is trained and how, as plain values by name.
        parts: what has a state_dict, by name.
        generators: random number generators, by name.
        processes: those that train together; the first one writes and reads.

    Raises:
        ValueError: nothing can be written there.
    """

    MARK = b"tl_helpers checkpoint\n"

    def __init__(self, path: str | os.PathLike | None, recipe: dict, parts: dict, generators: dict, processes: Distributed):
        self.path = None if path is None else Path(path)
        self.recipe, self.parts, self.generators, self.processes = recipe, parts, generators, processes
        self.full = False
        if self.path and not processes.rank:
            with contextlib.suppress(OSError):  # what is wrong shows in the next line
                self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir() or not self.path.parent.is_dir() or not os.access(self.path.parent, os.W_OK):
                raise ValueError(
                    f"No checkpoint can be written to {self.path}: give the path of a file in a folder of yours."
                )

    def __enter__(self) -> None:
        self.processes.from_first(self._lock)

    def _lock(self) -> None:
        from filelock import FileLock, Timeout

        if self.path:
            self.lock = FileLock(f"{self.path}.lock", timeout=0)  # the system opens it when a process is killed
            try:
                self.lock.acquire()
            except Timeout as error:
                raise ValueError(
                    f"Another training is writing to {self.path} just now: wait for its end, or give this one another path."
                ) from error
            except (OSError, NotImplementedError):  # a file system that locks nothing
                self.lock = None

    def __exit__(self, *_) -> None:
        if self.path and not self.processes.rank and self.lock:
            with contextlib.suppress(OSError):  # Windows deletes no open file
                os.unlink(self.lock.lock_file)  # before it is let go: whoever comes next makes one anew
            self.lock.release()

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
        random = self.processes.gather(random)
        if self.processes.rank:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        memory = io.BytesIO()
        torch.save({"recipe": self.recipe, "rows": rows, "kept": kept, "parts": state, "random": random}, memory)
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            with open(new, "wb") as file:
                file.write(self.MARK + hashlib.sha256(memory.getbuffer()).digest())
                file.write(memory.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        except OSError as error:
            new.unlink(missing_ok=True)
            if not self.full:
                epoch = f"epoch {rows[-1]['epoch']} is not in {self.path} ({error.strerror})"
                warnings.warn(f"{epoch}; training goes on, and each epoch tries to save again.", stacklevel=3)
            self.full = True

    def resume(self) -> tuple[list[dict], dict] | None:
        """Put the training into the state in the file and return (rows, kept); None if there is no file.

        Raises:
            ValueError: the file is damaged, the checkpoint of another training, or not a checkpoint.
        """
        saved = self.processes.from_first(self._read) if self.path else None
        if saved is None:
            return None
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        if self.processes.rank < len(saved["random"]):  # else one of more processes than there were
            random = saved["random"][self.processes.rank]
            for name, generator in self.generators.items():
                generator.set_state(random[name])
            torch.set_rng_state(random["torch"])
            if "cuda" in random and torch.cuda.is_available():
                torch.cuda.set_rng_state(random["cuda"])
        return saved["rows"], saved["kept"]

    def _read(self) -> dict | None:
        if not self.path.exists():
            return None
        content, head = self.path.read_bytes(), len(self.MARK) + 32
        saved = content[head:]
        wrong = None
        if not self.MARK.startswith(content[: len(self.MARK)]):
            wrong = "is not a checkpoint of fit"
        elif hashlib.sha256(saved).digest() != content[len(self.MARK) : head]:
            wrong = "is damaged"
        else:
            saved = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
            different = sorted(name for name in self.recipe if saved["recipe"].get(name) != self.recipe[name])
            if different:
                wrong = f"holds another training (another {', '.join(different)})"
        if wrong:
            raise ValueError(f"{self.path} {wrong}. Give another checkpoint path, or delete what is there to start anew.")
        return saved
