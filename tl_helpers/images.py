"""Images as a model wants them: opened, resized, augmented. Lesson 09 opens this file.

`prepare` is the only place where images are resized.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Files, InputConfig, Split
from .engine.validate import brief, check_kind, check_number, shown
from .glyphs import check_augmentable

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
    check_number("area", area, "a share of the picture, above 0 and up to 1", 1e-9, 1)
    check_augmentable(images, generator)
    if not len(images):
        return images
    kept, shape, x, y, mirror = torch.rand(5, len(images), generator=generator, device=images.device)
    kept, shape = area + (1 - area) * kept, (4 / 3) ** (2 * shape - 1)
    width, height = (kept * shape).sqrt().clamp(max=1), (kept / shape).sqrt().clamp(max=1)
    across, down = ((torch.arange(n, device=images.device) * 2 + 1) / n - 1 for n in images.shape[:1:-1])  # from -1 to 1
    across = torch.where(mirror < 0.5, -width, width)[:, None] * across + ((2 * x - 1) * (1 - width))[:, None]
    down = height[:, None] * down + ((2 * y - 1) * (1 - height))[:, None]
    grid = torch.stack(torch.broadcast_tensors(across[:, None], down[:, :, None]), 3)  # affine_grid takes ten times as long
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def prepare(split: Split, wanted: InputConfig) -> Tensor:
    """The images of a split as a model wants them, not yet normalised: N x C x H x W, float32 in [0, 1] or uint8.

    Arrays and files are prepared alike, by timm's own transform for evaluation: resized until the shorter side is the
    model's divided by crop_pct, and the middle cut out (or as crop_mode says). Grey is repeated for a colour model, colour
    made grey by its luminance for a grey one. Where nothing is to be cut, a square picture for a square input with a
    crop_pct of 1 as in the small world of digits and letters, it is resized in floats, which PIL would round and clip on the
    way. A tensor of such pictures stays in floats; all else is rounded to uint8. So the same picture as an array and as a
    file (saved without loss) differs by half of 1 / 255 at most.

    Raises:
        ValueError: the split holds vectors, a file cannot be read, or `prepared` images are not of this model's size.
    """
    check_kind("prepare", split, Split, "a split first")
    check_kind("prepare", wanted, InputConfig, "an InputConfig second, as tl.models.input_of(model) gives one")
    channels, height, width = wanted.size
    if split.are_vectors or channels not in (1, 3):
        raise ValueError(f"prepare makes images of 1 or 3 channels from images, not {channels} channels from {split.kind}.")
    if split.prepared and not isinstance(split.x, Files):
        if tuple(split.x.shape[1:]) != (channels, height, width):
            raise ValueError(f"These {split.kind} are prepared for another model than this, of {wanted.size}.")
        return split.x
    whole = height == width and wanted.crop_pct == 1 and wanted.interpolation in ("bilinear", "bicubic")
    if whole and not isinstance(split.x, Files) and split.x.shape[2] == split.x.shape[3]:
        return _resized(split.x.float() / 255, wanted)

    from PIL import Image
    from timm.data import create_transform

    how = {"interpolation": wanted.interpolation, "crop_pct": wanted.crop_pct, "crop_mode": wanted.crop_mode}
    transform = create_transform((3, height, width), mean=wanted.mean, normalize=False, **how)
    pixels = torch.empty(len(split), *wanted.size, dtype=torch.uint8)

    def fill(place: int) -> None:
        if isinstance(split.x, Files):
            image = open_photograph(split.x.paths[place])
        else:
            image = Image.fromarray(split.x[place].permute(1, 2, 0).squeeze(2).numpy())
        if whole and image.width == image.height:
            floats = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
            pixels[place] = (_resized(floats, wanted)[0] * 255).round()
        else:
            pixels[place] = transform(image.convert("L" if channels == 1 else "RGB"))

    in_threads(fill, range(len(split)))
    return pixels


def _resized(pixels: Tensor, wanted: InputConfig) -> Tensor:
    """Square images in floats, N x C x H x W."""
    channels, *size = wanted.size
    if pixels.shape[1] < channels:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif pixels.shape[1] > channels:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    if not len(pixels):
        return pixels.new_zeros(0, *wanted.size)
    if list(pixels.shape[2:]) != size:
        how = {"mode": wanted.interpolation, "align_corners": False, "antialias": True}
        pixels = F.interpolate(pixels, size, **how).clamp(0, 1)
    return pixels.contiguous()


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

    if not isinstance(path, (str, os.PathLike)) and not hasattr(path, "read"):
        raise TypeError(f"A picture is opened from a path or a file; not from {brief(path)}.")
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
    deep = (image.mode, image.format) == ("I", "PPM")  # where Pillow makes 32 bits of 16
    sixteen = deep or image.mode.startswith("I;16")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # convert("RGB") would cut at 255
        values = np.asarray_chkfinite(image, dtype=np.float64)
        low, high = (0, 65535) if sixteen else (values.min(), values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    """Why a file could not be read, in the fewest words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is empty, or of no format that is known here"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.split("\n")[0].strip(" .") or type(error).__name__
