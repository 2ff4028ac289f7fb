"""What the live page is made of: networks as ONNX, the features of the examples, constants, and a runtime from npm.

All numbers come from tl_helpers. tests/test_site.py holds the page's answers against Python's.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import platformdirs
import torch
from scipy.special import ndtri
from torch import Tensor, nn

import tl_helpers as tl
from tl_helpers.engine.lite0 import NAMES as LITE0
from tl_helpers.engine.lite0 import PACKAGE
from tl_helpers.engine.parts import before_head
from tl_helpers.models import input_of
from tl_helpers.widgets import drawing, elsewhere
from tl_helpers.widgets.camera import CLASSES, FOLDS

HERE = Path(__file__).resolve().parent / "live"
# Of the newest, 1.30, the compiled part is .8 MB larger, and Draw is to load within 12 MB.
RUNTIME = "onnxruntime-web", "1.22.0"
SHOTS = (1, 2, 5, 10)
LETTERS = "resnet10t.letters"


class Body(nn.Module):
    """A network up to its head."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return before_head(self.model, x)


def scratch(shots: int) -> nn.Module:
    """The raw CNN of lesson 00, trained from random weights on so many examples of each digit; in 16 bits, as shipped."""
    model = tl.fit(tl.RawCNN(seed=0), tl.digits(shots, 0), epochs=100, lr=1e-2, progress=False).model
    return model.half().float()


def packed(numbers: np.ndarray, size: int = 2) -> bytes:
    """Numbers as floats of 2 or 4 bytes, gzipped: first the highest bytes of all, then the next, which so take less room."""
    columns = np.ascontiguousarray(numbers, dtype=f"<f{size}").view(np.uint8).reshape(-1, size)
    return gzip.compress(columns[:, ::-1].T.tobytes(), mtime=0)


def write_network(model: nn.Module, into: Path, name: str) -> dict:
    """A network up to its head, as NAME.onnx and NAME.weights.gz; returns what it takes to feed it.

    Weights that are 16-bit floats already stay what they are. Others are multiplied by batch norms, which halves the time.
    """
    wanted = input_of(model)
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    short = all(torch.equal(value, value.half().float()) for value in floats)
    options = {"dynamo": True, "optimize": not short, "external_data": False, "verbose": False}
    program = torch.onnx.export(Body(model).eval(), (torch.zeros(1, *wanted.size),), **options)
    graph = program.model_proto
    for node in graph.graph.node:
        del node.metadata_props[:]  # where in torch's code it comes from
    with tempfile.TemporaryDirectory() as folder:
        options = {"all_tensors_to_one_file": True, "location": "weights", "size_threshold": 1024}
        onnx.save_model(graph, f"{folder}/graph.onnx", save_as_external_data=True, **options)
        weights = np.fromfile(f"{folder}/weights", dtype=np.float32)
        assert not short or (weights == weights.astype(np.float16)).all()
        shutil.copy(f"{folder}/graph.onnx", into / f"{name}.onnx")
    (into / f"{name}.weights.gz").write_bytes(packed(weights, 2 if short else 4))
    return {**dataclasses.asdict(wanted), "bytes": 2 if short else 4}


def write_features(model: nn.Module, task: tl.Task, into: Path, name: str) -> None:
    features = tl.features(model, task, progress=False)
    for part in ("train", "test"):
        (into / f"{name}.{part}.gz").write_bytes(packed(getattr(features, part).x.numpy()))


def write_runtime(into: Path) -> None:
    """onnxruntime-web, as npm has it; kept for the next build."""
    name, version = RUNTIME
    kept = platformdirs.user_cache_path("tl_helpers_site") / f"{name}-{version}.tgz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit(
                "The live page needs npm, which fetches its runtime: install it, with apt-get install npm, say."
            )
        subprocess.run(
            [npm, "pack", f"{name}@{version}", "--silent"], cwd=kept.parent, check=True, stdout=subprocess.DEVNULL
        )
    with tarfile.open(kept) as archive:
        module, glue, compiled = (
            archive.extractfile(f"package/dist/{name}").read()
            for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        )
    (into / "ort.mjs").write_bytes(re.sub(rb"//# sourceMappingURL=\S+", b"", module))
    (into / "ort-wasm-simd-threaded.mjs").write_bytes(glue)
    (into / "ort.wasm.gz").write_bytes(gzip.compress(compiled, mtime=0))
    package = Path(importlib.util.find_spec("onnxruntime").origin).parent  # the same for Python; npm's has no texts
    for text in ("LICENSE", "ThirdPartyNotices"):
        (found,) = package.glob(f"{text}*")
        shutil.copy(found, into / f"ort.{text}.txt")


def write_show(into: Path) -> dict:
    """What the camera's half loads, and the constants that it needs."""
    body = tl.backbone(LITE0[0])
    others = elsewhere(body).numpy()
    (into / "elsewhere.gz").write_bytes(packed(others, 4))
    wanted = write_network(body, into, "photographs")
    licence = metadata.distribution(PACKAGE).read_text("LICENSE")
    (into / "photographs.LICENSE.txt").write_text(licence, encoding="utf-8")
    return {"name": LITE0[0], "input": wanted, "width": others.shape[1], "classes": CLASSES, "folds": FOLDS}


def build(site: Path) -> None:
    """Write try.html and what it loads into the folder of a built site."""
    into = site / "live"
    into.mkdir()
    for path in HERE.glob("*.[jc]s*"):
        shutil.copy(path, into)
    widgets = Path(drawing.__file__).parent
    for ours, name in {"pad.js": "draw.js", "camera.js": "camera.js", "camera.css": "camera.css"}.items():
        shutil.copy(widgets / name, into / ours)
    write_runtime(into)

    task = tl.digits(max(SHOTS), 0)
    letters = tl.backbone(LETTERS)
    inputs = {"letters": write_network(letters, into, "letters")}
    write_features(letters, task, into, "letters")
    for shots in SHOTS:
        few, model = tl.digits(shots, 0), scratch(shots)
        first = torch.cat([task.train.x[digit * max(SHOTS) :][:shots] for digit in range(10)])
        assert torch.equal(few.train.x, first)  # the page takes the first of each digit
        inputs["scratch"] = write_network(model, into, f"scratch-{shots}")
        write_features(model, few, into, f"scratch-{shots}")
    constants = {
        "side": drawing.SIDE,
        "pens": drawing.PENS,
        "classes": task.classes,
        "shots": SHOTS,
        "labels": task.test.y.tolist(),
        "z": float(ndtri(0.975)),
        "inputs": inputs,
        "widths": {"letters": letters.num_features, "scratch": model.num_features},
        "show": write_show(into),
    }
    (into / "constants.json").write_text(json.dumps(constants))
    megabytes = round(sum(path.stat().st_size for path in (*into.glob("photographs.*[xz]"), into / "elsewhere.gz")) / 1e6)
    page = (HERE / "try.html").read_text(encoding="utf-8").replace("{megabytes}", str(megabytes))
    (site / "try.html").write_text(page, encoding="utf-8")
