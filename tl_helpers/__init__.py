"""Helpers of the course on transfer learning: `import tl_helpers as tl`.

Everything is imported when it is first used, so that this import takes no time of its own. Each file of this package imports
only files above it in this list: device, glyphs, data, photos, models, engine, training, features, intervals,
io, pretraining, experiments, plots, widgets, check.
"""

import importlib
import importlib.abc
import importlib.util
import sys
import types

_HOME = {
    "digits": "data",
    "letters": "data",
    "Task": "data",
    "Split": "data",
    "photos": "photos",
    "folder": "photos",
    "crop_and_flip": "photos",
    "RawCNN": "models",
    "backbone": "models",
    "head": "models",
    "freeze": "models",
    "unfreeze": "models",
    "fit": "training",
    "evaluate": "training",
    "predict": "training",
    "features": "features",
    "calibrate": "io",
    "save": "io",
    "load": "io",
    "export": "io",
}
_MODULES = (
    "check",
    "data",
    "device",
    "engine",
    "experiments",
    "glyphs",
    "intervals",
    "io",
    "models",
    "plots",
    "pretraining",
    "training",
    "widgets",
)
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str):
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"tl_helpers has no {name!r}")


def __dir__():
    return sorted(__all__)


class _Package(types.ModuleType):
    """Python binds an imported submodule to its name in the package; `tl.features` and `tl.photos` stay functions."""

    def __setattr__(self, name, value):
        if name in ("features", "photos") and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


class _WhenTimmComes(importlib.abc.MetaPathFinder):
    """Registers the letters backbones as soon as anybody imports timm, so that this package need not import it for that."""

    def find_spec(self, name, path, target=None):
        if name != "timm.models":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def run_and_register(module):
            run(module)
            importlib.import_module(f"{__name__}.models").register()

        spec.loader.exec_module = run_and_register
        return spec


if "timm.models" in sys.modules:
    importlib.import_module(f"{__name__}.models").register()
else:
    sys.meta_path.insert(0, _WhenTimmComes())
