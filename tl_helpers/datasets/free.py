"""Three photographs that come with libraries of the set-up and may be shown to anybody. Lessons 04 and 09 show them."""

from __future__ import annotations

from pathlib import Path


def free_photographs() -> dict[str, Path]:
    """The files of three photographs: "china" (a temple), "flower" and "Grace Hopper" (a portrait).

    Source: china.jpg by Daniel Buechele and flower.jpg by "vultilion", both on Flickr under CC BY 2.0, from scikit-learn;
    grace_hopper.jpg, an official portrait by the US Navy (James S. Davis), in the public domain, from matplotlib.
    """
    import matplotlib
    import sklearn

    folder = Path(sklearn.__file__).parent / "datasets" / "images"
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"china": folder / "china.jpg", "flower": folder / "flower.jpg", "Grace Hopper": portrait}
