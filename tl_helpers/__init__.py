"""Helpers of the course on transfer learning: `import tl_helpers as tl`. Lesson 00 imports them.

Everything is imported when it is first used, so that this import takes no time of its own. The files beside this one are
the ground floor, to be read in an afternoon: device, glyphs, data, images, models, results, plots, runs, training,
extraction, saving. `engine/` has what the training loop need not show; upstairs are datasets/, course/ and widgets/.
"""

import importlib

__version__ = "0.2.0"  # the one place: pyproject.toml reads it here

_PLACES = {
    "course.doctor": ("doctor",),
    "data": ("Split", "Task", "digits", "letters"),
    "datasets.folders": ("folder",),
    "datasets.imagenet": ("imagenet",),
    "datasets.photos": ("photos",),
    "extraction": ("features",),
    "images": ("crop_and_flip",),
    "models": ("RawCNN", "backbone", "freeze", "head", "unfreeze"),
    "saving": ("calibrate", "export", "load", "save"),
    "training": ("evaluate", "fit", "predict"),
}
_FUNCTIONS = {name: place for place, names in _PLACES.items() for name in names}
_MODULES = {name: name for name in "data device glyphs images models plots results saving training widgets".split()}
_MODULES |= {name: f"course.{name}" for name in ("diagrams", "experiments", "pretraining")} | {"check": "course.checks"}
__all__ = sorted([*_FUNCTIONS, *_MODULES])


def __getattr__(name: str):
    if name in _FUNCTIONS:
        value = getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    else:
        raise AttributeError(f"tl_helpers has no {name!r}")
    globals()[name] = value  # found at once the next time
    return value


def __dir__():
    return __all__
