import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tl_helpers import models
from tl_helpers.course import pretraining

ROOT = Path(__file__).resolve().parent.parent
NAME = "mobilenetv3_small_050_s1.letters"


def pretrain(folder: Path, *options: str, **arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "tl_helpers", "pretrain", NAME, "--to", str(folder), *options]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments)


def test_every_backbone_has_a_recipe_and_a_card_that_agrees_with_its_file():
    assert set(pretraining.RECIPES) == {f"{name}.letters" for name in models.LETTERS}
    for name in pretraining.RECIPES:
        facts = pretraining.facts_of(models.DATA / f"{name}.safetensors")
        assert pretraining.card(facts) == (models.DATA / f"{name}.md").read_text(encoding="utf-8")
        assert facts["name"] == name and facts["letters"]["accuracy"] > 0.5  # of 172; chance is .006
        recipe = pretraining.RECIPES[name]
        assert {key: facts["recipe"][key] for key in recipe} == recipe  # shipped as the command makes it today


@pytest.mark.slow
def test_pretraining_that_is_stopped_goes_on_to_the_same_weights(tmp_path, interruptible):
    whole = pretrain(tmp_path / "whole", "--epochs", "3")
    assert whole.wait(600) == 0, whole.stderr.read()
    part = pretrain(tmp_path / "part", "--epochs", "3")
    checkpoint = tmp_path / "part" / f"{NAME}.checkpoint"
    for _ in range(3000):
        if checkpoint.exists():
            break
        time.sleep(0.1)
    os.kill(part.pid, signal.SIGINT)
    assert part.wait(600) == 1 and "Call pretrain again" in part.stderr.read()
    rest = pretrain(tmp_path / "part", "--epochs", "3")
    assert rest.wait(600) == 0 and "Bent letters named rightly" in rest.stdout.read()
    one, other = (load_file(tmp_path / folder / f"{NAME}.safetensors") for folder in ("whole", "part"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert not list(tmp_path.glob("part/*.checkpoint*"))


@pytest.mark.slow
def test_the_command_reproduces_the_shipped_accuracy_within_its_interval(tmp_path):
    done = pretrain(tmp_path)
    assert done.wait(1800) == 0 and "The intervals overlap." in done.stdout.read()
