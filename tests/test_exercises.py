"""Every exercise with right and with wrong answers. Stubs and solutions run in the lessons: see conftest.py."""

import importlib
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from wrong_answers_tools import Later

import tl_helpers as tl
from conftest import DEEPER, LESSONS
from tl_helpers.course import checks as check

HERE = Path(__file__).resolve().parent
TABLES = [importlib.import_module(path.stem) for path in sorted(HERE.glob("wrong_answers_[0-9]*.py"))]
RIGHT = {name: answer for table in TABLES for name, answer in table.RIGHT.items()}
ALSO_RIGHT = [
    (name, answer) for table in TABLES for name, many in getattr(table, "ALSO_RIGHT", {}).items() for answer in many
]
WRONG = [(name, *case) for table in TABLES for name, cases in table.WRONG.items() for case in cases]
NAN = float("nan")
NONSENSE = [..., None, 7, -1.5, "seven", [], {}, lambda: 1 / 0, lambda *a, **k: 1 / 0, object()]
NONSENSE += [NAN, lambda *a, **k: NAN, lambda *a, **k: torch.full_like(a[0], NAN)]  # neither above nor below anything


def verdict(name: str, answer) -> check.Verdict:
    answer = answer.make() if isinstance(answer, Later) else answer
    return getattr(check, name)(*(answer if isinstance(answer, tuple) else (answer,)))


@pytest.mark.parametrize("name, answer", [*RIGHT.items(), *ALSO_RIGHT], ids=[*RIGHT, *(name for name, _ in ALSO_RIGHT)])
def test_a_right_answer_passes(name, answer):
    answer = verdict(name, answer)
    assert answer, answer


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert tl.check.output_size(lambda side, chain: np.int64(RIGHT["output_size"](side, chain)))


@pytest.mark.parametrize("name, answer, words", WRONG, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(WRONG)])
def test_a_wrong_answer_is_refused_with_its_own_hint(name, answer, words):
    result = verdict(name, answer)
    assert not result and words in repr(result), result


def test_every_exercise_of_the_lessons_has_a_right_and_two_wrong_answers():
    used = set()
    for path in LESSONS + DEEPER:
        for cell in nbformat.read(path, as_version=4).cells:
            if "exercise" in cell.metadata.get("tags", []):
                used |= set(re.findall(r"tl\.check\.(\w+)\(", cell.source))
    assert used and used == set(RIGHT)
    assert all(sum(wrong[0] == name for wrong in WRONG) >= 2 for name in used)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_whatever_is_answered_no_check_raises_and_none_passes(name, nonsense):
    many = len(RIGHT[name]) if isinstance(RIGHT[name], tuple) else 1
    result = getattr(check, name)(*[nonsense] * many)
    assert not result and repr(result).startswith("Not yet.") and "Traceback" not in repr(result)


def test_claims_say_which_hold():
    both = tl.check.claims({"water is wet": True, "fire is cold": False})
    assert not both and "✔ holds:       water is wet" in repr(both) and "✘ not here:    fire is cold" in repr(both)
    for yes in (True, np.True_, np.array([True]), torch.tensor(True), torch.tensor([[True]])):
        assert tl.check.claims({"water is wet": yes})


NO_ANSWERS = ["False", lambda: False, tl.results.Interval((0.1, -0.1, 0.3)), (False,), [False], [], None, NAN, 0.3, 1]
NO_ANSWERS += [np.float32(1), np.array([True, True]), torch.tensor([True, False]), torch.tensor(1), torch.zeros(0)]
NO_ANSWERS += [pd.Series([True, False]), pd.DataFrame({"a": [True]})]


@pytest.mark.parametrize("no_answer", NO_ANSWERS, ids=lambda answer: type(answer).__name__)
def test_a_claim_is_true_or_false_and_nothing_else(no_answer):
    with pytest.raises(TypeError, match="of 'fire is cold' it is"):
        tl.check.claims({"fire is cold": no_answer})
