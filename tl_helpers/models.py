"""What learns: the article's raw CNN, timm backbones (the letters ones among them), heads, freezing, parameter groups.

Lessons 02 to 06 open this file. timm is imported where it is used, since importing it takes longer than importing torch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import InputConfig, Task
from .device import seeded
from .engine.parts import Facts, blocks, check_parts, classifier, keep_frozen_still, spared_by_decay, uncompiled
from .engine.validate import check_choice, check_kind, check_number, check_seed
from .engine.weights import DATA, LETTERS, PREFETCH, check_name, create, create_pretrained, register, weights_file  # noqa: F401

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
        check_number("classes", classes, "a whole number from 1", 1, whole=True)
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("pooling", pooling, POOLINGS)
        check_choice("norm", norm, (None, "batch"))
        check_number("kernel", kernel, "a whole number from 1 to 9, so that two of them fit 28 pixels", 1, 9, whole=True)
        check_number("dropout", dropout, "at least 0 and below 1", 0, math.nextafter(1, 0))
        check_seed(seed)
        swapped = {"activation": activation, "kernel": kernel, "pooling": pooling, "dropout": dropout, "norm": norm}
        self.pretrained_cfg = {**self.pretrained_cfg, "model_args": swapped}  # `save` keeps them
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
        ValueError: timm has no such model, or no such weights of it; or the weights do not fit what the arguments make of
            it; or in_chans is given, since images are brought to the number of channels that a model's configuration names.
        ConnectionError: the weights are not on this machine and cannot be downloaded.

    Weights are kept where Hugging Face's library keeps them, or below TL_HOME if that is set (and HF_HOME is not).
    """
    if "in_chans" in arguments:
        raise ValueError("Leave in_chans out: every model takes grey and colour images here, brought to its own channels.")
    if "num_classes" in arguments:
        raise ValueError("Leave num_classes out: here it is called classes.")
    check_kind("backbone", name, str, "the name of a model, as timm.list_models() gives them")
    check_number("classes", classes, "a whole number from 0", 0, whole=True)
    check_choice("pretrained", pretrained, (True, False))
    check_seed(seed)
    check_name(name, pretrained)
    loaded = create_pretrained(name, arguments).state_dict() if pretrained else {}
    with seeded(seed):
        model = create(name, arguments, num_classes=0)
        model.pretrained_cfg["model_args"] = arguments  # `save` keeps them
        if "img_size" in arguments:  # which timm does not note
            size = arguments["img_size"]
            sides = tuple(size) if isinstance(size, Sequence) else (size, size)
            model.pretrained_cfg["input_size"] = (model.pretrained_cfg["input_size"][0], *sides)
        _new_head(model, 0)  # some architectures have not left out all of it
        if pretrained:
            model.load_state_dict({key: loaded[key] for key in model.state_dict()})
        if classes:  # not before, since some architectures draw a far too large first head
            _new_head(model, classes)
    return model


def input_of(model: nn.Module) -> InputConfig:
    """What a model expects to be fed, from its own `pretrained_cfg`.

    Raises:
        ValueError: it has none, or none that says how large images are and how they are normalised.
    """
    config = getattr(model, "pretrained_cfg", None) or {}
    if not all(config.get(name) for name in ("input_size", "mean", "std")):
        raise ValueError(
            f"{type(model).__name__} does not say which images it takes: give it a dictionary pretrained_cfg with "
            "input_size, mean, std and interpolation, as tl.RawCNN.pretrained_cfg is one."
        )
    size = list(config["input_size"])
    if hasattr(model, "patch_embed") and getattr(model.patch_embed, "img_size", None):
        size[1:] = model.patch_embed.img_size  # a transformer is built for one size, which may be another than its weights'
    how = config.get("interpolation") or "bicubic", config.get("crop_pct") or 1.0, config.get("crop_mode") or "center"
    return InputConfig(tuple(size), tuple(config["mean"]), tuple(config["std"]), *how)


def head(body: nn.Module, task: Task, seed: int = 0) -> nn.Module:
    """A whole classifier for a task: a frozen copy of a backbone and a new linear layer. `body` itself never changes.

    Fitted on `features(body, task)` only the layer runs; on images all of it does. Either way only the layer learns.

    Raises:
        ValueError: the architecture cannot be divided into a backbone and a linear layer, tried on two random images.
    """
    check_kind("head", task, Task, "a task second, as tl.digits() gives one")
    check_seed(seed)
    if not hasattr(body, "reset_classifier"):
        raise ValueError(f"{type(body).__name__} has no head to replace: tl.head takes timm's models and RawCNN.")
    model = copy.deepcopy(body)
    model.facts = Facts(task.classes)
    with seeded(seed):
        _new_head(model, len(task.classes))
    check_parts(body, freeze(model), input_of(body).size)
    return model


def _new_head(model: nn.Module, classes: int) -> None:
    """timm's reset_classifier, which forgets how some architectures were told to pool."""
    pooling = getattr(model, "pretrained_cfg", {}).get("model_args", {}).get("global_pool")
    model.reset_classifier(classes, *([] if pooling is None else [pooling]))
    model.to(next(model.parameters()).device)


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
        if not isinstance(body, nn.Module) or not isinstance(classifier(body), nn.Identity):
            raise ValueError("Heads takes a bare backbone, as tl.backbone(name) gives one.")
        check_kind("Heads", classes, (list, tuple), "a list with the number of classes of each head")
        for number in classes or [0]:
            check_number("The classes of each head", number, "a whole number from 1", 1, whole=True)
        self.body, self.pretrained_cfg = body, body.pretrained_cfg
        with seeded(seed):
            self.heads = nn.ModuleList(nn.Linear(body.head_hidden_size, n) for n in classes)

    def forward(self, x: Tensor) -> Tensor:
        found = self.body(x)
        return torch.cat([head(found).log_softmax(1) for head in self.heads], 1) - math.log(len(self.heads))

    def no_weight_decay(self) -> set[str]:
        return {f"body.{name}" for name in spared_by_decay(self.body)}


def freeze(model: nn.Module) -> nn.Module:
    """Let nothing but the head learn; a bare backbone is frozen whole. Changes the model, and returns it.

    Frozen parts compute the same in training as in evaluation: their batch norms keep their statistics and their dropout
    rests, also after `model.train()`. Setting `requires_grad = False` alone does not do that.
    """
    return unfreeze(model, last=0)


def unfreeze(model: nn.Module, last: int | None = None, norms: bool = True) -> nn.Module:
    """Let the head and the last so many blocks learn, and nothing before them. Changes the model, and returns it.

    Args:
        model: RawCNN or any timm model.
        last: how many blocks, counted from the head; None for all. `blocks` lists them, mostly as timm counts them.
        norms: False to leave the batch norms as they are, weights and statistics, which small batches may spoil.

    Raises:
        ValueError: the model has fewer blocks.
    """
    check_kind("unfreeze", model, nn.Module, "a model; of a run take run.model")
    check_choice("norms", norms, (True, False))
    parts = [] if last is None else blocks(model)
    if last is not None:
        wanted = f"None or a whole number between 0 and {len(parts)}, the number of this model's blocks"
        check_number("last", last, wanted, 0, len(parts), whole=True)
    frozen = {name for part in parts[: len(parts) - (last or 0)] for name in part}
    for name, weights in uncompiled(model).named_parameters():
        weights.requires_grad_(name not in frozen)
    if not norms:
        nn.ModuleList(m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)).requires_grad_(False)
    keep_frozen_still(model)
    return model


def parameter_groups(model: nn.Module, lr: float, weight_decay: float, layer_decay: float | None = None) -> list[dict]:
    """What learns, as an optimizer takes it; on request slower towards the input.

    There is no weight decay on biases, on norms, and on what a model names in `no_weight_decay`, as its position embedding.

    Args:
        layer_decay: the learning rate of each block is this times that of the block after it (discriminative learning
            rates: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146); None for one rate everywhere.
    """
    check_kind("parameter_groups", model, nn.Module, "a model; of a run take run.model")
    check_number("lr", lr, "a learning rate, a number above 0", math.ulp(0))
    check_number("weight_decay", weight_decay, "a number from 0", 0)
    model = uncompiled(model)
    spared = spared_by_decay(model)
    if layer_decay is None:  # what timm.optim.param_groups_weight_decay does; to import timm takes seconds
        groups = [{"params": [], "weight_decay": weight_decay, "lr": lr}, {"params": [], "weight_decay": 0.0, "lr": lr}]
        for name, p in model.named_parameters():
            if p.requires_grad:
                groups[p.ndim <= 1 or name in spared]["params"].append(p)
        return [group for group in groups if group["params"]]
    check_number("layer_decay", layer_decay, "None, or a number above 0 and up to 1", math.ulp(0), 1)
    if not hasattr(model, "get_classifier"):
        raise ValueError(f"layer_decay takes timm's models and RawCNN: nobody knows the blocks of a {type(model).__name__}.")
    from timm.optim import param_groups_layer_decay

    groups = param_groups_layer_decay(model, weight_decay, no_weight_decay_list=spared, layer_decay=layer_decay)
    return [{**group, "lr": lr * group["lr_scale"]} for group in groups]


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters of a model."""
    check_kind("count_parameters", model, nn.Module, "a model; of a run take run.model")
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes)
