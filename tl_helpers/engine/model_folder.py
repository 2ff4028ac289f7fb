"""The folder of a saved model: what is written into it, read back and checked. Lesson 10 saves a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from textwrap import shorten

import numpy as np
import torch
from torch import Tensor, nn

from ..data import InputConfig, Task
from ..models import RawCNN, backbone, count_parameters, input_of
from ..results import Evaluation
from .lite0 import NAMES as LITE0
from .memory import predict_logits
from .parts import Facts, check_names, classifier, facts_of
from .validate import brief, check_kind, shown
from .weights import LETTERS

FORMAT = 2  # of a saved model; raised when an older version of this file could no longer read a new one
HEAD = 1  # the format of a head in a file of its own
COMES_ALONG = (*LITE0, *(f"{name}.letters" for name in LETTERS))
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


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
    many, names = getattr(classifier(model), "out_features", getattr(model, "num_classes", None)), tuple(map(str, names))
    if many not in (None, len(names)):  # of a network of another library nobody knows it before it has answered
        raise ValueError(f"The model tells {many} classes apart, and there are {len(names)} names.")
    check_names(model, names)
    return Facts(names, facts.temperature, facts.threshold if threshold is None else threshold)


def config_of(model: nn.Module, facts: Facts) -> dict:
    """What it takes besides the weights, as JSON holds it, in the layout of timm's models on the hub."""
    raw = isinstance(model, RawCNN)
    own = dict(getattr(model, "pretrained_cfg", None) or {})
    arguments = own.pop("model_args", None) or {}
    if getattr(model, "drop_rate", 0):  # set by timm.create_model, or later
        arguments = {**arguments, "drop_rate": model.drop_rate}
    arguments = {name: value.item() if isinstance(value, np.generic) else value for name, value in arguments.items()}
    architecture = "RawCNN" if raw else own.pop("architecture", None)
    if architecture is None or not hasattr(model, "num_features"):
        raise ValueError(f"Only RawCNN and timm's models can be saved and exported; this is a {type(model).__name__}.")
    sources = ("url", "file", "hf_hub_id", "hf_hub_filename", "source", "custom_load", "num_classes", "state_dict")
    own = {name: value for name, value in own.items() if value is not None and name not in sources}
    own["input_size"] = tuple(map(int, input_of(model).size))
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


def build(config: dict) -> nn.Module:
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


def card(model: nn.Module, config: dict, task, evaluation: Evaluation | None) -> str:
    """The model card, in Markdown, with the few lines at its head that the Hugging Face hub reads."""
    wanted, kept = input_of(model), config["tl_helpers"]
    sure = "not calibrated, so its probabilities may be too sure"
    sure = f"calibrated, temperature {kept['temperature']:.2f}" if kept["temperature"] else sure
    if threshold := kept["threshold"]:
        least = f"{threshold:.2f}" if threshold < 0.99 else f"{threshold:g}"  # not rounded to 1
        sure += f'; a probability below {least} counts as "I do not know"'
    tag, learned = config["pretrained_cfg"].get("tag"), "not told"
    prepared = f", images prepared as for timm's weights {tag}" if tag else ""
    if isinstance(task, Task):
        counts = zip(task.classes, task.train.y.bincount(minlength=len(task.classes)).tolist())
        counts = ", ".join(f"{name} {n}" for name, n in counts)
        kind = "vectors of training images" if task.train.are_vectors else "training images"  # augmented views count
        learned = f"{task.name}: {len(task.train)} {kind} ({counts})"
    lines = [
        f"**What it is**: {config['architecture']}{prepared}; "
        f"{count_parameters(model)[1]:,} parameters; saved on {time.strftime('%Y-%m-%d')}.",
        f"**It tells apart** {config['num_classes']} classes: {', '.join(config['label_names'])}.",
        f"**Trained on**: {learned}.",
        *([f"**The photographs**: {task.report}."] if isinstance(getattr(task, "report", None), str) else []),
        f"**How well it does**: {evaluation or 'not told'}.",
        f"**Input**: {' x '.join(map(str, wanted.size))} (channels x height x width), pixels in [0, 1], less the mean "
        f"{wanted.mean}, divided by the standard deviation {wanted.std}; resized by {wanted.interpolation} interpolation.",
        f"**How sure it is**: {sure}.",
        "**Limits**: measured on images like those it was trained on, and on no others. It gives one of its classes to any "
        "image at all, also to one that shows none of them.",
    ]
    library = "" if isinstance(model, RawCNN) else "library_name: timm\n"
    head = (
        f"---\n{library}pipeline_tag: image-classification\n---\n# A classifier of {config['num_classes']} kinds of images"
    )
    use = '```python\nimport tl_helpers as tl\n\nmodel = tl.load("this folder")\n```\n'
    return "\n\n".join((head, "\n".join(f"- {line}" for line in lines), use))


def noise(size: Sequence[int]) -> Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(0))


def check_it_comes_back(model: nn.Module, config: dict, weights: dict) -> None:
    try:
        again = build(json.loads(json.dumps(config)))
        again.load_state_dict(weights)
        x = noise(input_of(model).size)
        same = torch.allclose(predict_logits(again, again, x), predict_logits(model, model, x), equal_nan=True)
    except Exception as error:
        words = f"This {config['architecture']} cannot be saved, since it could not be built anew"
        raise ValueError(f"{words}: {shorten(str(error), 300).rstrip('.')}.") from error
    if not same:
        raise ValueError(
            f"This {config['architecture']} cannot be saved: one built anew answers otherwise. Was it changed after it was "
            "made? Give what makes it different to tl.RawCNN or tl.backbone as arguments, which are kept with the model."
        )


def may_be_written(folder: Path) -> bool:
    """Whether the folder is empty, or holds a saved model, whole or broken."""
    names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    ours = any(b'"tl_helpers"' in (folder / name).read_bytes() for name in names & {CONFIG, f"{CONFIG}.new"})
    return ours or names <= {f"{name}.new" for name in (WEIGHTS, CONFIG, CARD)}


def read_folder(folder: Path) -> tuple[dict, bytes]:
    """The config and weights in a folder that belong together, also where `save` was stopped between its last two steps."""
    if not folder.is_dir():
        raise ValueError(f"There is no saved model at {shown(folder)}: it should be a folder that tl.save wrote.")
    configs = []
    for name in (CONFIG, f"{CONFIG}.new"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            configs.append((found, int(found["tl_helpers"]["format"]), str(found["tl_helpers"]["sha256"])))
    if not configs:
        raise ValueError(f"{shown(folder)} holds no saved model: its {CONFIG} is missing, damaged, or not by tl.save.")
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"{shown(folder)} is not whole: it lacks {WEIGHTS}. Copy or save the model again.")
    weights = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    for config, version, expected in configs:
        if version > FORMAT:
            raise ValueError(f"{shown(folder)} was saved by a later version of the course: get it anew, with git pull.")
        if expected == found:
            return config, weights
    raise ValueError(f"{shown(folder / WEIGHTS)} is damaged, or belongs to another {CONFIG}. Copy or save the model again.")


def read_whole(folder: Path) -> Callable[[], nn.Module]:
    """What makes the model that was saved in a folder."""
    from safetensors.torch import load as from_bytes

    config, weights = read_folder(folder)

    def make() -> nn.Module:
        model = build(config)
        model.load_state_dict(from_bytes(weights))
        return model

    return make


def read_head(file: Path) -> Callable[[], nn.Module]:
    """What makes a model of a head that has a file of its own, on the backbone that it was fitted on.

    The site's live page writes it (site/live/files.js): safetensors with "weight" (float32, classes x features) and "bias"
    (float32, classes), and in its metadata, under "tl_helpers", JSON with format, backbone, classes and the crc32 of both.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            kept = json.loads((opened.metadata() or {})["tl_helpers"])
            weights = {name: opened.get_tensor(name) for name in opened.keys()}
        version, name, classes = int(kept["format"]), kept["backbone"], kept["classes"]
        if not isinstance(classes, list):
            raise TypeError("classes")
        crc32 = zlib.crc32(weights["weight"].numpy().tobytes() + weights["bias"].numpy().tobytes())
        if kept.get("crc32", crc32) != crc32:  # the first pages wrote none
            raise ValueError("crc32")
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"There is no saved model at {shown(file)}: it is damaged, or no head that the course's live page wrote "
            "(what tl.save writes is a folder)."
        ) from error
    if version > HEAD:
        raise ValueError(f"{shown(file)} was written by a later version of the course: get it anew, with git pull.")
    if name not in COMES_ALONG:  # others would have to be fetched, and could be anything
        raise ValueError(f"{shown(file)} asks for a backbone that does not come with the course: {brief(name)}.")

    def make() -> nn.Module:
        model = backbone(name, len(classes)).eval()
        classifier(model).load_state_dict(weights)
        model.facts = Facts(tuple(map(str, classes)))
        return model

    return make


class FromPixels(nn.Module):
    """A model from pixels in [0, 1] to probabilities."""

    def __init__(self, model: nn.Module, wanted: InputConfig):
        super().__init__()
        self.model, self.wanted = model, wanted

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(self.wanted.normalise(pixels)).softmax(1)
