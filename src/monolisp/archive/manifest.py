"""The manifest of a bundle: lines that `sha256sum -c MANIFEST` reads.

Source: GNU coreutils manual, "md5sum invocation".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME = "MANIFEST"
_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)")


def manifest_text(sums: Mapping[str, str]) -> str:
    """`sums`: name → sha256."""
    return "".join(_line(name, sums[name]) for name in sorted(sums))


def _line(name: str, found: str) -> str:
    plain = name.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{'' if plain == name else chr(92)}{found}  {plain}\n"


def parse_manifest(text: str) -> dict[str, str]:
    """Raises ValueError."""
    found = {}
    for line in text.removesuffix("\n").split("\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("its manifest cannot be read")
        name = re.sub(r"\\(.)", lambda part: "\n" if part[1] == "n" else part[1], match[3]) if match[1] else match[3]
        found[name] = match[2]
    return found
