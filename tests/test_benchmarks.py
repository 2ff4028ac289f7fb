"""The benchmarks run, at their smallest; what they find is another matter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REAL

FOLDER = Path(__file__).resolve().parent / "benchmarks"


@pytest.mark.parametrize("name", ["training-a", "training-b"])
def test_a_training_benchmark_runs(name, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import run

    text = run.training(name, quick=True, peers=False)
    for who in ("floor", "fit", "plain loop"):
        assert re.search(rf"^\| {who} \| [\d.]+ \([\d.]+ to [\d.]+\) \| [\d.]+ ", text, re.M)
    assert re.search(r"at most 1\.\d\d times the floor: (not )?met", text) and "| schedule |" in text


@pytest.mark.slow
def test_all_benchmarks_rehearse():
    missing = [
        name for name in ("fastai", "keras", "lightning", "skorch") if not __import__("importlib").util.find_spec(name)
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (uv sync --group bench)")
    command = [sys.executable, FOLDER / "run.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    names = ["Training (a)", "Training (b)", "Imports, and the first result", "Lessons"]
    for name in names + ["Photographs", "Widgets and the camera on tf_efficientnet_lite0.in1k"] * REAL.exists():
        assert f"## {name}" in done.stdout
