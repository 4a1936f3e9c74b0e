from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.errors import DiskFull, StoreUnusable
from monolisp.store import Store, digest_of, remove_tree, sha256_file, tree_size

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").prepare()


def writing(text: str = "content") -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        (directory / "file").write_text(text)

    return make


def leftovers(store: Store) -> list[Path]:
    folder = store.root / "building"
    return list(folder.iterdir()) if folder.is_dir() else []


class TestPrepare:
    def test_is_marked_as_a_cache(self, store: Store) -> None:
        """Source: Cache Directory Tagging Specification."""
        tag = (store.root / "CACHEDIR.TAG").read_text()
        assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55")

    def test_again(self, store: Store) -> None:
        (store.root / "CACHEDIR.TAG").write_text("the user's own")
        store.prepare()
        assert (store.root / "CACHEDIR.TAG").read_text() == "the user's own"

    @pytest.mark.parametrize("below", ["", "store"])
    def test_a_file_is_in_the_way(self, tmp_path: Path, below: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreUnusable) as caught:
            Store(tmp_path / "file" / below).prepare()
        assert str(tmp_path / "file") in caught.value.what_text
        assert caught.value.why_text

    def test_an_area_that_cannot_be(self, store: Store) -> None:
        (store.root / "fasls").touch()
        with pytest.raises(StoreUnusable):
            store.area("fasls", "digest")

    @pytest.mark.parametrize("taken", ["building", "kind", "locks/kind-digest.lock/x"])
    def test_an_entry_that_cannot_be(self, store: Store, taken: str) -> None:
        (store.root / taken).parent.mkdir(parents=True, exist_ok=True)
        (store.root / taken).touch()
        with pytest.raises(StoreUnusable):
            store.entry("kind", "digest", writing())


class TestEntry:
    def test_is_made_once(self, store: Store) -> None:
        first = store.entry("kind", "digest", writing("first"))
        second = store.entry("kind", "digest", writing("second"))
        assert first == second == store.path("kind", "digest")
        assert (first / "file").read_text() == "first"

    def test_others_are_others(self, store: Store) -> None:
        for kind, digest in (("a", "1"), ("a", "2"), ("b", "1")):
            store.entry(kind, digest, writing(kind + digest))
        assert (store.path("a", "2") / "file").read_text() == "a2"
        assert (store.path("b", "1") / "file").read_text() == "b1"

    def test_is_not_there_before_it_is_complete(self, store: Store) -> None:
        def make(directory: Path) -> None:
            writing()(directory)
            assert not store.has("kind", "digest")
            assert store.entries("kind") == []

        store.entry("kind", "digest", make)
        assert store.has("kind", "digest")

    def test_an_empty_one_is_an_entry(self, store: Store) -> None:
        assert store.entry("kind", "digest", lambda _: None).is_dir()

    def test_nothing_else_stays(self, store: Store) -> None:
        store.entry("kind", "digest", writing())
        assert leftovers(store) == []

    @pytest.mark.parametrize("error", [RuntimeError("no"), OSError(errno.EIO, "no"), KeyboardInterrupt()], ids=repr)
    def test_a_make_that_raises_leaves_nothing(self, store: Store, error: BaseException) -> None:
        def make(directory: Path) -> None:
            writing("half")(directory)
            raise error

        with pytest.raises(type(error)) as caught:
            store.entry("kind", "digest", make)
        assert caught.value is error
        assert leftovers(store) == []
        assert not store.has("kind", "digest")
        assert (store.entry("kind", "digest", writing("whole")) / "file").read_text() == "whole"

    def test_a_make_that_misses_a_file_is_not_the_stores_fault(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.entry("kind", "digest", lambda directory: (directory / "none").unlink())

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk(self, store: Store, number: int) -> None:
        def make(directory: Path) -> None:
            writing("half")(directory)
            raise OSError(number, os.strerror(number))

        with pytest.raises(DiskFull) as caught:
            store.entry("kind", "digest", make)
        assert str(store.root) in caught.value.what_text
        assert leftovers(store) == []

    def test_leftovers_of_a_killed_process_are_cleared(self, store: Store) -> None:
        def die(directory: Path) -> None:
            (directory / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)

        child = FORK.Process(target=store.entry, args=("kind", "digest", die))
        child.start()
        child.join(5)
        assert child.exitcode == -signal.SIGKILL
        assert len(leftovers(store)) == 1
        path = store.entry("kind", "digest", writing())
        assert {item.name for item in path.iterdir()} == {"file", ".manifest"}
        assert leftovers(store) == []

    def test_is_touched_once_an_hour(self, store: Store) -> None:
        path = store.entry("kind", "digest", writing())
        minutes, week = int(time.time()) - 1800, int(time.time()) - 7 * 86400
        os.utime(path, (minutes, minutes))
        store.entry("kind", "digest", writing())
        assert path.stat().st_mtime == minutes
        os.utime(path, (week, week))
        store.entry("kind", "digest", writing())
        assert time.time() - path.stat().st_mtime < 60

    def test_a_time_still_to_come_is_put_right(self, store: Store) -> None:
        """A clock that was wrong must not keep an entry for ever."""
        path = store.entry("kind", "digest", writing())
        future = int(time.time()) + 10 * 365 * 86400
        os.utime(path, (future, future))
        store.entry("kind", "digest", writing())
        assert abs(time.time() - path.stat().st_mtime) < 60


class TestTogether:
    """Whoever comes second waits, and finds what the first has made."""

    def test_threads(self, store: Store) -> None:
        together = threading.Barrier(6)
        made: list[int] = []

        def make(directory: Path) -> None:
            made.append(threading.get_ident())
            time.sleep(0.05)
            writing(str(made))(directory)

        def want(_: int) -> str:
            together.wait(5)
            return (store.entry("kind", "digest", make) / "file").read_text()

        with ThreadPoolExecutor(6) as pool:
            found = set(pool.map(want, range(6)))
        assert len(made) == 1
        assert found == {str(made)}

    def test_processes(self, store: Store, tmp_path: Path) -> None:
        together = FORK.Barrier(4)
        log = tmp_path / "log"
        log.touch()

        def make(directory: Path) -> None:
            with log.open("a") as stream:
                stream.write(f"{os.getpid()}\n")
            time.sleep(0.05)
            writing()(directory)

        def want() -> None:
            together.wait(5)
            path = store.entry("kind", "digest", make)
            os._exit(0 if (path / "file").read_text() == "content" else 1)

        children = [FORK.Process(target=want) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(5)
        assert [child.exitcode for child in children] == [0] * 4
        assert len(log.read_text().splitlines()) == 1

    def test_different_entries_do_not_wait(self, store: Store) -> None:
        inside = threading.Barrier(2)

        def make(_: Path) -> None:
            inside.wait(5)

        with ThreadPoolExecutor(2) as pool:
            wanted = [pool.submit(store.entry, "kind", name, make) for name in "ab"]
            assert {item.result().name for item in wanted} == {"a", "b"}

    def test_after_one_that_failed_the_next_makes_it(self, store: Store) -> None:
        entered, go_on = threading.Event(), threading.Event()

        def fail(directory: Path) -> None:
            entered.set()
            go_on.wait(5)
            raise RuntimeError

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(store.entry, "kind", "digest", fail)
            entered.wait(5)
            second = pool.submit(store.entry, "kind", "digest", writing("second"))
            go_on.set()
            assert isinstance(first.exception(5), RuntimeError)
            assert (second.result(5) / "file").read_text() == "second"


class TestWorkspace:
    def test_is_there_for_a_while(self, store: Store) -> None:
        with store.workspace() as folder:
            (folder / "core").touch()
            assert folder.is_dir()
        assert not folder.exists()

    def test_goes_away_whatever_happens(self, store: Store) -> None:
        with pytest.raises(KeyboardInterrupt), store.workspace() as folder:
            (folder / "core").touch()
            raise KeyboardInterrupt
        assert not folder.exists()

    def test_no_file_stays_open(self, store: Store) -> None:
        def opened() -> int:
            return len(list(Path("/proc/self/fd").iterdir()))

        with store.workspace():
            pass
        before = opened()
        for _ in range(3):
            with store.workspace(), store.workspace():
                pass
        assert opened() == before

    def test_in_a_store_that_is_not_ones_own(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        store.area("work")

        def refuse(path: Path, *_: object, **__: object) -> None:
            if path.parent.name == "work":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(StoreUnusable, match="work"), store.workspace():
            pass

    def test_two_at_once(self, store: Store) -> None:
        with store.workspace() as one, store.workspace() as other:
            (one / "core").touch()
            assert one.is_dir()
            assert other.is_dir()
            assert list(other.iterdir()) == []

    def test_what_a_killed_one_left_is_removed_by_the_next(self, store: Store) -> None:
        def die() -> None:
            with store.workspace() as folder:
                (folder / "core").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        child = FORK.Process(target=die)
        child.start()
        child.join(5)
        (left,) = (store.root / "work").iterdir()
        assert list(left.iterdir())
        with store.workspace():
            assert not left.exists()

    def test_another_may_come_at_the_wrong_moment(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """The moment between making the directory and locking it."""
        mkdir = Path.mkdir
        others: list[threading.Thread] = []

        def enter() -> None:
            with store.workspace():
                pass

        def disturbed(path: Path, *arguments: Any, **options: Any) -> None:
            mkdir(path, *arguments, **options)
            if path.parent.name == "work" and not others:
                others.append(threading.Thread(target=enter))
                others[0].start()
                others[0].join(0.2)

        monkeypatch.setattr(Path, "mkdir", disturbed)
        with store.workspace() as folder:
            assert folder.is_dir()
        assert others
        others[0].join(5)


class TestEntries:
    def test_last_used_first(self, store: Store) -> None:
        for number, name in enumerate(["middle", "old", "new"]):
            path = store.entry("kind", name, writing("x" * number))
            moment = {"old": 1000, "middle": 2000, "new": 3000}[name]
            os.utime(path, (moment, moment))
        entries = store.entries("kind")
        assert [(entry.digest, entry.used) for entry in entries] == [("new", 3000), ("middle", 2000), ("old", 1000)]
        manifest = entries[0].path / ".manifest"
        assert entries[0].size == 2 + manifest.stat().st_size

    def test_none(self, store: Store) -> None:
        assert store.entries("kind") == []

    def test_only_directories(self, store: Store) -> None:
        store.entry("kind", "digest", writing())
        (store.root / "kind/stray").touch()
        assert [entry.digest for entry in store.entries("kind")] == ["digest"]

    def test_remove(self, store: Store) -> None:
        for name in ("one", "two"):
            store.entry("kind", name, writing())
        (one,) = [entry for entry in store.entries("kind") if entry.digest == "one"]
        store.remove(one)
        assert [entry.digest for entry in store.entries("kind")] == ["two"]
        assert leftovers(store) == []
        assert (store.entry("kind", "one", writing("again")) / "file").read_text() == "again"

    def test_remove_after_one_that_was_killed(self, store: Store) -> None:
        """What it had renamed is still there."""
        store.entry("kind", "digest", writing())
        (store.root / "building/removed-kind-digest/half").mkdir(parents=True)
        store.remove(store.entries("kind")[0])
        assert not store.has("kind", "digest")
        assert leftovers(store) == []

    def test_remove_stays_inside(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/file").touch()
        store.entry("kind", "digest", lambda path: (path / "link").symlink_to(tmp_path / "mine"))
        store.remove(store.entries("kind")[0])
        assert (tmp_path / "mine/file").exists()

    def test_remove_what_another_has_removed(self, store: Store) -> None:
        store.entry("kind", "digest", writing())
        (entry,) = store.entries("kind")
        store.remove(entry)
        store.remove(entry)
        assert store.entries("kind") == []

    def test_remove_waits_for_its_maker(self, store: Store) -> None:
        path = store.entry("kind", "digest", writing())
        (entry,) = store.entries("kind")
        with store.lock("kind-digest"):
            remover = threading.Thread(target=store.remove, args=(entry,))
            remover.start()
            remover.join(0.05)
            assert path.exists()
        remover.join(5)
        assert not path.exists()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


class TestDigests:
    def test_is_stable(self) -> None:
        """Another value would make every store obsolete."""
        text = '["größe",1,{"a":true,"b":null}]'
        assert digest_of(["größe", 1, {"b": None, "a": True}]) == hashlib.sha256(text.encode()).hexdigest()[:32]

    @given(json_values)
    def test_order_of_keys_does_not_matter(self, value: Any) -> None:
        assert digest_of(value) == digest_of(reordered(value))

    @given(json_values, json_values)
    def test_anything_else_does(self, one: Any, other: Any) -> None:
        assert (digest_of(one) == digest_of(other)) == (repr_of(one) == repr_of(other))

    def test_names_in_another_encoding(self) -> None:
        assert digest_of([os.fsdecode(b"caf\xe9")]) != digest_of([os.fsdecode(b"caf\xea")])

    @pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1])
    def test_sha256_of_a_file(self, tmp_path: Path, size: int) -> None:
        content = bytes(range(256)) * (size // 256 + 1)
        (tmp_path / "file").write_bytes(content[:size])
        assert sha256_file(tmp_path / "file") == hashlib.sha256(content[:size]).hexdigest()


def repr_of(value: Any) -> str:
    """Equal for what is the same JSON, though 1 == True in Python."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{repr_of(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(repr_of, value)) + "]" if isinstance(value, list) else repr(value)


class TestTrees:
    def test_size_counts_files_and_not_what_links_lead_to(self, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "a").write_bytes(b"1234")
        (tree / "sub/b").write_bytes(b"123")
        (tmp_path / "big").write_bytes(bytes(10_000))
        (tree / "link").symlink_to(tmp_path / "big")
        assert 7 <= tree_size(tree) < 1000

    def test_removing_what_is_not_there(self, tmp_path: Path) -> None:
        remove_tree(tmp_path / "none")
        remove_tree(tmp_path)
        assert not tmp_path.exists()


class TestDamage:
    def test_is_told_and_made_again(self, tmp_path: Path) -> None:
        told: list[str] = []
        store = Store(tmp_path / "store", tell=told.append).prepare()
        path = store.entry("kind", "digest", writing("whole"))
        (path / "file").write_text("half", encoding="utf-8")
        again = store.entry("kind", "digest", writing("whole"))
        assert (again / "file").read_text(encoding="utf-8") == "whole"
        assert told == [f"{path} is damaged (file is not as it was made); it is made again"]
        assert leftovers(store) == []


class TestShared:
    @pytest.fixture
    def shared(self, tmp_path: Path) -> Store:
        shared = Store(tmp_path / "shared").prepare()
        shared.entry("kind", "digest", writing("theirs"))
        return shared

    def test_is_used_where_it_is(self, shared: Store, tmp_path: Path) -> None:
        own = Store(tmp_path / "own", (shared.root,)).prepare()
        assert own.has("kind", "digest")
        theirs = shared.path("kind", "digest")
        assert own.path("kind", "digest") == theirs
        assert own.entry("kind", "digest", writing("ours")) == theirs
        assert not (own.root / "kind").exists()

    def test_what_it_lacks_is_made_in_ones_own(self, shared: Store, tmp_path: Path) -> None:
        own = Store(tmp_path / "own", (shared.root,)).prepare()
        assert own.entry("kind", "other", writing("ours")) == own.root / "kind" / "other"
        assert not shared.has("kind", "other")

    def test_what_is_damaged_there_is_made_in_ones_own(self, shared: Store, tmp_path: Path) -> None:
        (shared.path("kind", "digest") / "file").unlink()
        own = Store(tmp_path / "own", (shared.root,)).prepare()
        path = own.entry("kind", "digest", writing("ours"))
        assert (path, (path / "file").read_text(encoding="utf-8")) == (own.root / "kind" / "digest", "ours")


class TestTier:
    class Shelf:
        """A tier that has what was offered to it, or nothing, or half."""

        def __init__(self, has: bool, half: bool = False) -> None:
            self.has, self.half, self.offered = has, half, []  # type: ignore[var-annotated]

        def fetch(self, kind: str, digest: str, into: Path) -> bool:
            if self.has or self.half:
                (into / "file").write_text("from the shelf", encoding="utf-8")
            return self.has

        def offer(self, kind: str, digest: str, entry: Path) -> None:
            self.offered.append((kind, digest, entry))

    def test_is_asked_first(self, tmp_path: Path) -> None:
        shelf = self.Shelf(True)
        path = Store(tmp_path / "store", tier=shelf).prepare().entry("kind", "digest", writing("made"))
        assert (path / "file").read_text(encoding="utf-8") == "from the shelf"
        assert shelf.offered == []

    @pytest.mark.parametrize("half", [False, True])
    def test_what_it_lacks_is_made_and_offered(self, half: bool, tmp_path: Path) -> None:
        shelf = self.Shelf(False, half)
        store = Store(tmp_path / "store", tier=shelf).prepare()
        path = store.entry("kind", "digest", writing("made"))
        assert (path / "file").read_text(encoding="utf-8") == "made"
        assert shelf.offered == [("kind", "digest", path)]
        assert leftovers(store) == []


def test_who_waits_is_told_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes want the same: one makes it, the other says that it waits, and finds it."""
    import threading
    import time

    monkeypatch.setattr("monolisp.store.store._MOMENT", 0.1)
    told: list[str] = []
    made: list[str] = []
    begun = threading.Event()

    def slow(folder: Path) -> None:
        begun.set()
        time.sleep(0.5)
        made.append("slow")
        (folder / "file").touch()

    first = threading.Thread(target=lambda: Store(tmp_path / "store").prepare().entry("kind", "digest", slow))
    first.start()
    begun.wait(5)
    second = Store(tmp_path / "store", tell=told.append).prepare()
    second.entry("kind", "digest", lambda folder: made.append("twice"))
    first.join(5)
    assert made == ["slow"]
    assert told == [f"waiting for process {os.getpid()}, which makes kind-digest"]
