"""Stages of long work: each waits for those that it needs, and what need not wait runs side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from monolisp.progress import Expected, Progress

# Stage → what must be over before it begins.
Needs = Mapping[str, Sequence[str]]


def expected(needs: Needs, seconds: Mapping[str, float]) -> list[Expected]:
    """When each stage should begin and end, from the seconds that each takes. Stages come after those they need."""
    plan: dict[str, Expected] = {}
    for name, needed in needs.items():
        begin = max((plan[other].end for other in needed), default=0.0)
        plan[name] = Expected(name, begin, begin + seconds[name])
    return list(plan.values())


def run_stages(
    needs: Needs,
    work: Mapping[str, Callable[[], object]],
    progress: Progress,
    stop: Callable[[], None],
    at_once: int,
) -> None:
    """Do the work of every stage, each as soon as it can begin, `at_once` of them at a time.

    When one fails, and on Ctrl-C, `stop` ends what the others are doing, and the first failure is raised.
    """
    waiting = dict(needs)
    running: dict[Future[object], str] = {}
    done: set[str] = set()
    begun = _Begun()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while waiting or running:
                ready = [name for name, needed in waiting.items() if done.issuperset(needed)]
                for name in ready[: at_once - len(running)]:
                    del waiting[name]
                    progress.begin(name)
                    running[pool.submit(begun.run, work[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    name = running.pop(future)
                    progress.end(name)
                    done.add(name)
        except BaseException:
            stop()
            begun.end()
            raise


class _Begun:
    """Counts the work that has begun. A pool does not know of a thread that it was starting when Ctrl-C came."""

    def __init__(self) -> None:
        self._count = 0
        self._over = False
        self._changed = threading.Condition()

    def run(self, work: Callable[[], object]) -> object:
        with self._changed:
            if self._over:
                return None
            self._count += 1
        try:
            return work()
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Nothing begins any more; wait for what has."""
        with self._changed:
            self._over = True
            self._changed.wait_for(lambda: self._count == 0)
