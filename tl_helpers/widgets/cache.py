"""Answers about networks, kept while nothing changes that they depend on: so a moved control has its picture at once.

No lesson opens this file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import nn

from ..data import Files, Split
from ..engine.parts import checksum
from ..models import input_of


def cached(most: int, contents: bool = True) -> Callable:
    """Keeps the last answers of a function of (model, split, ...), by what these hold and not by which objects they are.

    contents: the answer depends on the numbers in the network and in the pictures; else only on how the network is built,
    and the function is one of (model, ...).

    A network whose numbers, settings, functions or hooks were changed in place is asked anew. Neither it nor the pictures
    are kept alive, unless one of its functions was replaced by one that holds them.
    """

    def decorate(function: Callable) -> Callable:
        answers = {}

        @functools.wraps(function)
        def ask(model: nn.Module, *given, **named):
            more = (_contents(model, given[0]), *given[1:]) if contents else given
            key = (*_building(model), more, *named.items())
            answers[key] = answers.pop(key) if key in answers else function(model, *given, **named)
            while len(answers) > most:
                del answers[next(iter(answers))]
            return answers[key]

        return ask

    return decorate


def _building(model: nn.Module) -> tuple:
    """How a network is built: names, kinds, settings, functions and hooks of the modules."""
    modules = [*model.modules()]
    settings = [[(name, value) for name, value in vars(module).items() if _is_setting(name, value)] for module in modules]
    # The functions themselves: of one that was let go, another may have the address.
    called = tuple((name, value) for module in modules for name, value in vars(module).items() if callable(value))
    hooks = [[*module._forward_pre_hooks, *module._forward_hooks] for module in modules]  # torch gives each number once
    return (
        tuple((name, type(module)) for name, module in model.named_modules()),
        called,
        repr((settings, hooks, input_of(model))),
    )


def _contents(model: nn.Module, split: Split) -> tuple:
    """Checksums of a network and of pictures; of photographs in files, which they are and when they were changed."""
    paths = split.x if isinstance(split.x, Files) else ()
    files = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    tensors = [*model.parameters(), *model.buffers(), split.y, *([] if files else [split.x])]
    return files, split.prepared, tuple((values.shape, values.dtype, checksum(values)) for values in tensors)


def _is_setting(name: str, value: object) -> bool:
    return name != "training" and isinstance(value, (str, int, float, tuple))
