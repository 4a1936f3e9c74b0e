"""Progress as an optional observer: rooms report, whoever watches decides what a person sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Expected:
    """A stage to come: when it should begin and end, in seconds from the beginning of the first one."""

    stage: str
    begin: float
    end: float


class Progress(Protocol):
    """Told what happens during long work. `note` may come from another thread than the stages do."""

    def plan(self, what: str, stages: Sequence[Expected]) -> None:
        """Stages to come, of building `what`; some run side by side."""

    def begin(self, stage: str) -> None:
        """`stage` starts now (stages that were not planned are allowed)."""

    def end(self, stage: str) -> None:
        """`stage` is over."""

    def note(self, text: str) -> None:
        """Something worth a line of its own."""

    def close(self) -> None:
        """No more reports; give the terminal back."""


class Silent:
    """Watches nothing."""

    def plan(self, what: str, stages: Sequence[Expected]) -> None:
        del what, stages

    def begin(self, stage: str) -> None:
        del stage

    def end(self, stage: str) -> None:
        del stage

    def note(self, text: str) -> None:
        del text

    def close(self) -> None: ...
