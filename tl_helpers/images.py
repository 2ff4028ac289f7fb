"""Images as a model wants them: opened, resized, augmented. `prepare` is the only place where images are resized.

Lesson 09 opens this file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Files, InputConfig, Split

if TYPE_CHECKING:
    from PIL.Image import Image

READ = frozenset(".jpg .jpeg .jfif .png .gif .bmp .webp .tif .tiff .ppm .pgm".split())


def crop_and_flip(images: Tensor, generator: torch.Generator | None = None, area: float = 0.35) -> Tensor:
    """Vary photographs as one who stands nearer or elsewhere sees them: a part of each, enlarged, and half of them mirrored.

    Args:
        images: float, N x C x H x W, in [0, 1].
        generator: source of the random numbers, on the device of the images; None takes torch's own.
        area: the smallest share of the picture that is kept, above 0 and up to 1.

    Returns: images of the same shape, each cropped in its own way.

    Source: the random resized crops of Szegedy et al. 2015 (https://arxiv.org/abs/1409.4842), drawn for each image.
    """
    kept, shape, x, y, mirror = torch.rand(5, len(images), generator=generator, device=images.device)
    kept, shape = area + (1 - area) * kept, (4 / 3) ** (2 * shape - 1)
    width, height = (kept * shape).sqrt().clamp(max=1), (kept / shape).sqrt().clamp(max=1)
    maps = torch.zeros(len(images), 2, 3, device=images.device)
    maps[:, 0, 0], maps[:, 0, 2] = torch.where(mirror < 0.5, -width, width), (2 * x - 1) * (1 - width)
    maps[:, 1, 1], maps[:, 1, 2] = height, (2 * y - 1) * (1 - height)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def images_below(place: Path) -> tuple[list[Path], Counter]:
    """The images in a folder and in the folders within it, in the order of their names, and the endings of other files."""
    images, others = [], Counter()
    for here, inside, names in os.walk(place):
        inside[:] = sorted(name for name in inside if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            ending = os.path.splitext(name)[1].lower()
            if ending in READ and not name.startswith("."):
                images.append(Path(here, name))
            elif not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                others[ending or "without ending"] += 1
    return images, others


def prepare(split: Split, wanted: InputConfig) -> Tensor:
    """The images of a split as a model wants them, not yet normalised: N x C x H x W.

    Tensors become float32 in [0, 1], photographs uint8, since many of them are large. Grey images become colour ones by
    repeating the channel, colour images grey ones by their luminance.

    Raises:
        ValueError: the images and the model differ in channels, or a file cannot be read.
    """
    channels, *size = wanted.size
    if isinstance(split.x, Files):
        return _read(split.x, wanted)
    pixels = split.x.float() / 255
    if pixels.shape[1] == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif pixels.shape[1] == 3 and channels == 1:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    elif pixels.shape[1] != channels:
        raise ValueError(f"The images have {pixels.shape[1]} channels and the model takes {channels}.")
    if list(pixels.shape[2:]) != size:
        mode = wanted.interpolation if wanted.interpolation in ("bilinear", "bicubic") else "bicubic"
        pixels = F.interpolate(pixels, size, mode=mode, align_corners=False, antialias=True).clamp(0, 1)
    return pixels.contiguous()


def _read(files: Files, wanted: InputConfig) -> Tensor:
    """Photographs by timm's own transform for evaluation, so that a model sees what it was made to see: uint8."""
    from timm.data import create_transform

    channels, *size = wanted.size
    if channels not in (1, 3):
        raise ValueError(f"Photographs have 3 channels (or 1, made grey) and the model takes {channels}.")
    how = {"interpolation": wanted.interpolation, "crop_pct": wanted.crop_pct, "crop_mode": wanted.crop_mode}
    transform = create_transform((3, *size), mean=wanted.mean, normalize=False, **how)
    pixels = torch.empty(len(files), *wanted.size, dtype=torch.uint8)

    def fill(place: int) -> None:
        photograph = open_photograph(files.paths[place])
        pixels[place] = transform(photograph if channels == 3 else photograph.convert("L"))

    in_threads(fill, range(len(files)))
    return pixels


def in_threads(function: Callable, items: Iterable) -> Iterable:
    """[function(item) for item in items] in as many threads as there are cores: PIL decodes and resizes side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def open_photograph(path: str | os.PathLike | BinaryIO) -> Image:
    """The photograph in a file, in RGB and 8 bits, upright as its camera noted; of an animation the first picture.

    What is transparent becomes white; pictures of more than 8 bits are brought to 8.

    Raises:
        ValueError: the file cannot be read as a picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return in_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # PIL's many readers fail in many ways on damaged bytes
        name = shown(path) if isinstance(path, (str, os.PathLike)) else "This file"
        raise ValueError(f"{name} cannot be read as a picture: {_reason(error)}.") from error


def in_rgb(image: Image) -> Image:
    """An image of PIL's as `open_photograph` gives it."""
    from PIL import Image, ImageOps

    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # convert("RGB") would cut at 255
        values = np.asarray(image, dtype=np.float64)
        low, high = (0, 65535) if image.mode.startswith("I;16") else (values.min(), values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def shown(path: str | os.PathLike) -> str:
    """A path as text that can always be printed."""
    return os.fspath(path).encode("utf-8", "replace").decode()


def _reason(error: Exception) -> str:
    """Why a file could not be read, in the fewest words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is empty, or of no format that is known here"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.split("\n")[0].strip(" .") or type(error).__name__
