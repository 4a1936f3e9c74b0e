"""monolisp inspect: what an executable is made of."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from monolisp.errors import Exit, ForgedProvenance


def run_inspect(options: argparse.Namespace) -> int:
    from monolisp.provenance.note import inspect
    from monolisp.provenance.record import as_json
    from monolisp.provenance.show import as_table

    path = Path(options.file)
    found = inspect(path)
    if options.json:
        print(json.dumps({**as_json(found.provenance), "intact": found.sealed}, indent=1, ensure_ascii=False))
    else:
        print(as_table(options.file, found))
    if found.sealed:
        return int(Exit.OK)
    refusal = ForgedProvenance(file=path)
    print(refusal, file=sys.stderr)
    return int(refusal.exit_code)
