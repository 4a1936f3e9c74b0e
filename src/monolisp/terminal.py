"""Progress for people: a bar with stages, elapsed and expected time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from monolisp.progress import Expected

if TYPE_CHECKING:
    from rich.progress import TaskID


class PlainLines:
    """For logs and CI: a line when a stage begins and one when it ends. Notes appear only when they are late."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun: dict[str, float] = {}
        self._expected: dict[str, float] = {}

    def plan(self, what: str, stages: Sequence[Expected]) -> None:
        self._expected = {stage.stage: stage.end - stage.begin for stage in stages}
        total = max(stage.end for stage in stages)
        self._say(f"building {what}: about {duration(total)}")

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
    """For terminals: the stages that are running, and a bar of the work that is done, by its expected seconds."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        expected = TextColumn("of about {task.fields[expected]}")
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), expected)
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None
        self._work: dict[str, float] = {}
        self._running: list[str] = []
        self._over: set[str] = set()

    def plan(self, what: str, stages: Sequence[Expected]) -> None:
        self._work = {stage.stage: stage.end - stage.begin for stage in stages}
        expected = duration(max(stage.end for stage in stages))
        self._progress.start()
        self._task = self._progress.add_task(what, total=sum(self._work.values()), expected=expected)

    def begin(self, stage: str) -> None:
        self._running.append(stage)
        self._show()

    def end(self, stage: str) -> None:
        self._running.remove(stage)
        self._over.add(stage)
        self._show()
        if self._task is not None and self._over.issuperset(self._work):
            self._progress.stop()
            self._task = None

    def _show(self) -> None:
        if self._task is not None:
            number = len(self._over) + len(self._running)
            text = f"[{number}/{len(self._work)}] {', '.join(self._running)}"
            done = sum(self._work.get(stage, 0) for stage in self._over)
            self._progress.update(self._task, description=text, completed=done)

    def note(self, text: str) -> None:
        del text

    def close(self) -> None:
        self._progress.stop()


def duration(seconds: float) -> str:
    """12 s, 2 min 5 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
