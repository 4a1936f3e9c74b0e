"""What the commands are given: the store, the machine, what the user says, a place to show progress."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monolisp.errors import NoKeys, NoRemote, NoSignKey

if TYPE_CHECKING:
    from monolisp.progress import Progress
    from monolisp.remote.tier import RemoteTier
    from monolisp.settings import Settings
    from monolisp.store import Store
    from monolisp.toolchain.machine import Machine


def store() -> Store:
    """The user's store, over those of others that are only read."""
    from monolisp.store import Store

    return Store(store_root(), shared_stores()).prepare()


def store_root() -> Path:
    named = os.environ.get("MONOLISP_STORE")
    if named:
        # os.path's leaves ~nobody as it is, pathlib's raises RuntimeError.
        return Path(os.path.expanduser(named)).absolute()  # noqa: PTH111
    from platformdirs import user_cache_path

    return user_cache_path("monolisp")


def shared_stores(told: Sequence[str] = ()) -> tuple[Path, ...]:
    """The directories that MONOLISP_SHARED_STORE names, with colons between them, and those `told`."""
    named = os.environ.get("MONOLISP_SHARED_STORE", "").split(":")
    return tuple(Path(name).absolute() for name in (*filter(None, named), *told))


def progress() -> Progress:
    from monolisp.terminal import Bar, PlainLines

    return Bar() if sys.stderr.isatty() else PlainLines(sys.stderr)


def machine(options: argparse.Namespace, progress: Progress) -> Machine:
    from monolisp.process import run
    from monolisp.store import Store
    from monolisp.toolchain.machine import Machine

    source_dir = Path(options.source_dir).absolute() if options.source_dir else None
    told = settings(options)
    tier = None if options.offline else remote(told, options, tell)
    ours = Store(store_root(), shared_stores(told.store_shared or ()), tier, tell).prepare()
    return Machine(ours, run, progress, dict(os.environ), options.offline, source_dir, options.verbose)


def tell(text: str) -> None:
    """What a person should know while something is built."""
    print(text, file=sys.stderr, flush=True)


def remote(told: Settings, options: argparse.Namespace, tell: Callable[[str], None]) -> RemoteTier | None:
    """The remote stores that are asked, if any. Raises NoKeys, BadKey, NoSignKey, RemoteExtraMissing."""
    push, key = getattr(options, "push", False), getattr(options, "sign_key", None)
    if not told.store_remote:
        if push:
            raise NoRemote
        return None
    from monolisp.remote.place import Place
    from monolisp.remote.tier import RemoteTier
    from monolisp.trust.keys import check_keys

    if push and key is None:
        raise NoSignKey
    if not told.store_keys and not push:
        raise NoKeys(url=told.store_remote[0])
    check_keys(told.store_keys or ())
    places = [Place(url) for url in told.store_remote]
    return RemoteTier(places, told.store_keys or (), Path(key) if push and key else None, tell)


def settings(options: argparse.Namespace) -> Settings:
    """The project file's settings under what the command line says."""
    from dataclasses import fields, replace

    from monolisp.settings import FILE, Settings, merged, read_settings, version_file

    told: dict[str, Any] = {field.name: getattr(options, field.name, None) for field in fields(Settings)}
    lists: dict[str, Any] = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    said = Settings(**{**told, **lists})
    found = merged(said, read_settings(Path(FILE)) if Path(FILE).is_file() else Settings())
    return found if found.sbcl else replace(found, sbcl=version_file(Path.cwd()))
