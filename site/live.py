"""What the live page is made of: networks as ONNX, the features of the examples, constants, and a runtime from npm.

All numbers come from tl_helpers. tests/test_site.py holds the page's answers against Python's.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnx
import platformdirs
import torch
from scipy.special import ndtri
from torch import Tensor, nn

import tl_helpers as tl
from tl_helpers.engine.parts import before_head
from tl_helpers.models import input_of
from tl_helpers.widgets import drawing

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


def halves(numbers: np.ndarray) -> bytes:
    """Numbers as 16-bit floats, gzipped: first the high bytes of all, then the low ones, which so take less room."""
    pairs = np.ascontiguousarray(numbers, dtype="<f2").view(np.uint8).reshape(-1, 2)
    return gzip.compress(pairs[:, 1].tobytes() + pairs[:, 0].tobytes(), mtime=0)


def write_network(model: nn.Module, into: Path, name: str) -> dict:
    """A network up to its head, as NAME.onnx and NAME.weights.gz; returns what it takes to feed it.

    Its weights are 16-bit floats already, so that nothing is lost; the exporter must not multiply them by batch norms.
    """
    wanted = input_of(model)
    options = {"dynamo": True, "optimize": False, "external_data": False, "verbose": False}
    program = torch.onnx.export(Body(model).eval(), (torch.zeros(1, *wanted.size),), **options)
    graph = program.model_proto
    for node in graph.graph.node:
        del node.metadata_props[:]  # where in torch's code it comes from
    with tempfile.TemporaryDirectory() as folder:
        options = {"all_tensors_to_one_file": True, "location": "weights", "size_threshold": 1024}
        onnx.save_model(graph, f"{folder}/graph.onnx", save_as_external_data=True, **options)
        weights = np.fromfile(f"{folder}/weights", dtype=np.float32)
        assert (weights == weights.astype(np.float16)).all()
        shutil.copy(f"{folder}/graph.onnx", into / f"{name}.onnx")
    (into / f"{name}.weights.gz").write_bytes(halves(weights))
    return {"size": wanted.size, "mean": wanted.mean, "std": wanted.std}


def write_features(model: nn.Module, task: tl.Task, into: Path, name: str) -> None:
    features = tl.features(model, task, progress=False)
    for part in ("train", "test"):
        (into / f"{name}.{part}.gz").write_bytes(halves(getattr(features, part).x.numpy()))


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


def build(site: Path) -> None:
    """Write try.html and what it loads into the folder of a built site."""
    into = site / "live"
    into.mkdir()
    for path in HERE.iterdir():
        shutil.copy(path, site if path.suffix == ".html" else into)
    widgets = Path(drawing.__file__).parent
    shutil.copy(widgets / "draw.js", into / "pad.js")
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
    }
    (into / "constants.json").write_text(json.dumps(constants))
