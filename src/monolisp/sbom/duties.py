"""What licences ask of whoever ships a static executable, and how monolisp serves that: rows of duties.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from monolisp.sbom.licences import terms_of

RELINK = "`monolisp bundle` collects what it takes to link the program again."
WHOLE = "Ship your program's source with it; `monolisp bundle` collects the sources of everything else."


@dataclass(frozen=True)
class Ask:
    """One thing that is asked for, and the section of the licence that says it."""

    section: str
    text: str

    @property
    def place(self) -> str:
        return self.section if self.section.startswith("the ") else f"section {self.section}"


@dataclass(frozen=True)
class Duty:
    """What a licence asks for: `terms` are the SPDX licences that it is about, `served` how monolisp helps."""

    name: str
    terms: tuple[str, ...]
    asks: tuple[Ask, ...]
    served: str


@cache
def duties() -> Mapping[str, Duty]:
    """By SPDX licence, with its exception if it has one."""
    table = tomllib.loads((Path(__file__).parent / "duties.toml").read_text(encoding="utf-8"))
    found: dict[str, Duty] = {}
    for row in table["duty"]:
        served = RELINK if row.get("relink") else WHOLE if row.get("whole") else ""
        duty = Duty(row["name"], tuple(row["terms"]), tuple(Ask(**ask) for ask in row["asks"]), served)
        found |= dict.fromkeys(duty.terms, duty)
    return found


def duties_of(expression: str) -> Sequence[Duty]:
    """What the licences in an SPDX expression ask for, as far as it is known."""
    found = (duties().get(term) for term in terms_of(expression))
    return list(dict.fromkeys(duty for duty in found if duty is not None))
