"""From what a definition says of its licence to an SPDX expression: by a table and by SPDX's own ids, never a guess.

Source: SPDX specification 2.3, annex D; the ids are those of cyclonedx-python-lib, the grammar is license-expression's.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cyclonedx.spdx import fixup_id
from license_expression import ExpressionError, ExpressionParseError, Licensing, get_spdx_licensing

_OPERATORS = ("AND", "OR", "WITH")


@dataclass(frozen=True)
class Licence:
    """`declared` is what a recipe or a system says, "" when it says nothing; `expression` is the SPDX expression that
    this means, "" when it cannot be told."""

    declared: str = ""
    expression: str = ""

    @property
    def reference(self) -> str:
        """How an SPDX document names a licence that has no SPDX id: "LicenseRef-", words, and a hash of them."""
        words = "-".join(re.findall(r"[A-Za-z0-9.]+", self.declared))[:60].strip("-.")
        return "-".join(filter(None, ["LicenseRef", words, hashlib.sha256(self.declared.encode()).hexdigest()[:8]]))


UNDECLARED = Licence()


def licence_of(declared: str) -> Licence:
    """What is said of a licence, and what it means."""
    plain = " ".join(declared.split())
    key = plain.strip("\"'. ").casefold()
    return Licence(plain, _table().get(key) or _expression(plain))


def terms_of(expression: str) -> list[str]:
    """The licences in an SPDX expression, each with its exception, in their order: "MIT", "GPL-2.0-only WITH X"."""
    if not expression:
        return []
    found = licensing().parse(expression).get_literals()
    return list(dict.fromkeys(literal.render() for literal in found))


@cache
def _table() -> Mapping[str, str]:
    table = tomllib.loads((Path(__file__).parent / "licences.toml").read_text(encoding="utf-8"))
    return {key: str(value) for key, value in table["means"].items()}


@cache
def licensing() -> Licensing:
    """What reads SPDX expressions; made once, it takes a while."""
    return get_spdx_licensing()


def _expression(text: str) -> str:
    """`text` as a normal SPDX expression, if it is one; "" if not. The library knows names that SPDX does not ("GPL"
    for any version), so each name must be an id of SPDX's."""
    words = re.findall(r"[^\s()]+", text)
    behind_with = {number + 1 for number, word in enumerate(words) if word.upper() == "WITH"}
    ids = [word for number, word in enumerate(words) if word.upper() not in _OPERATORS and number not in behind_with]
    if not ids or not all(map(fixup_id, ids)):
        return ""
    try:
        parsed = licensing().parse(text, validate=True, strict=True)
    except (ExpressionError, ExpressionParseError):
        return ""
    return str(parsed.render())
