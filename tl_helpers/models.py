"""What learns: the article's raw CNN, timm backbones (the letters ones among them), heads, freezing, parameter groups.

timm is imported where it is used, since importing it takes longer than importing torch.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import math
import numbers
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Files, InputConfig, Split, Task
from .device import hub_cache, seeded

PREFETCH = "python -m tl_helpers prefetch --only"  # gets weights or photographs, once
DATA = Path(__file__).resolve().parent.parent / "data"

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU, "none": nn.Identity}
POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class RawCNN(nn.Module):
    """The small convolutional network of the article, layer for layer; 21,840 parameters with 10 classes.

    Takes grey images of 28 x 28 (float32, N x 1 x 28 x 28) and returns log-probabilities (float32, N x classes). Each
    component can be swapped by an argument. It has the few methods by which timm's models are taken apart, so everything in
    this package that works on a timm model works on it too.

    Args:
        classes: how many classes.
        activation: "relu", "sigmoid", "tanh", "gelu" or "none".
        kernel: side of both convolution kernels, 1 to 9 pixels.
        pooling: "max" or "average".
        dropout: share of the values that dropout silences, from 0 up to (not including) 1.
        norm: None, or "batch" for a batch norm after each convolution.
        seed: which initial weights.

    Raises:
        ValueError: an argument is none of these.

    Source: PyTorch's MNIST example, as shown in "Deep learning made easier with transfer learning" (Cloudera Fast Forward
    Labs, 2018).
    """

    # Mean and standard deviation of the handwritten digits' pixels.
    pretrained_cfg = {"input_size": (1, 28, 28), "mean": (0.3,), "std": (0.37,), "interpolation": "bicubic"}
    num_features = 50

    def __init__(
        self,
        classes: int = 10,
        activation: str = "relu",
        kernel: int = 5,
        pooling: str = "max",
        dropout: float = 0.5,
        norm: str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        _one_of("activation", activation, ACTIVATIONS)
        _one_of("pooling", pooling, POOLINGS)
        _one_of("norm", norm, (None, "batch"))
        if kernel not in range(1, 10):
            raise ValueError(
                f"kernel must be a whole number from 1 to 9, so that two of them fit 28 pixels; not {kernel!r}."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1; not {dropout!r}.")
        self.arguments = {"activation": activation, "kernel": kernel, "pooling": pooling, "dropout": dropout, "norm": norm}
        side = ((28 - kernel + 1) // 2 - kernel + 1) // 2
        with seeded(seed):
            self.conv1 = nn.Conv2d(1, 10, kernel)
            self.norm1 = nn.BatchNorm2d(10) if norm else nn.Identity()
            self.conv2 = nn.Conv2d(10, 20, kernel)
            self.norm2 = nn.BatchNorm2d(20) if norm else nn.Identity()
            self.drop2 = nn.Dropout2d(dropout)
            self.pool = POOLINGS[pooling](2)
            self.act = ACTIVATIONS[activation]()
            self.fc1 = nn.Linear(20 * side * side, self.num_features)
            self.drop = nn.Dropout(dropout)
            self.fc2 = nn.Linear(self.num_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Images N x 1 x 28 x 28 to feature maps N x 20 x 4 x 4."""
        x = self.act(self.pool(self.norm1(self.conv1(x))))
        return self.act(self.pool(self.drop2(self.norm2(self.conv2(x)))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Feature maps to log-probabilities, or with pre_logits to the 50 features of the last hidden layer."""
        x = self.act(self.fc1(x.flatten(1)))
        # log_softmax of log-probabilities is the log-probabilities again: the cross-entropy in `fit` changes nothing here.
        return x if pre_logits else F.log_softmax(self.fc2(self.drop(x)), dim=1)

    def get_classifier(self) -> nn.Module:
        return self.fc2

    def reset_classifier(self, num_classes: int) -> None:
        self.fc2 = nn.Linear(self.num_features, num_classes)

    def group_matcher(self, coarse: bool = False) -> dict:
        return {"stem": r"^conv1|^norm1", "blocks": [(r"^conv2|^norm2", (0,)), (r"^fc1", (1,))]}


def _one_of(name: str, value, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; not {value!r}.")


# The backbones that the course pretrained on letters. Those that are no plain timm architecture are variants of one: strides
# and patches made for 224 pixels leave too little of 32.


def _config(name: str, given) -> dict:
    """The configuration of our own weights: timm would look for their tag under the name of the architecture varied."""
    import timm

    if given is not None and not isinstance(given, str):  # a whole configuration, as that of a saved model
        return given
    return timm.get_pretrained_cfg(f"{name}.letters").to_dict()


def mobilenetv3_small_050_s1(pretrained=False, **kwargs):
    """timm's mobilenetv3_small_050 with a first convolution of stride 1."""
    import timm

    kwargs["pretrained_cfg"] = _config("mobilenetv3_small_050_s1", kwargs.get("pretrained_cfg"))
    model = timm.models.mobilenetv3.mobilenetv3_small_050(pretrained, **kwargs)
    model.conv_stem.stride = (1, 1)
    return model


def convnext_atto_p2(pretrained=False, **kwargs):
    """timm's convnext_atto with patches of 2 x 2 pixels in place of 4 x 4."""
    import timm

    kwargs["pretrained_cfg"] = _config("convnext_atto_p2", kwargs.get("pretrained_cfg"))
    return timm.models.convnext.convnext_atto(pretrained, **{"patch_size": 2, **kwargs})


LETTERS = {  # our architecture: the timm architecture it comes from
    "resnet10t": "resnet10t",
    "mobilenetv3_small_050_s1": "mobilenetv3_small_050",
    "convnext_atto_p2": "convnext_atto",
}


def register() -> None:
    """Make `NAME.letters` a tag of timm's, with our weights as a local file, for every backbone in LETTERS.

    timm has no public call that adds a tag to an architecture, so this writes to the registry's own tables.
    """
    from timm.models import _registry as registry

    for name, base in LETTERS.items():
        if name != base and not registry.is_model(name):
            registry.register_model(globals()[name])
        registry._model_pretrained_cfgs[f"{name}.letters"] = dataclasses.replace(
            registry.get_pretrained_cfg(base),
            architecture=name,
            tag="letters",
            file=str(DATA / f"{name}.letters.safetensors"),
            url="",
            hf_hub_id=None,
            custom_load=False,
            num_classes=172,
            input_size=(1, 32, 32),
            mean=(0.5,),
            std=(0.5,),
            interpolation="bicubic",
            crop_pct=1.0,
            license="mit",
        )
        registry._model_has_pretrained.add(f"{name}.letters")
        if f"{name}.letters" not in registry._model_with_tags[name]:
            registry._model_with_tags[name].append(f"{name}.letters")


def backbone(name: str, classes: int = 0, pretrained: bool = True, seed: int = 0, **arguments) -> nn.Module:
    """A timm model by its name: "resnet10t.letters" comes with the course, "resnet18.tv_in1k" and 1,000 more by download.

    Args:
        name: as `timm.list_models` and `timm.list_pretrained` give it, or "hf-hub:..." for other models on the hub.
        classes: 0 for a bare backbone that returns feature vectors (float32, N x D); above 0 for a whole
            classifier with a new last layer that returns logits (float32, N x classes).
        pretrained: False for random weights: the same architecture from scratch.
        seed: which random weights.
        arguments: passed on to `timm.create_model`.

    Raises:
        ValueError: timm has no such model, or no such weights of it; or in_chans is given, since images are brought to the
            number of channels that a model's own configuration names.
        ConnectionError: the weights are not on this machine and cannot be downloaded.

    Weights are kept where Hugging Face's library keeps them, or below TL_HOME if that is set (and HF_HOME is not).
    """
    import timm
    from safetensors import SafetensorError

    register()
    if "in_chans" in arguments:
        raise ValueError("Leave in_chans out: every model takes grey and colour images here, brought to its own channels.")
    if ":" not in name:  # "hf-hub:..." and the like are found elsewhere than in timm's own list
        tagged = timm.list_pretrained()
        if not timm.is_model(name) or "." in name and name not in tagged:
            near = difflib.get_close_matches(name, timm.list_models() + tagged, n=3)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(f"timm has no model {name!r}.{hint}")
        if pretrained and not timm.models.is_model_pretrained(name):
            raise ValueError(f"timm has no pretrained weights for {name!r}; pass pretrained=False for random ones.")
    where = {"cache_dir": hub_cache(), **arguments} if hub_cache() else arguments
    with seeded(seed):
        try:
            own = not pretrained or {"pretrained_cfg", "pretrained_cfg_overlay"} & set(arguments)
            kept = None if own else weights_file(name, where.get("cache_dir"))
            overlay = {"pretrained_cfg_overlay": {"file": kept}} if kept else {}  # else timm asks the network first
            model = timm.create_model(name, pretrained=pretrained, num_classes=0, **overlay | where)
            if kept:
                model.pretrained_cfg.pop("file", None)
        except SafetensorError as error:
            raise ValueError(
                f"The file with the weights of {name!r} is damaged ({error}). Run `{PREFETCH} {name}` to get it anew."
            ) from error
        except Exception as error:
            # What the hub's client raises where the network fails: one of these two, or its own client's.
            network = isinstance(error, (OSError, RuntimeError)) or type(error).__module__.startswith("httpx")
            if not pretrained or not network or isinstance(error, RuntimeError) and "size mismatch" in str(error):
                raise
            raise ConnectionError(
                f"The weights of {name!r} are not on this machine and could not be fetched. Run `{PREFETCH} {name}` once "
                "with a network (they are kept afterwards), or go on with 'resnet10t.letters', which comes with the course."
            ) from error
        if classes:  # by reset_classifier, since some architectures draw a far too large first head when created with one
            model.reset_classifier(classes)
    model.arguments = arguments  # `save` keeps them
    return model


def reach(address: str) -> None:
    """Say at once that there is no network, where a library would try for a minute.

    Raises:
        ConnectionError: nothing answers at this address.
    """
    import requests

    try:
        requests.head(address, timeout=10)
    except (requests.RequestException, RuntimeError) as error:
        raise ConnectionError(f"{address} does not answer") from error


def weights_file(name: str, cache: str | Path | None = None) -> str | None:
    """Where the weights of a timm model lie in the cache of Hugging Face's library; None if that has to fetch them.

    Raises:
        ConnectionError: they are not there, and there is no network.
    """
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if not config or not config.hf_hub_id or config.custom_load or config.file:
        return None
    found = try_to_load_from_cache(config.hf_hub_id, config.hf_hub_filename or "model.safetensors", cache)
    if isinstance(found, str):
        return found
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    reach(constants.ENDPOINT)
    return None


def input_of(model: nn.Module, split: Split) -> InputConfig:
    """What a model expects to be fed, from its own `pretrained_cfg`. A model that has none takes the images as they are.

    Raises:
        ValueError: the images are photographs, which have no common size, and the model names none either.
    """
    config = getattr(model, "pretrained_cfg", None)
    if not config and isinstance(split.x, Files):
        raise ValueError(
            f"{type(model).__name__} does not say which size it takes, and photographs have many: give it a pretrained_cfg "
            "with input_size, mean, std and interpolation, as tl.RawCNN has one."
        )
    if not config:
        channels = split.x.shape[1]
        return InputConfig(tuple(split.x.shape[1:]), (0.0,) * channels, (1.0,) * channels)
    size = list(config["input_size"])
    if hasattr(model, "patch_embed") and getattr(model.patch_embed, "img_size", None):
        size[1:] = model.patch_embed.img_size  # a transformer is built for one size, which may be another than its weights'
    crop = config.get("crop_pct") or 1.0, config.get("crop_mode") or "center"
    return InputConfig(tuple(size), tuple(config["mean"]), tuple(config["std"]), config["interpolation"], *crop)


def head(body: nn.Module, task: Task, seed: int = 0) -> nn.Module:
    """A whole classifier for a task: a frozen copy of a backbone and a new linear layer. `body` itself never changes.

    Fitted on `features(body, task)` only the layer runs; on images all of it does. Either way only the layer learns.
    """
    if not hasattr(body, "reset_classifier"):
        raise ValueError(f"{type(body).__name__} has no head to replace: tl.head takes timm's models and RawCNN.")
    model = copy.deepcopy(body)
    with seeded(seed):
        model.reset_classifier(len(task.classes))
    return freeze(model.to(next(body.parameters()).device))


class Heads(nn.Module):
    """One body with a head for each of several tasks, for learning them at once (multi-task learning).

    Takes images as the body does and returns the log-probabilities of all heads side by side (float32, N x all classes),
    where each head shares out an equal part. So the cross-entropy of a label is that of its own head plus a constant, and
    `fit` trains all heads on a task of all labels (see `join_tasks`).

    Args:
        body: a bare backbone; it is not copied.
        classes: how many classes each head has.
        seed: of the heads' initial weights.
    """

    def __init__(self, body: nn.Module, classes: Sequence[int], seed: int = 0):
        super().__init__()
        self.body, self.pretrained_cfg = body, body.pretrained_cfg
        with seeded(seed):
            self.heads = nn.ModuleList(nn.Linear(body.num_features, n) for n in classes)

    def forward(self, x: Tensor) -> Tensor:
        found = self.body(x)
        return torch.cat([head(found).log_softmax(1) for head in self.heads], 1) - math.log(len(self.heads))


def classifier(model: nn.Module) -> nn.Module:
    """The last layer: what maps a feature vector to one number for each class."""
    return model.get_classifier() if hasattr(model, "get_classifier") else model


def blocks(model: nn.Module) -> list[list[str]]:
    """The names of a model's parameters, block by block from the input to the last block; the head is in none of them."""
    from timm.models import group_parameters

    groups = group_parameters(model, model.group_matcher(coarse=True))
    last = {id(p) for p in classifier(model).parameters()}
    weights = dict(model.named_parameters())
    bodies = [[name for name in groups[k] if id(weights[name]) not in last] for k in sorted(groups)]
    return [names for names in bodies if names]


def freeze(model: nn.Module) -> nn.Module:
    """Let nothing but the head learn; a bare backbone is frozen whole. Changes the model, and returns it.

    Frozen parts compute the same in training as in evaluation: their batch norms keep their statistics and their dropout
    rests, also after `model.train()`. Setting `requires_grad = False` alone does not do that.
    """
    return unfreeze(model, last=0)


def unfreeze(model: nn.Module, last: int | None = None) -> nn.Module:
    """Let the head and the last so many blocks learn, and nothing before them. Changes the model, and returns it.

    Args:
        model: RawCNN or any timm model.
        last: how many blocks, counted from the head; None for all. What a block is, timm says (`blocks` lists them).

    Raises:
        ValueError: the model has fewer blocks.
    """
    if last is None:
        frozen = set()
    else:
        parts = blocks(model)
        if not 0 <= last <= len(parts):
            raise ValueError(f"last must lie between 0 and {len(parts)}, the number of this model's blocks; not {last!r}.")
        frozen = {name for part in parts[: len(parts) - last] for name in part}
    for name, weights in model.named_parameters():
        weights.requires_grad_(name not in frozen)
    _keep_frozen_parts_still(model)
    return model


class _Still:
    """Mixed into a module's class: `train()` leaves it in evaluation mode."""

    def train(self, mode: bool = True):
        return super().train(False)

    def __reduce_ex__(self, protocol):  # the class is made while running; pickle and torch.save find it again by this
        return _new_still, (type(self).__mro__[2],), self.__dict__


@functools.cache
def _still(kind: type) -> type:
    return type(kind.__name__, (_Still, kind), {"__module__": kind.__module__})


def _new_still(kind: type) -> nn.Module:
    return _still(kind).__new__(_still(kind))


def _keep_frozen_parts_still(module: nn.Module, frozen: bool = False) -> None:
    """Give batch norms and dropouts inside frozen parts a class that stays in evaluation mode, the others their own back.

    timm.utils.freeze swaps the layers for others instead, which drops their weights from the parameters that people count
    and changes the names under which they are saved.
    """
    weights = list(module.parameters())
    frozen = frozen or bool(weights) and not any(p.requires_grad for p in weights)
    if isinstance(module, _Still) and not frozen:
        module.__class__ = type(module).__mro__[2]
        module.train(True)
    moves = isinstance(module, (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd))
    if frozen and (moves or type(module).__name__ == "DropPath") and not isinstance(module, _Still):
        module.__class__ = _still(type(module))
        module.train(False)
    before = frozen
    for child in module.children():
        own = list(child.parameters())
        if own:
            before = not any(p.requires_grad for p in own)
        # What has no weights, as a dropout, goes with the weights before it.
        _keep_frozen_parts_still(child, frozen or before and not own)


def parameter_groups(model: nn.Module, lr: float, weight_decay: float, layer_decay: float | None = None) -> list[dict]:
    """What learns, as an optimizer takes it: no weight decay on biases and norms, and on request slower towards the input.

    Args:
        layer_decay: the learning rate of each block is this times that of the block after it (discriminative learning
            rates: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146); None for one rate everywhere.
    """
    if layer_decay is None:
        learns = [p for p in model.parameters() if p.requires_grad]
        matrices, rest = [p for p in learns if p.ndim > 1], [p for p in learns if p.ndim <= 1]
        groups = ({"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0})
        return [{**group, "lr": lr} for group in groups if group["params"]]
    from timm.optim import param_groups_layer_decay

    groups = param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay)
    return [{**group, "lr": lr * group["lr_scale"]} for group in groups]


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters of a model."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a model besides its weights, as its `.facts`: `fit` and `calibrate` note it, `save` keeps it.

    classes: the names of what it tells apart, in order.
    temperature: what `calibrate` divided its logits by, or None.
    threshold: the probability below which an answer counts as "I don't know", or None.
    """

    classes: tuple[str, ...] = ()
    temperature: float | None = None
    threshold: float | None = None

    def __post_init__(self):
        fits = isinstance(self.threshold, numbers.Real) and 0 <= self.threshold <= 1
        if self.threshold is not None and not fits:
            raise ValueError(f"threshold is a probability, from 0 to 1; not {self.threshold!r}.")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is a number above 0; not {self.temperature!r}.")


def facts_of(model: nn.Module) -> Facts:
    """What is known of a model; of one that has learned nothing here, nothing."""
    return getattr(model, "facts", Facts())
