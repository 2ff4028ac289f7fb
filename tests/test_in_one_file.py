"""The course in one file says the same as the package: same images, same features, same training, same numbers."""

import ast
import copy
import math
from pathlib import Path

import pytest
import torch

import tl_helpers as tl
from tl_helpers import in_one_file

PATH = Path(in_one_file.__file__)


@pytest.fixture(scope="module")
def accuracies():
    return in_one_file.main()


@pytest.fixture(scope="module")
def task():
    return tl.digits(shots=5, seed=0)


@pytest.fixture(scope="module")
def vectors(task):
    """The features of the package."""
    return tl.features(tl.backbone("resnet10t.letters"), task)


def copied(weights: torch.nn.Module, into: torch.nn.Module) -> torch.nn.Module:
    into.load_state_dict(weights.state_dict())
    return into


def test_it_is_short_and_stands_alone():
    text = PATH.read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.split(".")[0] for node in imports for name in [getattr(node, "module", None) or node.names[0].name]}
    assert len(text.splitlines()) <= 150
    assert not any(getattr(node, "level", 0) for node in imports)
    assert names == {"math", "time", "pathlib", "numpy", "timm", "torch", "safetensors", "sklearn"}


@pytest.mark.parametrize("shots, seed", [(5, 0), (1, 3), (90, 7)])
def test_it_draws_the_digits_of_the_package(shots, seed):
    task = tl.digits(shots, seed)
    for ours, theirs in zip(in_one_file.digits(shots, seed), (task.train.x, task.train.y, task.test.x, task.test.y)):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


def test_its_features_are_those_of_the_package(task, vectors):
    body = in_one_file.network(pretrained=True, classes=0)
    for split, theirs in ((task.train, vectors.train), (task.test, vectors.test)):
        ours = in_one_file.outputs(body, in_one_file.prepare(split.x))
        assert ours.shape == (len(split), 512) and (ours - theirs.x).abs().max() < 1e-5
