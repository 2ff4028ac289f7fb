import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import tl_helpers as tl
from tl_helpers import experiments
from tl_helpers.intervals import labels_to_match

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text(encoding="utf-8")
ORDER = [
    "device",
    "glyphs",
    "data",
    "photos",
    "models",
    "engine",
    "training",
    "features",
    "intervals",
    "io",
    "pretraining",
    "experiments",
    "plots",
    "widgets",
    "check",
]


def python(code: str, **environment) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_pulls_in_nothing_and_every_public_name_is_there():
    heavy = {"torch", "torchvision", "timm", "numpy", "pandas", "matplotlib", "sklearn", "ipywidgets"}
    found = python("import sys, tl_helpers; print(*{m.split('.')[0] for m in sys.modules})").split()
    assert not heavy & set(found)
    for name in (
        "digits",
        "letters",
        "photos",
        "folder",
        "RawCNN",
        "backbone",
        "head",
        "freeze",
        "unfreeze",
        "features",
        "fit",
        "evaluate",
    ):
        assert callable(getattr(tl, name)), name
    assert set(tl.__all__) <= set(dir(tl)) and all(hasattr(tl, name) for name in tl.__all__)
    with pytest.raises(AttributeError, match="no 'digit'"):
        tl.digit  # noqa: B018


@pytest.mark.parametrize("first", ["import timm, tl_helpers", "import tl_helpers, timm", "import tl_helpers.models, timm"])
def test_timm_knows_the_letters_whichever_is_imported_first(first):
    code = f"{first}; print(timm.create_model('resnet10t.letters', pretrained=True).num_classes)"
    assert python(code).strip() == "172"


@pytest.mark.parametrize("name", ["features", "photos"])
def test_a_function_stays_one_when_its_module_is_imported(name):
    assert python(f"import tl_helpers as tl; import tl_helpers.{name}; print(callable(tl.{name}))").strip() == "True"


def test_each_file_imports_only_files_above_it():
    for place, name in enumerate(ORDER):
        folder, dots = ROOT / "tl_helpers" / name, r"\." * (2 if name == "widgets" else 1)
        files = folder.glob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
        text = "\n".join(file.read_text(encoding="utf-8") for file in files)
        used = set(re.findall(rf"^\s*from {dots}(\w+) import", text, re.M))
        used |= {n for line in re.findall(rf"^\s*from {dots} import (.+)", text, re.M) for n in re.findall(r"\w+", line)}
        if name == "training":
            used.discard("plots")  # run.plot() calls it when asked, imported there
        assert used and used <= set(ORDER[:place]) or name in ("device", "glyphs", "intervals"), name


def test_what_one_reads_first_is_small_enough_for_an_afternoon():
    """What every lesson stands on: the rooms up to the features, and the intervals. Others are read when they are met."""
    sizes = {}
    for path in (ROOT / "tl_helpers").rglob("*.py"):
        room = path.relative_to(ROOT / "tl_helpers").parts[0].removesuffix(".py")
        sizes[room] = sizes.get(room, 0) + len(path.read_text(encoding="utf-8").splitlines())
    assert set(sizes) == {*ORDER, "__init__", "__main__"}
    core = [name for name in ORDER[: ORDER.index("intervals") + 1] if name != "photos"]
    assert sizes["training"] <= 300 and sum(sizes[name] for name in core) <= 2000
    assert sizes["check"] <= 1450 and sum(sizes.values()) <= 7400  # twelve lessons' exercises; all


def test_environment_yml_names_the_packages_and_versions_of_pyproject():
    from rattler import MatchSpec

    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["channels"] == ["conda-forge"]
    lines = [line for line in conda["dependencies"] if isinstance(line, str) and line != "pip"]
    specs = {str(spec.name.normalized): str(spec.version) for spec in (MatchSpec(line, strict=True) for line in lines)}
    wanted = {re.match(r"[\w-]+", line)[0]: line.split(">=")[1] for line in PYPROJECT["project"]["dependencies"]}
    wanted["pytorch"] = wanted.pop("torch")
    wanted["python"] = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert specs == {name: f">={version}" for name, version in wanted.items()}


def test_the_cores_of_the_test_run_are_cut_off_from_the_network():
    """Both here and in the processes that tests start; this machine itself can be reached."""
    import socket

    import pytest_socket

    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except Exception as error:
    print(type(error).__name__)
"""
    assert python(code).strip() == "SocketConnectBlockedError"
    with pytest.raises(pytest_socket.SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=5)


def test_doctor_says_that_this_machine_is_ready():
    done = subprocess.run([sys.executable, "-m", "tl_helpers", "doctor"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "torch 2" in done.stdout and "ready" in done.stdout


def test_the_command_line_answers_wrong_words_in_a_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "tl_helpers", "pretrain", "resnet99"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2 and "invalid choice" in done.stderr and "Traceback" not in done.stderr


def test_readme_and_ci_give_the_same_test_command():
    command = re.search(r"^.*&& \.uv/bin/uv run pytest$", README, re.M)[0].strip()
    assert command in (ROOT / ".ci" / "run").read_text()


def test_readme_shows_the_stored_results():
    assert experiments.markdown(experiments.table(experiments.load("digits"))) in README
    assert "data/results/digits.png" in README and (experiments.RESULTS / "digits.png").exists()


def test_what_the_readme_says_of_the_results_is_so():
    rows = experiments.chosen(experiments.load("digits"))
    wide = rows.pivot(index=["shots", "seed"], columns="method", values="test")
    means = wide.groupby("shots").mean()
    transfer = [name for name in means if "letters" in name or "after" in name]
    scratch, tuned = "same backbone from scratch", "fine-tuned letters backbone"
    others = means.drop(columns=transfer)
    assert len(transfer) == 4 and wide.loc[1].shape == (10, 11)
    assert means[transfer].loc[1].max() - others.loc[1].max() > 0.2
    assert means["nearest centroid on letters features"][1] > means[transfer].loc[1].max() - 0.01
    assert (means[transfer].min(axis=1) > others.max(axis=1))[[1, 2, 5, 10]].all()  # the figure
    assert abs(means[tuned][50] - means[scratch][50]) < 0.003
    needed = labels_to_match(wide[scratch].unstack("shots"), wide[tuned].loc[5])
    assert [round(number) for number in needed] == [11, 9, 16]


def test_results_at_least_the_prototypes():
    """The goals of the course's design, on the stored results: test accuracy, mean of ten seeds."""
    rows = experiments.chosen(experiments.load("digits"))
    means = rows.groupby(["method", "shots"]).test.mean()
    assert rows.groupby(["method", "shots"]).seed.nunique().min() >= 10
    assert means["linear probe on letters features", 10] >= 0.955
    assert means["fine-tuned letters backbone", 10] >= 0.97
    transfer = ("linear probe on letters features", "fine-tuned letters backbone", "nearest centroid on letters features")
    assert max(means[method, 2] for method in transfer) >= 0.90
