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


def test_a_run_by_name_replaces_its_own_section_of_the_page_and_keeps_the_others(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER)
    import run

    page = tmp_path / "README.md"
    page.write_text("# Old head\n\n<!-- training-b -->\n## Two\n\nold\n\n<!-- lessons -->\n## Last\n\nkept\n")
    run.write("training-b", "## Two\n\nnew", page)
    run.write("frozen", "## Three\n\nfirst", page)
    parts = "<!-- training-b -->\n## Two\n\nnew\n\n<!-- frozen -->\n## Three\n\nfirst\n\n<!-- lessons -->\n## Last\n\nkept\n"
    assert page.read_text() == f"{run.HEAD.rstrip()}\n\n{parts}"


def test_the_page_of_the_benchmarks_is_one_that_can_be_continued():
    text = (FOLDER / "README.md").read_text()
    assert text.count("\n## ") == text.count("<!-- ") == text.count("\nMeasured on ")
