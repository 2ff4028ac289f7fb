"""A bar for who waits."""

from __future__ import annotations

import html
import sys
import time


class Progress:
    """A progress bar with a few words beside it: in a notebook one output that ends as a line of text, else tqdm.

    tqdm's own notebook bar is a widget, of which a stored notebook keeps nothing to read. Where nobody watches (no notebook
    and no terminal) it stays silent.
    """

    def __init__(self, total: int, shown: bool = True):
        self.total, self.done, self.text, self.drawn = total, 0, "", 0.0
        self.cell = self.bar = None
        if shown and _in_notebook():
            from IPython.display import HTML, display

            self.html = HTML
            self.cell = display(HTML(self._drawing()), display_id=True)
        elif shown and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, leave=False)

    def _drawing(self) -> str:
        return (
            f'<progress value="{self.done}" max="{self.total}" aria-label="training progress"></progress> '
            f"{html.escape(self.text)}"
        )

    def step(self, count: int = 1) -> None:
        self.done += count
        if self.bar:
            self.bar.update(count)
        elif self.cell and time.monotonic() - self.drawn > 0.2:
            self.cell.update(self.html(self._drawing()))
            self.drawn = time.monotonic()

    def say(self, text: str) -> None:
        self.text = text
        if self.bar:
            self.bar.set_postfix_str(text)

    def end(self, text: str) -> None:
        if self.bar:
            self.bar.close()
            print(text, file=sys.stderr)
        elif self.cell:
            self.cell.update(self.html(f"<div>{html.escape(text)}</div>"))


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
