"""A bar for who waits. No lesson opens this file."""

from __future__ import annotations

import html
import io
import sys
import threading

from tqdm import tqdm


class Progress(tqdm):
    """tqdm's bar, which ends as one line of text, in a terminal or in the output of a notebook's cell.

    tqdm's own bar for notebooks is a widget, of which a stored notebook keeps nothing to read. Where nobody watches (no
    notebook and no terminal) it stays silent.
    """

    monitor_interval = 0  # no thread of its own
    # tqdm's own lock is shared between forks: a process killed while it held it would leave all the others waiting.
    _lock = threading.RLock()

    def __init__(self, total: int, done: int = 0, shown: bool = True):
        self.cell = None
        if shown and "IPython" in sys.modules and hasattr(sys.modules["IPython"].get_ipython(), "kernel"):
            self.cell = sys.modules["IPython"].display.display({"text/plain": ""}, raw=True, display_id=True)
        watched = shown and (self.cell is not None or sys.stderr.isatty())
        place = sys.stderr if self.cell is None else io.StringIO()
        super().__init__(total=total, initial=done, leave=False, disable=not watched, file=place)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if self.cell is None:
            return super().display(msg, pos)
        self.cell.update({"text/plain": msg or str(self)}, raw=True)
        return True

    def end(self, text: str) -> None:
        """Put a line of text in the place of the bar."""
        watched = not self.disable
        self.close()
        if self.cell is not None:  # JupyterLab breaks lines of plain text within words
            self.cell.update({"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"}, raw=True)
        elif watched:
            print(text, file=sys.stderr)
