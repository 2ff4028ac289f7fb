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
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from textwrap import shorten
from types import NoneType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import InputConfig, Split, Task
from .engine.memory import predict_logits
from .models import Facts, RawCNN, backbone, classifier, count_parameters, facts_of, input_of
from .results import Evaluation
from .training import predict
from .validate import as_path, check_kind, files_in_words, shown

FORMAT = 2  # of a saved model; raised when an older version of this file could no longer read a new one
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def calibrate(model: nn.Module, split: Split, device: str | None = None) -> nn.Module:
    """A copy of a model whose probabilities mean what they say: its logits are divided by one number, the temperature.

    Found is the temperature with the lowest cross-entropy on the split, and the weights of the last layer are divided by
    it, so nothing has to be remembered. The order of the classes stays, and with it the accuracy. The copy's
    `.facts.temperature` says which it was (above 1 the model was too sure of itself); a threshold that was chosen for the
    old probabilities is gone.

    Args:
        split: labelled examples that the model has not learned from: task.val.

    Raises:
        ValueError: the model makes no mistake there, or there are none to make, so that no temperature can be found; or its
            last layer is not linear.

    Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, 2017,
    https://arxiv.org/abs/1706.04599.
    """
    from scipy.optimize import minimize_scalar

    logits = predict(model, split, device).double().clamp_min(1e-45).log()  # up to a constant, which softmax takes out again
    if not (logits.argmax(1) != split.y).any():
        raise ValueError(
            f"Among these {len(split)} examples the model makes no mistake, so they cannot say how sure it may be: "
            "calibrate it on more examples, or on harder ones."
        )
    loss = lambda exponent: F.cross_entropy(logits / math.exp(exponent), split.y).item()
    temperature = math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    model = copy.deepcopy(model)
    last = classifier(model)
    if not isinstance(last, nn.Linear):
        raise ValueError(f"calibrate divides the weights of a last layer that is linear; this is a {type(last).__name__}.")
    with torch.no_grad():
        for weights in last.parameters():
            weights /= temperature
    model.facts = dataclasses.replace(facts_of(model), temperature=temperature, threshold=None)
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

    path, facts = as_path(path), known(model, task, threshold)
    check_kind("evaluation", evaluation, (Evaluation, NoneType), "what tl.evaluate returns")
    with files_in_words(path, "looked into"):
        if path.exists() and not (path.is_dir() and _may_be_written(path)):
            raise ValueError(f"{shown(path)} is something else than a saved model; give the path of a new folder.")
    config = _config(model, facts)
    plain = copy.deepcopy(model).cpu().eval()
    weights = {name: value.contiguous().clone() for name, value in plain.state_dict().items()}
    _check_it_comes_back(plain, config, weights)
    contents = {WEIGHTS: in_bytes(weights, metadata={"format": "pt"})}
    config["tl_helpers"]["sha256"] = hashlib.sha256(contents[WEIGHTS]).hexdigest()
    contents[CONFIG] = json.dumps(config, indent=2).encode()
    contents[CARD] = _card(model, config, task, evaluation).encode("utf-8", "replace")
    with files_in_words(path, "written"):
        path.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            with open(path / f"{name}.new", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        # From the first of these renames on the new model counts: `load` finds its config under either name.
        for name in contents:
            os.replace(path / f"{name}.new", path / name)
    return path


def load(path: str | os.PathLike) -> nn.Module:
    """The model that `save` wrote, on the CPU and ready to use: `tl.predict`, `tl.evaluate` and `tl.fit` take it as it is.

    Its `.facts` say what is known of it: the names of its classes, and the probability below which it does not know, or
    None. All its weights may learn, also those that were frozen when it was saved. Nothing is unpickled, so a model from
    elsewhere cannot run code of its own.

    Raises:
        ValueError: there is no saved model, it is damaged or not whole, or it was written by a later version.
    """
    from safetensors.torch import load as from_bytes

    path = as_path(path)
    with files_in_words(path, "read"):
        config, weights = _read(path)
    try:
        model = _build(config)
        model.load_state_dict(from_bytes(weights))
        model(input_of(model).normalise(torch.zeros(1, *input_of(model).size)))
    except Exception as error:  # a config edited by hand sets off whatever in timm and torch
        why = shorten(str(error), 300).rstrip(".")
        raise ValueError(f"{shown(path)} is no model that can be built here: {why}.") from error
    return model


def export(model: nn.Module, path: str | os.PathLike, task: Task | Sequence[str] | None = None) -> float:
    """Write a model as ONNX, a format that runs without Python, and check that onnxruntime gives the same answers.

    The file's input is "pixels": float32, N x C x H x W, from 0 to 1, in the model's own size; it is normalised inside. Its
    output is "probabilities": float32, N x classes. Names of the classes and how to resize stand in its metadata.

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
        raise ValueError(
            f"{error.name} is missing here; to export, run `pip install onnx onnxscript onnxruntime`."
        ) from error

    path, config = as_path(path), _config(model, known(model, task))
    if not path.name or path.is_dir():
        raise ValueError(f"{shown(path)} is a folder; give the path of a file, NAME.onnx say.")
    wanted = input_of(model)
    whole, pixels = _FromPixels(copy.deepcopy(model).cpu(), wanted).eval(), _noise(wanted.size)
    names = {"input_names": ["pixels"], "output_names": ["probabilities"]}
    any_number = ({0: torch.export.Dim("N", min=1)},)
    try:
        program = torch.onnx.export(whole, (pixels,), dynamo=True, verbose=False, dynamic_shapes=any_number, **names)
    except Exception as error:  # what cannot be exported fails in many ways
        raise ValueError(f"torch cannot export {config['architecture']} to ONNX: {shorten(str(error), 300)}.") from error
    proto = program.model_proto
    facts = {"classes": config["label_names"], **config["pretrained_cfg"]}
    onnx.helper.set_model_props(proto, {name: json.dumps(fact) for name, fact in facts.items()})
    whole_file = proto.SerializeToString()
    session = onnxruntime.InferenceSession(whole_file, providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])
    with files_in_words(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(whole_file)
        os.replace(new, path)
    with torch.no_grad():
        return (found - whole(pixels)).abs().max().item()


class _FromPixels(nn.Module):
    """A model from pixels in [0, 1] to probabilities."""

    def __init__(self, model: nn.Module, wanted: InputConfig):
        super().__init__()
        self.model, self.wanted = model, wanted

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(self.wanted.normalise(pixels)).softmax(1)


def known(model: nn.Module, task: Task | Sequence[str] | None, threshold: float | None = None) -> Facts:
    """What is known of a model, with the classes of the task (or their names) and the threshold, where these are given.

    Raises:
        ValueError: nobody has said which classes it tells apart, or these are not as many; or the threshold is none.
    """
    check_kind("This function", model, nn.Module, "a model; of a run take run.model")
    facts = facts_of(model)
    names = facts.classes if task is None else task.classes if isinstance(task, Task) else task
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError("Say which classes the model tells apart: pass the task, or a list of their names in order.")
    many, names = getattr(classifier(model), "out_features", getattr(model, "num_classes", 0)), tuple(map(str, names))
    if many != len(names):
        raise ValueError(f"The model tells {many} classes apart, and there are {len(names)} names.")
    if names != facts.classes and sorted(names) == sorted(facts.classes):
        raise ValueError(f"The model learned its classes in another order: {', '.join(facts.classes)}.")
    return Facts(names, facts.temperature, facts.threshold if threshold is None else threshold)


def _config(model: nn.Module, facts: Facts) -> dict:
    """What it takes besides the weights, as JSON holds it, in the layout of timm's models on the hub."""
    raw = isinstance(model, RawCNN)
    own = dict(getattr(model, "pretrained_cfg", None) or {})
    arguments = own.pop("model_args", {})
    architecture = "RawCNN" if raw else own.pop("architecture", None)
    if architecture is None:
        raise ValueError(f"Only RawCNN and timm's models can be saved and exported; this is a {type(model).__name__}.")
    sources = ("url", "file", "hf_hub_id", "hf_hub_filename", "source", "custom_load", "num_classes", "state_dict")
    own = {name: value for name, value in own.items() if value is not None and name not in sources}
    own["input_size"] = input_of(model).size
    return {
        "architecture": architecture,
        "num_classes": len(facts.classes),
        "num_features": model.num_features,
        "label_names": facts.classes,
        "model_args": arguments,
        "pretrained_cfg": own,
        "tl_helpers": {
            "format": FORMAT,
            "temperature": facts.temperature,
            "threshold": facts.threshold and float(facts.threshold),
            "versions": {name: metadata.version(name) for name in ("torch", "timm")},
        },
    }


def _build(config: dict) -> nn.Module:
    """The model that a config describes, with random weights."""
    name, classes, arguments = config["architecture"], config["label_names"], config["model_args"]
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in config["pretrained_cfg"].items()}
    if "input_size" not in own:
        raise ValueError("it does not say which input_size it takes")
    if name == "RawCNN":
        model = RawCNN(classes=len(classes), **arguments)
    elif ":" in name:
        raise ValueError(f"{name} is no name of an architecture")
    else:  # naming checkpoint_path here makes one that stands in the config, which timm would unpickle, an error
        model = backbone(name, len(classes), pretrained=False, pretrained_cfg=own, checkpoint_path=None, **arguments)
        own["architecture"] = name
    kept = config["tl_helpers"]
    threshold = kept["unsure" if kept["format"] == 1 else "threshold"]
    model.pretrained_cfg = own | {"model_args": arguments}
    model.facts = Facts(tuple(map(str, classes)), kept["temperature"], threshold)
    return model.eval()


def _card(model: nn.Module, config: dict, task, evaluation: Evaluation | None) -> str:
    """The model card, in Markdown, with the few lines at its head that the Hugging Face hub reads."""
    wanted, kept = input_of(model), config["tl_helpers"]
    sure = f"calibrated, temperature {kept['temperature']:.2f}" if kept["temperature"] else "not calibrated"
    sure += f'; a probability below {kept["threshold"]:.2f} counts as "I do not know"' if kept["threshold"] else ""
    tag = config["pretrained_cfg"].get("tag")
    learned = "not told"
    if isinstance(task, Task):
        counts = task.train.y.bincount(minlength=len(task.classes)).tolist()
        counts = ", ".join(f"{name} {n}" for name, n in zip(task.classes, counts))
        learned = f"{task.name}: {len(task.train)} training images ({counts})"
    lines = [
        f"**What it is**: {config['architecture']}{f', prepared as {tag} weights are' if tag else ''}; "
        f"{count_parameters(model)[1]:,} parameters; saved on {time.strftime('%Y-%m-%d')}.",
        f"**It tells apart** {config['num_classes']} classes: {', '.join(config['label_names'])}.",
        f"**Trained on**: {learned}.",
        f"**How well it does**: {evaluation or 'not told'}.",
        f"**Input**: {' x '.join(map(str, wanted.size))} (channels x height x width), pixels in [0, 1], less the mean "
        f"{wanted.mean}, divided by the standard deviation {wanted.std}; resized by {wanted.interpolation} interpolation.",
        f"**How sure it is**: {sure}.",
        "**Limits**: measured on images like those it was trained on, and on no others. It gives one of its classes to any "
        "image at all, also to one that shows none of them.",
    ]
    library = "" if isinstance(model, RawCNN) else "library_name: timm\n"
    head = f"---\n{library}pipeline_tag: image-classification\n---\n"
    use = 'import tl_helpers as tl\n\nmodel = tl.load("this folder")\n'
    text = "\n".join(f"- {line}" for line in lines)
    return f"{head}# A classifier of {config['num_classes']} kinds of images\n\n{text}\n\n```python\n{use}```\n"


def _noise(size: Sequence[int]) -> Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(0))


def _check_it_comes_back(model: nn.Module, config: dict, weights: dict) -> None:
    try:
        again = _build(json.loads(json.dumps(config)))
        again.load_state_dict(weights)
        x = _noise(input_of(model).size)
        same = torch.allclose(predict_logits(again, again, x), predict_logits(model, model, x), equal_nan=True)
    except Exception as error:
        words = f"This {config['architecture']} cannot be saved, since it could not be built anew"
        raise ValueError(f"{words}: {shorten(str(error), 300).rstrip('.')}.") from error
    if not same:
        raise ValueError(
            f"This {config['architecture']} cannot be saved: one built anew answers otherwise. Was it changed after it was "
            "made? Give what makes it different to tl.RawCNN or tl.backbone as arguments, which are kept with the model."
        )


def _may_be_written(folder: Path) -> bool:
    """Whether the folder is empty, or holds a saved model, whole or broken."""
    names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    if names <= {f"{name}.new" for name in (WEIGHTS, CONFIG, CARD)}:
        return True
    configs = [folder / name for name in (CONFIG, f"{CONFIG}.new") if name in names]
    return any(b'"tl_helpers"' in config.read_bytes() for config in configs)


def _read(folder: Path) -> tuple[dict, bytes]:
    """The config and weights in a folder that belong together, also where `save` was stopped between its last two steps."""
    if not folder.is_dir():
        raise ValueError(f"There is no saved model at {shown(folder)}: it should be a folder that tl.save wrote.")
    configs = []
    for name in (CONFIG, f"{CONFIG}.new"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            configs.append((found, int(found["tl_helpers"]["format"]), str(found["tl_helpers"]["sha256"])))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue
    if not configs:
        raise ValueError(f"{shown(folder)} holds no saved model: its {CONFIG} is missing, damaged, or not by tl.save.")
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"{shown(folder)} is not whole: it lacks {WEIGHTS}. Copy or save the model again.")
    weights = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    for config, version, expected in configs:
        if version > FORMAT:
            raise ValueError(
                f"{shown(folder)} was saved by a later version of tl_helpers: get the course anew, with git pull."
            )
        if expected == found:
            return config, weights
    raise ValueError(f"{shown(folder / WEIGHTS)} is damaged, or belongs to another {CONFIG}. Copy or save the model again.")
