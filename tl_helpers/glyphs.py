"""Letters as source data: drawn from matplotlib's fonts, then bent, thickened and blurred. Lesson 04 opens this file.

The course pretrains its backbones on these letters and moves them to handwritten digits, so no digit is ever drawn here.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .engine.validate import brief, check_choice, check_number

ALPHABETS = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω",
    "cyrillic": "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄЇҐабвгдеёжзийклмнопрстуфхцчшщъыьэюяєїґ",
}
FONTS = tuple(
    [f"DejaVuSans{s}" for s in ("", "-Bold", "-Oblique", "-BoldOblique")]
    + [f"DejaVuSansMono{s}" for s in ("", "-Bold", "-Oblique", "-BoldOblique")]
    + [f"DejaVuSerif{s}" for s in ("", "-Bold", "-Italic", "-BoldItalic")]
    + [f"STIXGeneral{s}" for s in ("", "Bol", "Italic", "BolIta")]
)


def masters(size: int = 32) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Every letter in every font, clean.

    Args:
        size: side of the square images in pixels, 4 to 256.

    Returns:
        images: uint8, letters * fonts x 1 x size x size, white (255) on black (0), each letter scaled to fill the frame
            (the digits of scikit-learn fill theirs);
        labels: int64, which letter each image shows;
        names: the letters. Those that look the same in two alphabets (Latin A, Greek Α, Cyrillic А) stay separate
            classes, so no network can reach an accuracy of 1 here.
    """
    check_number("size", size, "a whole number of pixels from 4 to 256", 4, 256, whole=True)
    images, labels, names = _masters(int(size))
    return images.clone(), labels.clone(), names


@functools.lru_cache
def _masters(size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    letters = "".join(ALPHABETS.values())
    images = []
    for letter in letters:
        for font in FONTS:
            face = ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", f"{font}.ttf"), 4 * size)
            canvas = Image.new("L", (12 * size, 12 * size))
            ImageDraw.Draw(canvas).text((4 * size, 4 * size), letter, fill=255, font=face)
            glyph = canvas.crop(canvas.getbbox())
            scale = size / max(glyph.size)
            glyph = glyph.resize([max(1, round(side * scale)) for side in glyph.size], Image.Resampling.LANCZOS)
            frame = Image.new("L", (size, size))
            frame.paste(glyph, ((size - glyph.width) // 2, (size - glyph.height) // 2))
            images.append(np.asarray(frame))
    labels = torch.arange(len(letters)).repeat_interleave(len(FONTS))
    return torch.from_numpy(np.stack(images)).unsqueeze(1), labels, tuple(letters)


def augment(
    images: Tensor, generator: torch.Generator | None = None, strength: float = 1.0, without: str | None = None
) -> Tensor:
    """Vary images as handwriting varies: turned, slanted, scaled, shifted, warped, thicker or thinner, blurred, fainter.

    Args:
        images: float, N x C x H x W, at least 4 x 4 pixels, ink in [0, 1] on a background of 0.
        generator: source of the random numbers, on the device of the images; None takes torch's own.
        strength: from 0 to 2: 1 for making new letters out of printed ones, about .5 for augmenting images that are
            handwritten; from .5 on, a third is made a quarter as sharp and a third half as sharp.
        without: what is left out: "turning" (slanting too) or "thickness"; lesson 12 asks what each teaches.

    Returns: images of the same shape, each bent in its own way.
    """
    check_number("strength", strength, "a number from 0 to 2", 0, 2)
    check_choice("without", without, (None, "turning", "thickness"))
    check_augmentable(images, generator, least=4)
    if not len(images):
        return images
    (n, _, height, width), device = images.shape, images.device
    turning, thickness = (strength * (part != without) for part in ("turning", "thickness"))

    def uniform(*shape, low=-1.0, high=1.0):
        return torch.rand(*shape, generator=generator, device=device) * (high - low) + low

    # One affine map for each image, from places in the new image to places in the old one.
    angle, slant = uniform(n) * 0.26 * turning, uniform(n) * 0.35 * turning
    zoom_x, zoom_y = torch.exp(uniform(2, n) * 0.25 * strength) * (1 + 0.1 * strength)
    cos, sin = torch.cos(angle), torch.sin(angle)
    across = torch.stack([zoom_x * cos, zoom_x * (slant * cos - sin), uniform(n) * 0.12 * strength], 1)
    down = torch.stack([zoom_y * sin, zoom_y * (slant * sin + cos), uniform(n) * 0.12 * strength], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), [n, 1, height, width], align_corners=False)
    warp = F.interpolate(uniform(n, 2, 4, 4) * 0.16 * strength, (height, width), mode="bicubic", align_corners=True)
    images = F.grid_sample(images, grid + warp.permute(0, 2, 3, 1), align_corners=False)

    # Thicker, thinner or as it is, by the brightest or darkest neighbour; mixed, so that every thickness occurs.
    thicker, thinner = _brightest(images), -_brightest(-images)
    weight = uniform(n, 1, 1, 1) * thickness
    images = torch.where(weight > 0, images.lerp(thicker, weight.clamp(0, 1)), images.lerp(thinner, -weight.clamp(-1, 0)))

    # Coarser: a third goes through a quarter of the resolution, as a small scan does, a third through half of it.
    parts = torch.randperm(n, generator=generator, device=device).tensor_split(3)
    for part, share in zip(parts[:2], (4, 2)):
        if len(part) and strength >= 0.5:
            small = F.interpolate(images[part], (height // share, width // share), mode="area")
            images[part] = F.interpolate(small, (height, width), mode="bicubic", align_corners=False)

    ink = uniform(n, 1, 1, 1, low=1 - 0.4 * strength, high=1.0)
    return (images.clamp(0, 1) * ink).clamp(0, 1)


def _brightest(images: Tensor) -> Tensor:
    """Each pixel's brightest neighbour or itself: F.max_pool2d(images, 3, 1, 1), on a CPU in a fraction of its time."""
    wide = F.pad(images, (1, 1, 1, 1), value=-torch.inf)
    rows = wide[:, :, :-2].maximum(wide[:, :, 1:-1]).maximum(wide[:, :, 2:])
    return rows[..., :-2].maximum(rows[..., 1:-1]).maximum(rows[..., 2:])


def check_augmentable(images: Tensor, generator: torch.Generator | None, least: int = 1) -> None:
    """Say in plain words what cannot be augmented; the range is looked at on the CPU only: a GPU would wait."""
    if not isinstance(images, Tensor) or images.ndim != 4 or min(images.shape[1:]) < 1 or min(images.shape[2:]) < least:
        what = " x ".join(map(str, images.shape)) if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise ValueError(f"Only images can be augmented, N x C x H x W, at least {least} x {least} pixels; this is {what}.")
    outside = images.dtype != torch.float32
    if not outside and images.device.type == "cpu" and images.numel():
        low, high = images.aminmax()
        outside = not -1e-3 <= low <= high <= 1 + 1e-3
    if outside:
        raise ValueError("Images to augment must be float32 from 0 to 1; of bytes take images / 255.")
    if generator is not None and (not isinstance(generator, torch.Generator) or generator.device.type != images.device.type):
        raise ValueError(f"generator must be None or a torch.Generator on {images.device}; not {brief(generator)}.")
