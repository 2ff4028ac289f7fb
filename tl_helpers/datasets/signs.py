"""Chess signs as if photographed in printed books: a folder of images for who has none at hand. Lesson 10 writes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from ..engine.validate import as_path, check_choice, check_seed, shown

PIECES = {"king": "♔♚", "queen": "♕♛", "rook": "♖♜", "bishop": "♗♝", "knight": "♘♞", "pawn": "♙♟"}
INKS = ((30, 30, 40), (40, 50, 130), (130, 35, 40), (40, 90, 60), (95, 75, 55))
SIDE = 160


def chess_signs(path: str | os.PathLike, seed: int = 0, spoiled: bool = True) -> Path:
    """Write a folder of chess signs, train/ and test/, if there is none yet; about 2 seconds, 4 MB.

    In train/ are 60 images of each of six pieces (of the pawns 30), in test/ 30: JPEG, 160 x 160, half of them white pieces
    and half black, turned, tilted, out of focus, on uneven paper under uneven light. The fonts are those of matplotlib.

    Args:
        path: where; it appears only when it is complete.
        seed: which images.
        spoiled: with the faults of folders that people filled: a file cut short, an empty one, a web page under a picture's
            name, two copies of test images in train/, and three more that were cropped and brightened.

    Returns: the folder.

    Raises:
        ValueError: there is something else of this name, or other chess signs.
    """
    check_seed(seed)
    check_choice("spoiled", spoiled, (True, False))
    folder = as_path(path)
    if folder.exists():
        if all((folder / split / piece).is_dir() for split in ("train", "test") for piece in PIECES):
            _check_same(folder, seed, spoiled)
            return folder
        raise ValueError(f"{folder} is there already and holds no chess signs: give another path.")
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    rng = np.random.default_rng(seed)
    for piece, signs in PIECES.items():
        for split, count in (("train", 30 if piece == "pawn" else 60), ("test", 30)):
            place = half / split / piece
            place.mkdir(parents=True)
            for i in range(count):
                photograph(signs[i % 2], rng).save(place / f"{piece}_{i:02}.jpg", quality=85)
    if spoiled:
        _spoil(half / "train", half / "test")
    return half.rename(folder)


def _check_same(folder: Path, seed: int, spoiled: bool) -> None:
    """Raise a ValueError where a folder holds signs of another seed, or faults that are not wanted. (They may be mended.)"""
    first, wanted = folder / "train" / "king" / "king_00.jpg", photograph(PIECES["king"][0], np.random.default_rng(seed))
    apart = np.abs(np.subtract(Image.open(first), wanted, dtype=float)).mean() if first.exists() else 0
    # Saved as JPEG it is 3 to 6 away from itself, and the signs of other seeds 18 and more.
    if apart > 10 or not spoiled and (folder / "train" / "queen" / "queen_60.jpg").exists():
        raise ValueError(
            f"{shown(folder)} holds chess signs of another seed, or spoiled ones: give another path, or delete it."
        )


def photograph(sign: str, rng: np.random.Generator) -> Image.Image:
    """A character printed on paper and photographed: paper that is not quite white, light from one side, grain."""
    ink = _printed(sign, rng)
    waves = Image.fromarray(rng.uniform(0, 25, (6, 6)).astype(np.float32))
    waves = np.asarray(waves.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[..., None]
    paper = rng.uniform(165, 230) - rng.uniform(0, 1, 3) * [0, 12, 45] + waves
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    across, down, turn, edge = rng.uniform(-1, 1, 4) * [0.35, 0.35, np.pi, 0.6]
    shadow = 1 / (1 + np.exp(-20 * (np.cos(turn) * x + np.sin(turn) * y - edge)))
    light = (0.85 + across * x + down * y) * (1 - rng.choice([0, 0.35]) * shadow)
    picture = (paper * (1 - ink) + rng.choice(INKS) * ink) * light[..., None]
    picture += rng.normal(0, rng.uniform(4, 10), picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def _printed(sign: str, rng: np.random.Generator) -> np.ndarray:
    """How much ink there is at each point, from 0 to 1: turned, in perspective, somewhat out of focus."""
    from matplotlib import get_data_path

    font = rng.choice(["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"])
    face = ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", font), int(rng.integers(90, 140)))
    page = Image.new("L", (SIDE, SIDE))
    middle = tuple(rng.uniform(0.38, 0.62, 2) * SIDE)
    ImageDraw.Draw(page).text(middle, sign, fill=255, font=face, anchor="mm")
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) + rng.uniform(-0.14, 0.14, (4, 2))
    page = page.rotate(rng.uniform(-30, 30))
    page = page.transform(page.size, Image.Transform.QUAD, (corners * SIDE).ravel(), Image.Resampling.BICUBIC)
    page = page.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.2)))
    return np.asarray(page)[..., None] / 255 * rng.uniform(0.6, 1)


def _spoil(train: Path, test: Path) -> None:
    cut = train / "king" / "king_03.jpg"
    cut.write_bytes(cut.read_bytes()[:1500])
    (test / "rook" / "rook_11.jpg").write_bytes(b"")
    (train / "queen" / "queen_60.jpg").write_text("<html>404 Not Found</html>", encoding="utf-8")
    for i in (4, 9):
        shutil.copy(test / "bishop" / f"bishop_{i:02}.jpg", train / "bishop" / f"IMG_{i:04}.jpg")
    for i in (2, 7, 20):
        again = Image.open(test / "knight" / f"knight_{i:02}.jpg").crop((2, 2, 158, 158))
        again = ImageEnhance.Brightness(again).enhance(1.1)
        again.save(train / "knight" / f"IMG_{i:04}.jpg", quality=60)
