"""Progress as an optional observer: rooms report, whoever watches decides what a person sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told what happens during long work. Every method may be called from one thread only."""

    def plan(self, stages: list[tuple[str, float]]) -> None:
        """Stages to come, each with the seconds it is expected to take."""

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

    def plan(self, stages: list[tuple[str, float]]) -> None:
        del stages

    def begin(self, stage: str) -> None:
        del stage

    def end(self, stage: str) -> None:
        del stage

    def note(self, text: str) -> None:
        del text

    def close(self) -> None: ...


@contextmanager
def stage(progress: Progress, name: str) -> Iterator[None]:
    progress.begin(name)
    yield
    progress.end(name)
