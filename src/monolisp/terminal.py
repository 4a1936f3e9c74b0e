"""Progress for people: a bar with stages, elapsed and expected time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID


class PlainLines:
    """For logs and CI: a line when a stage begins and one when it ends. Notes appear only when they are late."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun: dict[str, float] = {}
        self._expected: dict[str, float] = {}

    def plan(self, stages: list[tuple[str, float]]) -> None:
        self._expected = dict(stages)
        total = sum(self._expected.values())
        self._say(f"building the toolchain, once per machine: about {duration(total)}")

    def begin(self, stage: str) -> None:
        self._begun[stage] = time.monotonic()
        self._say(f"  {stage} … (about {duration(self._expected.get(stage, 0))})")

    def end(self, stage: str) -> None:
        self._say(f"  {stage}: {duration(time.monotonic() - self._begun.get(stage, time.monotonic()))}")

    def note(self, text: str) -> None:
        del text

    def close(self) -> None:
        self._stream.flush()

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bar:
    """For terminals. The bar moves with the expected time of the stages, and waits at a stage that takes longer."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        expected = TextColumn("of about {task.fields[expected]}")
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), expected)
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None
        self._stages: dict[str, float] = {}
        self._done = 0.0

    def plan(self, stages: list[tuple[str, float]]) -> None:
        self._stages = dict(stages)
        total = sum(self._stages.values())
        self._progress.start()
        self._task = self._progress.add_task("toolchain", total=total, expected=duration(total))

    def begin(self, stage: str) -> None:
        if self._task is not None:
            number = list(self._stages).index(stage) + 1 if stage in self._stages else 0
            self._progress.update(self._task, description=f"[{number}/{len(self._stages)}] {stage}")

    def end(self, stage: str) -> None:
        if self._task is not None:
            self._done += self._stages.get(stage, 0)
            self._progress.update(self._task, completed=self._done)
            if list(self._stages)[-1:] == [stage]:
                self._progress.stop()
                self._task = None

    def note(self, text: str) -> None:
        del text

    def close(self) -> None:
        self._progress.stop()


def duration(seconds: float) -> str:
    """12 s, 2 min 5 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
