"""What a function is given, checked: bad input gets one sentence in plain words. Lesson 03 opens this file."""

from __future__ import annotations

import contextlib
import math
import numbers
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


def brief(value) -> str:
    """A value as it stands in a sentence: on one line, or by its kind where it is long."""
    text = repr(value) if isinstance(value, (str, bytes, numbers.Number, type(None), list, tuple, dict, Path)) else "\n"
    return text if len(text) <= 80 and text.isprintable() else f"a {type(value).__name__}"


def check_kind(function: str, value, kind: type | tuple[type, ...], wanted: str) -> None:
    """Raise a TypeError that says what a function takes in place of a value of another kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{function} takes {wanted}; this is {brief(value)}.")


def check_listed(function: str, value, wanted: str) -> None:
    """Raise a TypeError for what cannot be gone through, or not by its values in an order: sets, dicts and tables."""
    check_kind(function, value, Iterable, wanted)
    if isinstance(value, (Set, Mapping)) or hasattr(value, "columns"):
        raise TypeError(f"{function} takes {wanted} in order, as a list; this is {brief(value)}.")


def check_number(name: str, value, wanted: str, low: float, high: float = math.inf, whole: bool = False) -> None:
    """Raise a ValueError for what is no number from low to high; `wanted` says in words what it must be.

    A bound that is not to be reached itself is given as the next number (`math.nextafter`).
    """
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high or value == math.inf:
        raise ValueError(f"{name} must be {wanted}; not {brief(value)}.")


def check_choice(name: str, value, allowed: Iterable) -> None:
    """Raise a ValueError for what is none of the allowed values."""
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; not {brief(value)}.")


def check_seed(seed: int) -> int:
    check_number("seed", seed, "a whole number from 0", 0, 2**63 - 1, whole=True)
    return int(seed)


def draws_of(values: Sequence[ArrayLike], n: int | None, level: float) -> np.ndarray:
    """What `mean_interval` is given as floats, k or k x n, if it fits."""
    check_number("level", level, "a share between 0 and 1, such as 0.95", 1e-9, 1 - 1e-9)
    if n is not None:
        check_number("n", n, "the number of test images that each draw was tested on", 1, whole=True)
    try:
        check_listed("mean_interval", None if isinstance(values, str) else values, "numbers")
        values = values.detach().cpu() if hasattr(values, "detach") else values
        draws = np.stack([np.asarray(value, dtype=float) for value in values]) if len(values) else np.empty(0)
        kind = np.asarray(values).dtype.kind  # 1.0 in each of n draws of n images may be accuracies, 0 beside 1 are none
        numbers_too = n == len(draws) and np.isin(draws, (0, 1)).all() and (kind in "iu" or 0 < draws.mean() < 1)
        if draws.ndim == 1 and (kind == "b" or numbers_too):
            draws = draws[None]  # the answers of one draw
    except (TypeError, ValueError):
        raise ValueError("Give a list of numbers, or for each draw its answers to the same test images.") from None
    if not draws.size:
        raise ValueError("There are no draws: give at least one value.")
    if not np.isfinite(draws).all():
        raise ValueError("Some values are infinite or no numbers (NaN): leave them out, or find out where they come from.")
    if draws.ndim > 2 or (draws.ndim == 2 and (n not in (None, draws.shape[1]) or not np.isin(draws, (0, 1)).all())):
        raise ValueError("Answers are a row of n for each draw, 1 where right and 0 where wrong; these are something else.")
    if n and (draws.min() < 0 or draws.max() > 1):
        raise ValueError(f"Accuracies are between 0 and 1, not {draws.min():g} to {draws.max():g}: for others leave n out.")
    return draws


def as_path(path: str | os.PathLike) -> Path:
    """A path; ~ at its beginning stands for the user's own folder."""
    check_kind("A path", path, (str, os.PathLike), "a text or a Path")
    try:
        if "\0" not in os.fspath(path):
            return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"The path {brief(path)} names a user who is not on this machine.") from error
    raise ValueError(f"The path {brief(path)} holds a NUL character, which no path can.")


def user_folder(kind: str) -> Path | None:
    """Where this system keeps a user's "cache" or "data" of this course; None for a user without a home."""
    import platformdirs

    try:
        folder = getattr(platformdirs, f"user_{kind}_path")("tl_helpers", appauthor=False)
    except RuntimeError:  # what a newer platformdirs does; an older one gives a path that begins with ~
        return None
    return folder if folder.is_absolute() else None


def shown(path: str | os.PathLike) -> str:
    """A path as text that can always be printed, on one line."""
    text = os.fspath(path).encode("utf-8", "replace").decode()
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


@contextlib.contextmanager
def files_in_words(path: Path, what: str):
    """Inside the `with` block what the system does not allow is said in one sentence: that the path cannot be `what`."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{shown(path)} cannot be {what}: {error.strerror or type(error).__name__}.") from error
