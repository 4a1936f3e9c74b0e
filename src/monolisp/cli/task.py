"""What a worker of a Dask cluster does: one step of a matrix, with a store of its own (MONOLISP_STORE) and the remote
store of the project."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import error_json, given
from monolisp.errors import MonolispError, OtherMonolisp, RemoteLacks
from monolisp.options import parser

if TYPE_CHECKING:
    from monolisp.matrix.cluster import Answer, Job
    from monolisp.store import Store


def carry_out(job: Job) -> Answer:
    """Carry out one step; whatever goes wrong with it is part of the answer."""
    from monolisp.matrix.cluster import Answer
    from monolisp.matrix.run import Ended

    try:
        return _carried_out(job)
    except MonolispError as error:
        return Answer(Ended(int(error.exit_code), json.dumps(error_json(error)), 0.0))


def _carried_out(job: Job) -> Answer:
    from monolisp.matrix.cluster import Answer
    from monolisp.matrix.run import Ended
    from monolisp.matrix.tree import TREES, keep_executable, this_monolisp
    from monolisp.process import Command, run

    if this_monolisp() != job.monolisp:
        raise OtherMonolisp(machine=os.uname().nodename)
    store = _store(job)
    tree = store.entry(TREES, job.tree, _lacking)
    with store.workspace() as folder:
        project = folder / "project"
        shutil.copytree(tree, project, ignore=shutil.ignore_patterns(".manifest"))
        output = folder / "program"
        arguments = [*job.arguments, *(["-o", str(output)] if job.makes_executable else [])]
        argv = [sys.executable, "-m", "monolisp", *arguments]
        done = run(Command(argv, dict(os.environ), cwd=project))
        made = output if job.makes_executable and done.returncode == 0 else None
        executable = keep_executable(made, store) if made else None
    return Answer(Ended(done.returncode, done.text, done.seconds), executable)


def _store(job: Job) -> Store:
    """The worker's own store, with the remote stores that the step is told of."""
    from monolisp.store import Store

    options = parser().parse_args(job.arguments)
    tier = given.remote(given.settings(options), options, given.tell)
    return Store(given.store_root(), given.shared_stores(), tier, given.tell).prepare()


def _lacking(_: Path) -> None:
    raise RemoteLacks
