from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from monolisp.errors import NotSbcl
from monolisp.sources.pin import LocalPlace, UpstreamPlace, parse_pin
from monolisp.store import sha256_file
from monolisp.toolchain import version as version_module
from monolisp.toolchain.pinning import linking_of, pin_text
from monolisp.toolchain.version import Linking, find_version, nearest_version, normal

NEW = "void os_link_runtime(lispobj vector, lispobj count)\n{\n}\n"
OLD = "void os_link_runtime()\n{\n}\n"


@pytest.fixture(autouse=True)
def no_pins_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_module, "own_pins", lambda: tmp_path / "none")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As much of SBCL's source as is looked at."""
    runtime = tmp_path / "tree" / "src" / "runtime"
    runtime.mkdir(parents=True)
    (tmp_path / "tree" / "make-config.sh").touch()
    (tmp_path / "archive.tar").write_bytes(b"archive")
    (runtime / "coreparse.c").write_text("lispobj* get_alien_linkage_table_initializer() { return 0; }\n")
    (runtime / "main.c").write_text("int main(int argc, char *argv[], char *envp[])\n{\n}\n")
    (runtime / "linux-os.c").write_text("char *os_get_runtime_executable_path()\n{\n}\n")
    (runtime / "os-common.c").write_text(NEW)
    (runtime / "GNUmakefile").write_text("sbcl.o: $(OBJS)\n")
    return tmp_path / "tree"


def pinned(tree: Path, url: str | None = None) -> dict[str, object]:
    return tomllib.loads(pin_text("2.6.9", tree.parent / "archive.tar", url, tree))


def test_after_the_pattern_of_the_nearest(tree: Path) -> None:
    table, near = pinned(tree), find_version("2.6.4")
    assert table["options"] == near.options
    assert table["stages"] == near.stages
    # This source has no compress_vector.
    assert table["weaken"] == [name for name in near.weaken if name != "compress_vector"]
    assert "headers" not in table


@pytest.mark.parametrize("url", [None, "https://example.org/archive.tar"])
def test_where_the_source_is(url: str | None, tree: Path) -> None:
    source = pinned(tree, url)["source"]
    assert isinstance(source, dict)
    (place,) = parse_pin(source, "here").places
    assert isinstance(place, UpstreamPlace if url else LocalPlace)
    assert (place.sha256, place.size) == (sha256_file(tree.parent / "archive.tar"), 7)


def test_the_source_says_how_its_cores_are_linked() -> None:
    assert linking_of({"os-common.c": NEW}) is Linking.PRELINKED
    assert linking_of({"os-common.c": OLD}) is Linking.LOOKUP
    assert linking_of({}) is Linking.LOOKUP


def test_the_makefile_of_old(tree: Path) -> None:
    (tree / "src/runtime/GNUmakefile").write_text("sbcl.h: $(wildcard genesis/*.h)\n\techo\n")
    assert pinned(tree)["headers"] == ["sbcl.h"]


def test_something_else_is_refused(tree: Path) -> None:
    (tree / "make-config.sh").unlink()
    with pytest.raises(NotSbcl):
        pinned(tree)


@pytest.mark.parametrize(("version", "near"), [("2.6.9", "2.6.4"), ("2.6.3", "2.6.1"), ("2.0.0", "2.2.6")])
def test_nearest(version: str, near: str) -> None:
    assert nearest_version(version) == near


@pytest.mark.parametrize(
    ("spec", "same"),
    [("2.5.2", "2.5.2"), ("+b -a", "2.6.4 -a +b"), ("2.5.2 +b +a +b", "2.5.2 +a +b")],
)
def test_one_spelling_of_a_variant(spec: str, same: str) -> None:
    assert normal(spec) == same


def test_a_variant_is_another_pin() -> None:
    options = find_version("2.6.4 +sb-safepoint -sb-thread").options
    assert list(options[-2:]) == ["--with-sb-safepoint", "--without-sb-thread"]
