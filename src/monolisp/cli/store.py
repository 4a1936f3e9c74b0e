"""monolisp store."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import BadOption, Exit, NoRemote, NoSignKey, NoSuchEntry, NoSuchFile

if TYPE_CHECKING:
    from monolisp.store import Entry


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def run_store_info(options: argparse.Namespace) -> int:
    from monolisp.store.care import summary

    store, told = given.store(), given.settings(options)
    kinds, remotes = summary(store), list(told.store_remote or ())
    shared = [str(path) for path in given.shared_stores(told.store_shared or ())]
    if options.json:
        fields = {
            "path": str(store.root),
            "shared": shared,
            "remote": remotes,
            "kinds": [asdict(kind) for kind in kinds],
        }
        print(json.dumps({"schema": "monolisp-store-1", **fields}, indent=1))
        return int(Exit.OK)
    print(f"{store.root}: {_megabytes(sum(kind.size for kind in kinds))}")
    for kind in kinds:
        used = time.strftime("%Y-%m-%d", time.localtime(kind.used))
        print(f"  {kind.name:<12} {kind.count:5}  {_megabytes(kind.size):>12}  last used {used}")
    for path in shared:
        print(f"  over the shared store {path}")
    for url in remotes:
        print(f"  before the remote store {url}")
    return int(Exit.OK)


def run_store_verify(options: argparse.Namespace) -> int:
    from monolisp.store.care import damages, every_entry

    store = given.store()
    entries = every_entry(store)
    total, done = sum(entry.size for entry in entries), 0
    begin = noted = time.monotonic()
    found = []
    for entry, damage in damages(entries):
        done += entry.size
        if damage is not None:
            found.append(damage)
        if time.monotonic() - noted > 2:
            noted = time.monotonic()
            given.tell(f"{_megabytes(done)} of {_megabytes(total)}")
    for damage in found:
        store.remove(damage.entry)
    if options.json:
        rows = [{"entry": f"{one.entry.kind}/{one.entry.digest}", "faults": one.faults} for one in found]
        facts = {"entries": len(entries), "size": total, "seconds": time.monotonic() - begin, "damaged": rows}
        print(json.dumps({"schema": "monolisp-store-verify-1", **facts}, indent=1))
    else:
        for damage in found:
            print(f"{damage.entry.kind}/{damage.entry.digest}: {'; '.join(damage.faults)}; removed, to be made again")
        print(f"{len(entries)} entries, {_megabytes(total)}, {len(found)} damaged")
    return int(Exit.VERDICT if found else Exit.OK)


def run_store_prune(options: argparse.Namespace) -> int:
    from monolisp.store.care import parse_size, prune

    keep = parse_size(options.keep)
    if keep is None:
        reason = "a size is a number with a unit, such as 10GB, 512MiB or 0"
        raise BadOption(option="--keep", value=options.keep, reason=reason, command="store prune")
    for entry in prune(given.store(), keep):
        print(f"removed {entry.kind}/{entry.digest}: {_megabytes(entry.size)}")
    return int(Exit.OK)


def run_store_export(options: argparse.Namespace) -> int:
    from monolisp.remote.exchange import export

    entries = _entries(options.entries)
    output = Path(options.file)
    if not output.absolute().parent.is_dir():
        raise NoSuchFile(file=output, reason="there is no such directory to write it in")
    export(entries, output.absolute(), given.tell)
    print(f"{output}: {len(entries)} entries, {_megabytes(output.stat().st_size)}")
    return int(Exit.OK)


def run_store_import(options: argparse.Namespace) -> int:
    from monolisp.remote.exchange import import_file

    taken = import_file(Path(options.file), given.store(), given.tell)
    print(f"{len(taken)} entries imported")
    return int(Exit.OK)


def run_store_push(options: argparse.Namespace) -> int:
    options.push = True
    told = given.settings(options)
    if not told.store_remote:
        raise NoRemote
    if options.sign_key is None:
        raise NoSignKey
    tier = given.remote(told, options, given.tell)
    assert tier is not None
    count = 0
    for entry in _entries(options.entries):
        given.tell(f"{entry.kind}/{entry.digest} ({_megabytes(entry.size)})")
        count += tier.push(entry.kind, entry.digest, entry.path)
    print(f"{count} entries pushed to {told.store_remote[0]}")
    return int(Exit.OK)


def _entries(names: Sequence[str]) -> list[Entry]:
    """The entries that `names` mean, or all that hold no path of this machine. Raises NoSuchEntry."""
    from monolisp.remote.tier import SHARED
    from monolisp.store.care import every_entry

    entries = [entry for entry in every_entry(given.store()) if entry.kind in SHARED]
    if not names:
        return entries
    found = []
    for name in names:
        matching = [entry for entry in entries if f"{entry.kind}/{entry.digest}".startswith(name)]
        if len(matching) != 1:
            example = f"{entries[0].kind}/{entries[0].digest[:8]}" if entries else "toolchains/0123abcd"
            raise NoSuchEntry(name=name, example=example)
        found += matching
    return found
