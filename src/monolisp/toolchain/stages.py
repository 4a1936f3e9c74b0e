"""The stages of SBCL's build: each waits for those that it needs, and what need not wait runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from monolisp.progress import Expected, Progress

# Stage → what must be over before it begins. "headers" is the first that links a program.
STAGES: Mapping[str, Sequence[str]] = {
    "C library": (),
    "unpack": (),
    "configure": ("unpack",),
    "cross-compiler": ("configure",),
    "headers": ("C library", "cross-compiler"),
    "compile": ("headers",),
    "runtime": ("headers",),
    "warm load": ("compile", "runtime"),
    "contribs": ("warm load",),
    "install": ("contribs",),
}


def expected(seconds: Mapping[str, float]) -> list[Expected]:
    """When each stage should begin and end, from the seconds that each takes."""
    plan: dict[str, Expected] = {}
    for name, needed in STAGES.items():
        begin = max((plan[other].end for other in needed), default=0.0)
        plan[name] = Expected(name, begin, begin + seconds[name])
    return list(plan.values())


def run_stages(
    work: Mapping[str, Callable[[], object]],
    seconds: Mapping[str, float],
    progress: Progress,
    stop: Callable[[], None],
) -> None:
    """Do the work of every stage, each as soon as it can begin.

    When one fails, and on Ctrl-C, `stop` ends what the others are doing, and the first failure is raised.
    """
    progress.plan(expected(seconds))
    waiting = dict(STAGES)
    running: dict[Future[object], str] = {}
    done: set[str] = set()
    with ThreadPoolExecutor(len(STAGES)) as pool:
        try:
            while waiting or running:
                for name in [name for name, needed in waiting.items() if done.issuperset(needed)]:
                    del waiting[name]
                    progress.begin(name)
                    running[pool.submit(work[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    name = running.pop(future)
                    progress.end(name)
                    done.add(name)
        except BaseException:
            stop()
            raise
