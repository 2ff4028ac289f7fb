"""What every widget is: controls, one plain function whose figure they change, words, and a still for where nothing runs.

Lesson 00 shows the first.
"""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets

from .. import plots

_shown: dict[str, tuple[str, list]] = {}  # by notebook cell: its last run, and the widgets that this run made


SLIDERS = Path(__file__).with_name("sliders.js").read_text(encoding="utf-8")


class Labels(anywidget.AnyWidget):
    """Seen by nobody: names the sliders of the page for screen readers, those of `interact` too."""

    _esm = SLIDERS + "export default { render() {} };\n"


class Widget(ipywidgets.Box):
    """Controls, and below them the figure that a plain function makes of their values.

    Whatever goes wrong becomes a sentence in `words`; no control stays busy. A stored notebook keeps the first figure, for
    places where nothing runs. When a cell is run again, the widgets of its last run are closed.

    Args:
        show: gets the values of the controls by their names and returns a figure; a ValueError's sentence is shown in its
            place.
        actions: what buttons do, by the words on them: functions that get the same values and return a sentence; then
            `show` is called anew.
        controls: widgets with a `value`, each with a description.
    """

    made = ()  # for one that is refused while it is made, and closed

    def __init__(self, show: Callable[..., plots.Figure], actions: dict[str, Callable[..., str]] | None = None, **controls):
        self.show, self.controls = show, controls
        self.still = show(**self.values)  # what does not fit is said here, at once
        self.words, self.picture = ipywidgets.HTML(), ipywidgets.HTML(_scrolling(self.still.html()))
        for control in controls.values():
            if hasattr(control, "style"):
                control.style.description_width = "initial"
                control.layout.width = control.layout.width or f"{220 + 7 * len(control.description)}px"
            control.observe(self._refresh, "value")
        self.buttons = [self._button(words, action) for words, action in (actions or {}).items()]
        flow = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 16px"}
        bar = ipywidgets.Box([*controls.values(), *self.buttons, Labels()], layout=flow)
        super().__init__([bar, self.words, self.picture], layout={"flex_flow": "column"})
        self.made = _parts(self)
        close_those_of_the_last_run(self)

    @property
    def values(self) -> dict:
        return {name: control.value for name, control in self.controls.items()}

    def say(self, sentence: str) -> None:
        """Put a sentence between controls and figure, where screen readers notice it."""
        self.words.value = f'<div role="status" style="line-height:1.4">{html.escape(sentence)}</div>' if sentence else ""

    def spoken(self, figure: plots.Figure) -> str:
        """What to say of a new figure: the answers of networks, where it shows some."""
        return figure.alt.partition("make of it: ")[2]

    @contextlib.contextmanager
    def _answering(self):
        """Inside the `with` block every error becomes a sentence: one raised from a callback would be seen by nobody."""
        try:
            yield
        except (ValueError, ConnectionError) as sentence:
            self.say(str(sentence))
        except Exception as error:
            self.say(f"This stopped with {type(error).__name__}: {error}")

    def _refresh(self, change=None) -> None:
        picture = ""
        with self._answering():
            figure = self.show(**self.values)
            picture = _scrolling(figure.html(quick=True))
            if change:
                self.say(self.spoken(figure))
        self.picture.value = picture

    def _button(self, words: str, action: Callable[..., str]) -> ipywidgets.Button:
        button = ipywidgets.Button(description=words, layout={"width": "auto"})

        def clicked(_):
            button.disabled, button.description = True, f"{words}: working ..."
            try:
                with self._answering():
                    sentence = action(**self.values)
                    self._refresh()
                    self.say(sentence)
            finally:  # also when stopped by hand
                button.disabled, button.description = False, words

        button.on_click(clicked)
        return button

    def close(self) -> None:
        """Close the controls as well, and let go of networks and data, also where somebody keeps the widget."""
        for part in {*self.made, *_parts(self)}:  # not all that was made need be shown
            part.unobserve_all()
            ipywidgets.Widget.close(part)
        self.show, self.controls, self.buttons, self.made, self.children = None, {}, [], [], ()

    def _repr_mimebundle_(self, **arguments):
        words = "<p>Run this cell to use the controls. The picture that they change:</p>"
        return super()._repr_mimebundle_(**arguments) | {"text/html": words + self.still.html()}


def _scrolling(picture: str) -> str:
    """On a narrow page a wide figure is moved sideways, by keys too, and not made too small to be read."""
    return f'<div tabindex="0" style="overflow-x:auto">{picture}</div>'


def _parts(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and all that it is made of, layouts and styles too."""
    below = [*getattr(widget, "children", ()), *(getattr(widget, name, None) for name in ("layout", "style"))]
    return [widget, *(part for child in below if isinstance(child, ipywidgets.Widget) for part in _parts(child))]


def close_those_of_the_last_run(widget: ipywidgets.Widget) -> None:
    """ipywidgets keeps every widget for ever; a cell that is run again and again would pile up networks and data."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent("shell") if kernel else {}
    cell = parent.get("metadata", {}).get("cellId")
    if not cell:
        return
    run, made = _shown.get(cell, ("", []))
    if run != parent["header"]["msg_id"]:
        for old in made:
            old.close()
        run, made = parent["header"]["msg_id"], []
    _shown[cell] = run, [*made, widget]
