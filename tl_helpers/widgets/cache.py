"""Answers about networks, kept while nothing changes that they depend on: so a moved control has its picture at once.

No lesson opens this file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType

from torch import nn

from ..data import Files, Split
from ..engine.parts import checksum
from ..models import input_of


def cached(most: int) -> Callable:
    """Keeps the last answers of a function of (model, split, ...), by what these hold and not by which objects they are.

    A network that was changed in place, in whatever way, is asked anew; neither it nor the pictures are kept alive.
    """

    def decorate(function: Callable) -> Callable:
        answers = {}

        @functools.wraps(function)
        def ask(model: nn.Module, split: Split, *more, **named):
            key = (*_contents(model, split), more, *named.items())
            answers[key] = answers.pop(key) if key in answers else function(model, split, *more, **named)
            while len(answers) > most:
                del answers[next(iter(answers))]
            return answers[key]

        return ask

    return decorate


def _contents(model: nn.Module, split: Split) -> tuple:
    """All that decides an answer: kinds and settings of the modules, and checksums; of 20 MB of weights in about 10 ms."""
    kinds, settings = tuple(map(type, model.modules())), [_settings(module) for module in model.modules()]
    paths = split.x if isinstance(split.x, Files) else ()
    files = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
    tensors = [*model.parameters(), *model.buffers(), split.y, *([] if files else [split.x])]
    sums = tuple((values.shape, values.dtype, checksum(values)) for values in tensors)
    return kinds, repr((settings, files, input_of(model))), sums


def _settings(module: nn.Module) -> list:
    kinds, named = (str, int, float, tuple, FunctionType), vars(module).items()
    hooks = [*module._forward_pre_hooks, *module._forward_hooks]  # their numbers, of which torch gives each only once
    return hooks + [(name, value) for name, value in named if name != "training" and isinstance(value, kinds)]
