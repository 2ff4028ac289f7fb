"""What SECURITY.md promises: no connection that was not announced, nothing written outside a folder, nothing unpickled."""

import ast
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import nbformat
import pytest
import torch
from PIL import Image

import tl_helpers as tl
from conftest import DEEPER, LESSONS, ROOT
from tl_helpers.datasets.downloads import unpack
from tl_helpers.images import open_photograph

MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "tl_helpers").rglob("*.py"))]
EVERYTHING = f"""
import importlib, sys
for name in {[name.removesuffix(".__init__") for name in MODULES if "__main__" not in name and "in_one_file" not in name]!r}:
    importlib.import_module(name)
import tl_helpers as tl
from tl_helpers.__main__ import main
names = ("doctor", "edition", "prefetch", "pretrain", "results", "predict")
for words in (["--help"], *([name, "--help"] for name in names)):
    try:
        main(words)
    except SystemExit as ended:
        assert ended.code == 0
assert main(["doctor", "--quick"]) == 0
assert main(["predict", "model", "pictures"]) == 0
task, body = tl.digits(5), tl.backbone("resnet10t.letters")
model = tl.fit(tl.head(body, task), tl.features(body, task, progress=False), progress=False).model
assert main(["edition", "--learner", "edition"]) == 0
from tl_helpers.course import pictures_and_words as pairs
towers, names = pairs.towers().eval(), pairs.split()[1]
shown = [tl.widgets.draw(model, task=task), tl.widgets.walk(model, task.test[:4]), tl.widgets.upload(model),
    tl.widgets.camera(body), tl.widgets.shots(), tl.widgets.gallery(model, task.test[:9], task.classes),
    tl.widgets.guess("?", low=0, high=1), tl.widgets.swap(task, epochs=1), tl.widgets.thaw(model, task, epochs=1),
    tl.widgets.explore(epochs=1), tl.widgets.by_name(towers, names), tl.widgets.letter(towers, names.names)]
print(len(shown), "widgets")
"""


def asked_for(code: str, tmp_path, **variables: str) -> tuple[list[str], str]:
    """The hosts that a program in a process of its own asks for, and what it prints."""
    log = tmp_path / "connections"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"TL_CONNECTIONS": str(log), "TL_HOME": str(tmp_path / "home")} | variables,
    )
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines() if log.exists() else [], done.stdout


def test_no_import_command_or_widget_asks_for_a_connection(tmp_path):
    tl.save(tl.RawCNN(2), tmp_path / "model", ["a", "b"])
    (tmp_path / "pictures").mkdir()
    (tmp_path / "home").mkdir()
    Image.new("L", (40, 30)).save(tmp_path / "pictures" / "a.png")
    variables = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "offline"), str(ROOT)])}
    hosts, said = asked_for(EVERYTHING, tmp_path, **variables)
    assert hosts == [] and "12 widgets" in said


@pytest.mark.parametrize(
    "code",
    [
        "import requests\ntry:\n    requests.get('https://example.org', timeout=1)\nexcept Exception:\n    pass",
        "import socket\ntry:\n    socket.socket().connect(('192.0.2.1', 80))\nexcept Exception:\n    pass",
        "import tl_helpers as tl\ntry:\n    tl.photos('ants-and-bees')\nexcept ConnectionError:\n    pass",
    ],
)
def test_a_connection_that_is_caught_would_be_noticed(code, tmp_path):
    assert asked_for(code, tmp_path)[0]


BAD = ["../outside", "/tmp/tl-outside", "a/../../outside"]


def archive(kind: str, name: str, content: bytes = b"x", link: str = "") -> bytes:
    whole = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)
        return whole.getvalue()
    with tarfile.open(fileobj=whole, mode="w:gz") as file:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        if link:
            info.type, info.linkname, info.size = tarfile.SYMTYPE, link, 0
        file.addfile(info, io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_writes_nothing_outside_its_folder(tmp_path, kind, name):
    file, folder = tmp_path / f"bad.{kind}", tmp_path / "in" / "here"
    file.write_bytes(archive(kind, name))
    folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="no plain file in its folder"):
        unpack(file, folder, 1000)
    assert sorted(tmp_path.rglob("*")) == before and not os.path.exists("/tmp/tl-outside")


def test_an_archive_makes_no_links(tmp_path):
    (tmp_path / "bad.tar.gz").write_bytes(archive("tar.gz", "link", link="/etc/passwd"))
    with pytest.raises(ValueError, match="it holds link, which is no plain file"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "here", 1000)
    assert not os.path.lexists(tmp_path / "here" / "link")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz"])
def test_an_archive_that_grows_too_large_is_refused(tmp_path, kind):
    file, zeros = tmp_path / f"bomb.{kind}", bytes(50_000_000)
    file.write_bytes(gzip.compress(zeros) if kind == "gz" else archive(kind, "bomb", zeros))
    with pytest.raises(ValueError, match="grows? beyond"):
        unpack(file, tmp_path / "here", 4_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "here").rglob("*")) <= 4_000_000


def test_a_good_archive_is_unpacked(tmp_path):
    for kind in ("zip", "tar.gz"):
        (tmp_path / f"good.{kind}").write_bytes(archive(kind, "a/b.txt", b"well"))
        unpack(tmp_path / f"good.{kind}", tmp_path / kind, 4)
        assert (tmp_path / kind / "a" / "b.txt").read_bytes() == b"well"
    (tmp_path / "good.gz").write_bytes(gzip.compress(b"well"))
    unpack(tmp_path / "good.gz", tmp_path / "gz", 4)
    assert (tmp_path / "gz" / "good").read_bytes() == b"well"


def test_a_picture_that_unpacks_to_gigabytes_is_refused(tmp_path):
    """A PNG of 30 KB with 225 million pixels."""
    Image.new("1", (15_000, 15_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    with pytest.raises(ValueError, match="cannot be read as a picture: .*limit"):
        open_photograph(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        tl.predict(tl.RawCNN(2), tmp_path / "bomb.png")


def test_every_test_that_the_page_names_is_there():
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:tests/)?\w+\.py)`", page))
    assert len(names) > 7 and [name for name in names if not (ROOT / name).is_file()] == []
    assert len(page.splitlines()) < 40  # a screen


def test_nothing_is_unpickled():
    """Whatever torch version: torch.load says weights_only=True each time, and nothing else reads pickles."""
    for path in sorted((ROOT / "tl_helpers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("torch.load", "np.load", "numpy.load")):
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert options.get("weights_only") == "True" or options.get("allow_pickle") == "False", (path, node.lineno)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec", "os.system"):
                raise AssertionError((path, node.lineno))
    assert torch.load.__module__.startswith("torch")


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="it is about a script of bash")
@pytest.mark.parametrize("knows, found, passes", [(0, 0, True), (0, 1, False), (0, 2, True), (2, 2, False)])
def test_ci_fails_on_a_known_fault_and_says_when_it_could_not_ask(tmp_path, knows, found, passes):
    """Nothing found, a fault, no database, and a uv that has no such command."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"^\.uv/bin/uv audit .+$", script, re.M))
    (tmp_path / ".uv" / "bin").mkdir(parents=True)
    (tmp_path / ".uv" / "bin" / "uv").write_text(f"#!/bin/sh\ncase $* in *--help) exit {knows};; esac\nexit {found}\n")
    (tmp_path / ".uv" / "bin" / "uv").chmod(0o755)
    code = f"set -euo pipefail\n{lines}\necho went on\n"
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) == ("went on" in done.stdout) == passes
    assert ("No audit of the packages" in done.stdout) == (found == 2 and passes)
    assert "run: uv audit " in (ROOT / ".github" / "workflows" / "tomorrow.yml").read_text(encoding="utf-8")


SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20}|gh[pousr]_[A-Za-z0-9]{20}|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|[?&]token=[0-9a-f]{16}"
)


@pytest.mark.parametrize("path", [*LESSONS, *DEEPER], ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def test_no_secret_is_in_the_outputs(path):
    told = [json.dumps(cell.get("outputs", [])) for cell in nbformat.read(path, 4).cells]
    assert not SECRET.search("".join(told))
    assert SECRET.search("hf_" + 24 * "a") and SECRET.search("/lab?token=0123456789abcdef")
