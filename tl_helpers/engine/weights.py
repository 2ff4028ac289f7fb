"""Pretrained weights: those that come with the course, made known to timm, and those that timm finds elsewhere.

Lesson 04 asks for them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import sys
import warnings
from pathlib import Path

from torch import nn

from ..device import hub_cache, seeded
from . import lite0

PREFETCH = "python -m tl_helpers prefetch --only"  # gets weights or photographs, once
DATA = Path(__file__).resolve().parent.parent.parent / "data"

# The backbones that the course pretrained on letters. Those that are no plain timm architecture are variants of one: strides
# and patches made for 224 pixels leave too little of 32.
LETTERS = {  # our architecture: the timm architecture it comes from
    "resnet10t": "resnet10t",
    "mobilenetv3_small_050_s1": "mobilenetv3_small_050",
    "convnext_atto_p2": "convnext_atto",
}
default_cfgs = {}  # filled by `register`; timm looks for the configurations of a module's architectures under this name


def mobilenetv3_small_050_s1(pretrained=False, **arguments):
    """timm's mobilenetv3_small_050 with a first convolution of stride 1."""
    import timm

    arguments["pretrained_cfg"] = _config("mobilenetv3_small_050_s1", arguments.get("pretrained_cfg"))
    model = timm.models.mobilenetv3_small_050(pretrained, **arguments)
    model.conv_stem.stride = (1, 1)
    return model


def convnext_atto_p2(pretrained=False, **arguments):
    """timm's convnext_atto with patches of 2 x 2 pixels in place of 4 x 4."""
    import timm

    arguments["pretrained_cfg"] = _config("convnext_atto_p2", arguments.get("pretrained_cfg"))
    return timm.models.convnext_atto(pretrained, **{"patch_size": 2, **arguments})


def _config(name: str, given) -> dict:
    """The configuration of our own weights: timm would look for their tag under the name of the architecture varied."""
    import timm

    if given is not None and not isinstance(given, str):  # a whole configuration, as that of a saved model
        return given
    return timm.get_pretrained_cfg(f"{name}.letters").to_dict()


@functools.cache
def register() -> None:
    """Make `NAME.letters` known to timm, for every backbone in LETTERS; `tl.backbone` does it by itself.

    Afterwards `timm.list_pretrained` lists them, and `timm.create_model` finds their weights in a local file.
    """
    import timm
    from timm.models import generate_default_cfgs, register_model

    ours = {"tag": "letters", "url": "", "hf_hub_id": None, "custom_load": False, "num_classes": 172, "license": "mit"}
    ours |= {"input_size": (1, 32, 32), "mean": (0.5,), "std": (0.5,), "interpolation": "bicubic", "crop_pct": 1.0}
    for name, base in LETTERS.items():
        file = str(DATA / f"{name}.letters.safetensors")
        config = dataclasses.replace(timm.get_pretrained_cfg(base), architecture=name, file=file, **ours)
        if name == base:  # timm's own architecture, whose own weights stay what its bare name means
            known = sys.modules[getattr(timm.models, name).__module__].default_cfgs[name]
            known.tags.append("letters")
            known.cfgs["letters"] = config
        else:
            default_cfgs.update(generate_default_cfgs({f"{name}.letters": config}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own were registered before, without our tag
        varied = {function.__name__: function for function in (mobilenetv3_small_050_s1, convnext_atto_p2)}
        for name in LETTERS:
            register_model(varied.get(name) or getattr(timm.models, name))


def check_name(name: str, pretrained: bool = True) -> None:
    """Raise a ValueError for the name of a model that timm does not have, or, if they are wanted, has no weights of."""
    import timm

    register()
    if ":" in name:  # "hf-hub:..." and the like are found elsewhere than in timm's own list
        return
    tagged = timm.list_pretrained()
    if not timm.is_model(name) or "." in name and name not in tagged:
        near = difflib.get_close_matches(name, timm.list_models() + tagged, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"timm has no model {name!r}.{hint}")
    if pretrained and not timm.models.is_model_pretrained(name):
        raise ValueError(f"timm has no pretrained weights for {name!r}; pass pretrained=False for random ones.")


def create(name: str, arguments: dict, **more) -> nn.Module:
    """`timm.create_model`, which may say in words that it knows no such arguments.

    Raises:
        ValueError: it knows no such arguments, or what they make is no classifier.
        ConnectionError: what the name stands for is not on this machine and cannot be fetched.
    """
    import timm

    try:
        model = timm.create_model(name, **more | arguments)
    except (TypeError, AssertionError, AttributeError, KeyError) as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ValueError(f"timm cannot make {name!r} with {arguments}: {what}.") from error
    except OSError as error:
        if ":" not in name:
            raise
        raise ConnectionError(f"What {name!r} is, is not on this machine and could not be fetched: {error}") from error
    if not hasattr(model, "reset_classifier"):
        raise ValueError(f"With {arguments} {name!r} is no classifier: leave out what makes it another kind of network.")
    return model


@seeded(0)  # timm draws weights before it loads others over them
def create_pretrained(name: str, arguments: dict) -> nn.Module:
    """The model with its weights and the head that belongs to them, since timm loads strictly into nothing else.

    Raises:
        ValueError: the weights are damaged, or do not fit what the arguments make of the architecture.
        ConnectionError: they are not on this machine and cannot be fetched.
    """
    from safetensors import SafetensorError

    more = {"cache_dir": hub_cache()} if hub_cache() else {}
    try:
        own = {"pretrained_cfg", "pretrained_cfg_overlay"} & set(arguments)
        if name in lite0.NAMES and not own and (file := lite0.packaged_file()):
            model = create(name, arguments)
            model.load_state_dict(lite0.packaged(model, file))
            return model
        kept = None if own else weights_file(name, arguments.get("cache_dir", hub_cache()))
        if kept:  # else timm asks the network first
            more["pretrained_cfg_overlay"] = {"file": kept}
        return create(name, arguments, pretrained=True, **more)
    except SafetensorError as error:
        anew = f"Run `{PREFETCH} {name}` to get it anew."
        if name.endswith(".letters"):
            anew = "It came with the course, in data/: get it anew there, with `git checkout data` for example."
        raise ValueError(f"The file with the weights of {name!r} is damaged ({error}). {anew}") from error
    except Exception as error:
        if isinstance(error, RuntimeError) and "loading state_dict" in str(error):
            with_them = f" with {arguments}" if arguments else ""
            raise ValueError(
                f"The weights of {name!r} do not fit the architecture{with_them}: leave out what changes its layers, or "
                "pass pretrained=False for random weights."
            ) from error
        if re.search("weights.only", str(error), re.I):
            raise ValueError(
                f"The file with the weights of {name!r} is not opened, since it holds more than numbers and could run code: "
                "take weights in the safetensors format."
            ) from error
        # What the hub's client raises where the network fails: one of these two, or its own client's.
        if not isinstance(error, (OSError, RuntimeError)) and not type(error).__module__.startswith("httpx"):
            raise
        raise ConnectionError(
            f"The weights of {name!r} are not on this machine and could not be fetched. Run `{PREFETCH} {name}` once "
            "with a network (they are kept afterwards), or go on with 'resnet10t.letters', which comes with the course."
        ) from error


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
