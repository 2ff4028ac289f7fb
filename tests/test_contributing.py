"""What CONTRIBUTING.md tells to write is written, in a copy of the course, and does what it says."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from lessons import settled

from conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = {
    heading: re.findall(r"```python\n(.*?)```", part, re.S)
    for heading, part in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The course with every file that the page names, and what its scripts make, but the backbone."""
    folder = tmp_path_factory.mktemp("house") / "course"
    kept = shutil.ignore_patterns(".*", "__pycache__", "*.safetensors", "test-artefacts", "pretrained", "site")
    shutil.copytree(ROOT, folder, ignore=kept)
    for weights in (ROOT / "data").glob("*.safetensors"):
        (folder / "data" / weights.name).symlink_to(weights)
    for blocks in BLOCKS.values():
        for block in blocks:
            if file := re.match(r"# (\S+\.py)\n", block):
                assert not (folder / file[1]).exists(), f"{file[1]} is a part of the course by now: choose another example"
                (folder / file[1]).write_text(block.removeprefix(file[0]), encoding="utf-8")
    return folder


def run(copy, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # the copy has no photographs
    environment["PYTHONPATH"] = os.pathsep.join([str(copy), str(copy / "tests" / "offline")])
    done = subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def script(copy, heading: str) -> str:
    return run(copy, "-c", next(block for block in BLOCKS[heading] if not re.match(r"# \S+\.py\n", block)))


def test_a_check_a_lesson_and_a_widget_pass_the_tests_of_the_course(copy):
    script(copy, "A lesson")
    assert "15_two_dice" in run(copy, "tests/lessons.py", "--store", "15")
    stored = (copy / "notebooks" / "15_two_dice.ipynb").read_bytes()
    run(copy, "tests/lessons.py", "--store", "15")
    assert (copy / "notebooks" / "15_two_dice.ipynb").read_bytes() == stored  # twice changes nothing
    run(copy, "-m", "ruff", "check", "tl_helpers", "tests/test_moving.py", "tests/wrong_answers_15.py")
    run(copy, "-m", "ruff", "format", "--check", "tl_helpers", "tests/test_moving.py", "tests/wrong_answers_15.py")
    chosen = "15_two_dice or mean_of_dice or fair_bet or moving or right_and_two_wrong"
    files = ("tests/test_notebooks.py", "tests/test_exercises.py", "tests/test_moving.py", "notebooks/15_two_dice.ipynb")
    passed = re.search(r"(\d+) passed", run(copy, "-m", "pytest", "-q", "-n", "0", "-k", chosen, *files))
    assert int(passed[1]) > 40


def test_an_experiment_says_what_it_found(copy):
    found = re.search(r"lead of the features: ([\d.]+) \(interval ([\d.-]+) to", script(copy, "An experiment"))
    assert 0.05 < float(found[1]) < 0.2 and float(found[2]) > 0


def test_what_time_and_memory_decide_does_not_count_as_a_change():
    one = [{"output_type": "display_data", "data": {"text/plain": "3 epochs in 0.2 s, accuracy 0.950, <Pad at 0x7f1>"}}]
    later = [{"data": {"text/plain": "3 epochs in 11.5 s, accuracy 0.950, <Pad at 0x7aa>"}, "output_type": "display_data"}]
    other = [{"data": {"text/plain": "3 epochs in 0.2 s, accuracy 0.940, <Pad at 0x7f1>"}, "output_type": "display_data"}]
    assert settled(one) == settled(later) != settled(other)


@pytest.mark.slow
def test_a_backbone_of_ones_own_is_pretrained(copy):
    found = script(copy, "A backbone")
    assert "'10': [" in found
    assert (copy / "pretrained" / "resnet14t.letters.safetensors").exists()
    assert (copy / "pretrained" / "resnet14t.letters.md").read_text(encoding="utf-8").startswith("# resnet14t.letters")


def test_every_recipe_has_code_and_every_file_that_is_named_exists():
    assert [heading for heading, blocks in BLOCKS.items() if blocks] == [
        "A check",
        "A lesson",
        "A widget",
        "A backbone",
        "An experiment",
    ]
    for name in re.findall(r"`((?:tests|tl_helpers|notebooks|\.ci|\.github)/[\w./]+)`", PAGE):
        made = any(block.startswith(f"# {name}\n") for blocks in BLOCKS.values() for block in blocks)
        assert made or (ROOT / name).exists(), name


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_names_what_is_there_and_says_that_it_was_not_run(path):
    text = path.read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert re.search(r"[Nn]ot (been )?run yet", text.splitlines()[0]) and flow["jobs"]
    assert not re.search(r"https?://(pypi|download\.pytorch|files\.pythonhosted)", text)
    for name in re.findall(r"(?<![\w/])(?:tests|tl_helpers|notebooks)/[\w./]+", text):
        assert (ROOT / name).exists(), name


def test_three_systems_and_tomorrow():
    flows = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS}
    assert set(flows["tests"]["jobs"]["tests"]["strategy"]["matrix"]["os"]) == {
        "ubuntu-latest",
        "macos-latest",
        "windows-latest",
    }
    assert flows["tomorrow"][True]["schedule"]  # YAML takes the key `on` for a truth
