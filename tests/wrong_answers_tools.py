"""What the tables of right and wrong answers share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Later:
    """An answer that takes time to make, made when its test runs."""

    make: Callable[[], object]
