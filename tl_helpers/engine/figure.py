"""A figure that shows itself, with words for who cannot see it. Every lesson from 00 on shows some."""

from __future__ import annotations

import base64
import html
import io

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself in a notebook with an alternative text; `alt` is that text.

    It belongs to no pyplot window, so nothing stays open when the cell is run again.
    """

    alt = ""

    def __init__(self, width: float = 7.0, height: float = 3.0):
        super().__init__(figsize=(width, height), dpi=120, layout="constrained")

    def axes_of(self, *args, **kwargs):
        """`subplots` in the style of the course."""
        axes = self.subplots(*args, **kwargs)
        for axis in np.ravel(axes):
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.25)
        return axes

    def sheet(self):
        """One axis over all of the figure, in inches from its top left corner: many axes would take long to draw."""
        self.set_layout_engine("none")
        axis = self.add_axes((0, 0, 1, 1))
        axis.axis("off")
        axis.set(xlim=(0, self.get_figwidth()), ylim=(self.get_figheight(), 0))
        return axis

    def part(self, left: float, top: float, width: float, height: float):
        """An axis in the style of the course at this place, in inches, beside or over a `sheet`."""
        full_width, full_height = self.get_size_inches()
        bottom = full_height - top - height
        axis = self.add_axes((left / full_width, bottom / full_height, width / full_width, height / full_height))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        return axis

    def draw(self, renderer) -> None:
        """As of matplotlib; but a name with two dollars stays one, where matplotlib would set mathematics between them."""
        texts = [*self.texts]
        for axis in self.axes:
            texts += [axis.title, *axis.texts, *(axis.get_legend().texts if axis.get_legend() else ())]
            if axis.axison:  # else to ask for its ticks would make them, which takes 10 ms
                texts += [axis.xaxis.label, axis.yaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels()]
        for text in texts:
            if "$" in text.get_text() and "mathdefault" not in text.get_text():  # as on a logarithmic axis
                text.set_parse_math(False)
        super().draw(renderer)

    def pixels(self) -> np.ndarray:
        """The figure as an image, uint8, height x width x 3, 120 dots to the inch."""
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        dots = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
        return np.asarray(dots.convert("RGB"))

    def html(self, quick: bool = False) -> str:
        """The figure as an image of a web page, its alternative text with it; quick takes a third of the time off: letters
        without hints, and WebP in place of PNG (which every program reads that opens a stored notebook).
        """
        file, kind = io.BytesIO(), "webp" if quick else "png"
        how = {"lossless": True, "quality": 0, "method": 0} if quick else {}
        with matplotlib.rc_context({"text.hinting": "none"} if quick else {}):
            Image.fromarray(self.pixels()).save(file, kind, **how)
        picture = base64.b64encode(file.getvalue()).decode()
        width = round(self.get_figwidth() * 96)
        least = min(width, 560)  # still read, and no wider than the outputs of a window of 768 pixels
        style = f"width:{width}px;max-width:100%;min-width:{least}px;background:white"
        return f'<img alt="{html.escape(self.alt)}" style="{style}" src="data:image/{kind};base64,{picture}">'

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self.html()))
