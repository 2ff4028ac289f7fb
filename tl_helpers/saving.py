"""How to use what was learned: calibrate it, save it, load it, export it.

Lesson 10 opens this file. A saved model is a folder with three files: `model.safetensors`, the weights; `config.json`, what
else it takes to use them; and `README.md`, a card for people. They are laid out as the Hugging Face hub and timm lay theirs
out, so that `timm.create_model("local-dir:FOLDER", pretrained=True)` reads one too, unless it is a RawCNN.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from .data import Split, Task
from .engine import model_folder
from .engine.examples import check_order
from .engine.parts import check_outputs, classifier, facts_of, no_nan, uncompiled
from .engine.validate import as_path, check_kind, files_in_words, shown
from .models import input_of
from .results import Evaluation
from .training import scores


def calibrate(model: nn.Module, split: Split, device: str | None = None) -> nn.Module:
    """A copy of a model whose probabilities mean what they say: its logits are divided by one number, the temperature.

    It is the one with the lowest cross-entropy on the split (`.facts.temperature`; above 1 the model was too sure), and the
    weights of the last layer are divided by it. The order of the classes stays, and with it the accuracy; a threshold that
    was chosen for the old probabilities is gone.

    Args:
        split: labelled examples that the model has not learned from: task.val.

    Raises:
        ValueError: the model makes no mistake there, or hardly anything else, so that no temperature can be found; or its
            last layer is not linear.

    Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, 2017,
    https://arxiv.org/abs/1706.04599.
    """
    from scipy.optimize import minimize_scalar

    check_kind("calibrate", model, nn.Module, "a model first; of a run take run.model")
    check_kind("calibrate", split, Split, "a split, as task.val is one")
    check_order("The model", facts_of(model).classes, split.classes)
    check_outputs(model, split)
    logits = no_nan(scores(model, split, device)).double()
    if not logits.isfinite().all():  # a logarithm of 0: how sure the model was is lost
        raise ValueError("The model gives classes a probability of exactly 0: let it return logits or log_softmax instead.")
    if not isinstance(last := classifier(model), nn.Linear) or is_parametrized(last):
        raise ValueError(f"calibrate divides the weights of a last layer that is linear; this is a {type(last).__name__}.")
    if (logits.argmax(1) == split.y).all():
        raise ValueError(
            f"Among these {len(split)} examples the model makes no mistake, so they cannot say how sure it may be: "
            "calibrate it on more examples, or on harder ones."
        )
    spread = max(logits.std(1).mean().item(), 1e-9)  # of a model trained for long, thousands
    loss = lambda exponent: F.cross_entropy(logits / spread / math.exp(exponent), split.y).item()
    exponent = minimize_scalar(loss, bounds=(-7, 7), method="bounded").x
    if exponent > 6.9:
        raise ValueError(f"Of these {len(split)} examples the model names so few rightly that no temperature helps it.")
    temperature = spread * math.exp(exponent)
    model = copy.deepcopy(model)
    with torch.no_grad():
        for weights in classifier(model).parameters():
            weights /= temperature
    known = facts_of(model)  # of one that is calibrated already, with what its weights were divided by before
    model.facts = dataclasses.replace(known, temperature=temperature * (known.temperature or 1), threshold=None)
    return model


def save(
    model: nn.Module,
    path: str | os.PathLike,
    task: Task | Sequence[str] | None = None,
    *,
    evaluation: Evaluation | None = None,
    threshold: float | None = None,
) -> Path:
    """Write a model into a folder of its own, with all that `load` needs to give it back.

    Files of other names in the folder stay. A model saved there before stays until the new one is whole on the disk.

    Args:
        model: RawCNN or a timm model, with a head; of a run, run.model.
        path: the folder, new, empty, or one written by `save` before.
        task: what it learned, or the names of its classes in order; not needed for a model from `fit` or `load`.
        evaluation: how well it does, from `tl.evaluate`, for the model card.
        threshold: the probability below which an answer is to count as "I don't know", kept with the model; None for the one
            that it was loaded with, if any.

    Returns: the folder.

    Raises:
        ValueError: the folder holds something else, or the model cannot be built anew from what is known of it.
    """
    from safetensors.torch import save as in_bytes

    path, facts, model = as_path(path), model_folder.known(model, task, threshold), uncompiled(model)
    check_kind("evaluation", evaluation, (Evaluation, type(None)), "what tl.evaluate returns")
    with files_in_words(path, "looked into"):
        if path.exists() and not (path.is_dir() and model_folder.may_be_written(path)):
            raise ValueError(f"{shown(path)} is something else than a saved model; give the path of a new folder.")
    config = model_folder.config_of(model, facts)
    plain = copy.deepcopy(model).cpu().eval()
    weights = {name: value.contiguous().clone() for name, value in plain.state_dict().items()}
    model_folder.check_it_comes_back(plain, config, weights)
    contents = {model_folder.WEIGHTS: in_bytes(weights, metadata={"format": "pt"})}
    config["tl_helpers"]["sha256"] = hashlib.sha256(contents[model_folder.WEIGHTS]).hexdigest()
    contents[model_folder.CONFIG] = json.dumps(config, indent=2).encode()
    contents[model_folder.CARD] = model_folder.card(model, config, task, evaluation).encode("utf-8", "replace")
    with files_in_words(path, "written"):
        path.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            _write_new(path / name, data)
        # From the first of these renames on the new model counts: `load` finds its config under either name.
        for name in contents:
            os.replace(path / f"{name}.new", path / name)
    return path


def load(path: str | os.PathLike) -> nn.Module:
    """The model that `save` wrote, on the CPU and ready to use: `tl.predict`, `tl.evaluate` and `tl.fit` take it as it is.

    A head that the live page of the course's site wrote into a file is set onto the backbone that it was fitted on.

    Its `.facts` say what is known of it: the names of its classes, and the probability below which it does not know, or
    None. All its weights may learn, also those that were frozen when it was saved. Nothing is unpickled, so a model from
    elsewhere cannot run code of its own.

    Raises:
        ValueError: there is no saved model, it is damaged or not whole, or it was written by a later version.
    """
    path = as_path(path)
    with files_in_words(path, "read"):
        make = model_folder.read_head(path) if path.is_file() else model_folder.read_whole(path)
    try:
        model = make()
        model(input_of(model).normalise(torch.zeros(1, *input_of(model).size)))
    except Exception as error:  # a config edited by hand sets off whatever in timm and torch
        why = shorten(str(error), 300).rstrip(".")
        raise ValueError(f"{shown(path)} is no model that can be built here: {why}.") from error
    return model


def export(model: nn.Module, path: str | os.PathLike, task: Task | Sequence[str] | None = None) -> float:
    """Write a model as ONNX, a format that runs without Python, and check that onnxruntime gives the same answers.

    The file's input is "pixels": float32, N x C x H x W, from 0 to 1, in the model's own size; it is normalised inside. Its
    output is "probabilities": float32, N x classes. Names of the classes, the threshold and how to resize stand in its
    metadata.

    Args:
        model: any model that `save` takes; it may have been loaded.
        path: where to write, usually NAME.onnx.
        task: as for `save`.

    Returns: the largest difference between a probability from torch and one from onnxruntime, over a few random images.

    Raises:
        ValueError: the packages onnx, onnxscript and onnxruntime are missing, or torch cannot export this model.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        words = "is missing here; to export, run `uv sync`, or `pip install onnx onnxscript onnxruntime`."
        raise ValueError(f"{error.name} {words}") from error

    path, config = as_path(path), model_folder.config_of(uncompiled(model), model_folder.known(model, task))
    if not path.name or path.is_dir():
        raise ValueError(f"{shown(path)} is a folder; give the path of a file, NAME.onnx say.")
    wanted = input_of(model)
    whole, pixels = model_folder.FromPixels(copy.deepcopy(model).cpu(), wanted).eval(), model_folder.noise(wanted.size)
    names = {"input_names": ["pixels"], "output_names": ["probabilities"]}
    any_number = ({0: torch.export.Dim("N", min=1)},)
    try:
        program = torch.onnx.export(whole, (pixels,), dynamo=True, verbose=False, dynamic_shapes=any_number, **names)
    except Exception as error:  # what cannot be exported fails in many ways
        raise ValueError(f"torch cannot export {config['architecture']} to ONNX: {shorten(str(error), 300)}.") from error
    proto = program.model_proto
    facts = {"classes": config["label_names"], "threshold": config["tl_helpers"]["threshold"], **config["pretrained_cfg"]}
    onnx.helper.set_model_props(proto, {name: json.dumps(fact) for name, fact in facts.items()})
    whole_file = proto.SerializeToString()
    session = onnxruntime.InferenceSession(whole_file, providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])
    with files_in_words(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, whole_file)
        os.replace(f"{path}.new", path)
    with torch.no_grad():
        return (found - whole(pixels)).abs().max().item()


def _write_new(path: Path, data: bytes) -> None:
    """Write a file beside the path, whole and on the disk, that `os.replace` then moves to it."""
    with open(f"{path}.new", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
