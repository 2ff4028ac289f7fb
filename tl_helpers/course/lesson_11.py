"""Text instead of pictures: what Python libraries say of themselves, and features from it. Lesson 11 uses it."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .. import plots
from ..engine.figure import Figure
from ..results import Interval, mean_interval

LIBRARIES = ("matplotlib", "networkx", "pandas", "scipy", "sklearn", "sympy")
GIVEAWAYS = frozenset((*LIBRARIES, "numpy", "mpl", "matlab", "plt", "pyplot", "scikit", "learn", "torch"))
FILES, TEST, CHOOSE = 250, 100, 50  # files read from each library; docstrings of each to test on, and to choose with
WORDS = (10, 60)  # of a docstring: the fewest, and as many as are kept
STRENGTHS = (1, 10, 100)  # of logistic regression, its C


@functools.lru_cache(1)
def docstrings() -> pd.DataFrame:
    """The beginnings of docstrings in six installed libraries, read without importing them; about ten seconds.

    Returns: a row for each: text (10 to 60 words in lower case, without the names of libraries), library, and part: "learn",
        or "test" for 100 of each library. No file has docstrings in both parts, and no text stands in both.
    """
    rows, rng = [], np.random.default_rng(0)
    for library in LIBRARIES:
        files = _files(library)
        picked = rng.permutation(len(files))[:FILES]
        for i, number in enumerate(picked):
            part = "test" if i < len(picked) // 3 else "learn"
            rows += [(text, library, part) for text in _beginnings(files[number])]
    frame = pd.DataFrame(rows, columns=["text", "library", "part"]).drop_duplicates("text")
    learn, test = (frame[frame.part == part] for part in ("learn", "test"))
    test = test.groupby("library").sample(TEST, random_state=0)
    return pd.concat([learn, test]).reset_index(drop=True)


def _files(library: str) -> list[Path]:
    place = Path(importlib.util.find_spec(library).submodule_search_locations[0])
    inside = [(path, path.relative_to(place).parts) for path in sorted(place.rglob("*.py"))]
    return [path for path, parts in inside if not any("test" in part or part == "conftest.py" for part in parts)]


def _beginnings(path: Path) -> list[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in other people's files
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    words = [re.findall(r"[a-z]{2,}", text.lower()) for text in found]
    words = [[word for word in some if word not in GIVEAWAYS] for some in words]
    return [" ".join(some[: WORDS[1]]) for some in words if len(some) >= WORDS[0]]


def compare(corpus: pd.DataFrame, methods: dict[str, Callable], shots: Sequence[int] = (1, 5, 20, 50), draws: int = 10):
    """How often logistic regression on each method's vectors tells the libraries apart, from few labelled docstrings.

    Its strength `C` is chosen for each method and number of labels, over all draws, on CHOOSE docstrings per library that
    are used for nothing else. All methods learn from the same draws.

    Args:
        corpus: from `docstrings`.
        methods: by name, functions from the labelled docstrings (rows of the corpus) to a function from texts to vectors.
        shots: labelled docstrings per library.
        draws: of these.

    Returns: a row for each draw: method, "labels per class", and in "accuracy" an array, whether each test docstring was
        classified correctly.
    """
    from sklearn.linear_model import LogisticRegression

    learn, test = (corpus[corpus.part == part] for part in ("learn", "test"))
    choose = learn.groupby("library").sample(CHOOSE, random_state=99)
    pool, rows = learn.drop(choose.index), []
    for many in shots:
        for name, method in methods.items():
            score, right = {strength: 0.0 for strength in STRENGTHS}, {strength: [] for strength in STRENGTHS}
            for seed in range(draws):
                few = pool.groupby("library").sample(many, random_state=seed)
                vectors = method(few)
                known, asked, tried = (vectors(part.text) for part in (few, test, choose))
                for strength in STRENGTHS:
                    model = LogisticRegression(C=strength, max_iter=2000).fit(known, few.library)
                    score[strength] += model.score(tried, choose.library)
                    right[strength].append(model.predict(asked) == test.library.to_numpy())
            best = max(score, key=score.get)
            rows += [{"labels per class": many, "method": name, "accuracy": answers} for answers in right[best]]
    return pd.DataFrame(rows)


def curves(compared: pd.DataFrame) -> Figure:
    """Accuracy against labels per class, a line for each method of `compare`."""
    figure = plots.lines(compared, "labels per class", "accuracy", by="method", log=True)
    axis = figure.axes[0]
    axis.set_xlabel(axis.get_xlabel().replace("images", "docstrings"))
    figure.alt = figure.alt.replace("images", "docstrings")
    return figure


def lead(compared: pd.DataFrame, shots: int, one: str, other: str) -> Interval:
    """The lead in accuracy of one method of `compare` over another, draw by draw and docstring by docstring."""
    part = compared[compared["labels per class"] == shots]
    answers = {method: list(rows.accuracy) for method, rows in part.groupby("method")}
    found = mean_interval(answers[one], minus=answers[other])
    return Interval(found, found.covers.replace("images", "docstrings"))
