"""Run every integration test, the slow ones too, and keep the result with date and commit in the file named."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> int:
    begin = time.monotonic()
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/integration"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            sys.stdout.write(line)
            lines.append(line.rstrip())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout.strip()
    notes = [line for line in lines if line.startswith(("FAILED", "ERROR", "SKIPPED"))]
    text = [
        "# The last run of all tests",
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- commit: {commit}{' and changes on top' if dirty else ''}",
        f"- minutes: {(time.monotonic() - begin) / 60:.0f}, on two cores",
        f"- result: {lines[-1] if lines else 'nothing ran'}",
        *(f"- {note}" for note in notes),
        "",
        "Written by `make test-all`; the unit tests, which `make test` runs too, are not counted.",
    ]
    Path(sys.argv[1]).write_text("\n".join(text) + "\n", encoding="utf-8")
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
