"""What of the directories of systems goes into a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from monolisp.archive.systems import Definition, candidates, primary, registry_form
from monolisp.archive.trees import bundled_trees
from monolisp.project import usual_trees
from monolisp.provenance.record import System

FILES = {
    "lib/lib.asd": "(defsystem lib)",
    "lib/src/a.lisp": "a",
    "lib/src/.hidden.lisp": "editors leave these",
    "lib/LICENSE": "MIT",
    "lib/version.sexp": "read by the definition, named by nobody",
    "lib/src/a.fasl": "compiled",
    "lib/tool": "\x7fELF linked",
    "lib/.git/config": "git",
    "lib/.qlot/dists/x.lisp": "others",
    "lib/contrib/other/other.asd": "another project",
    "lib/contrib/other/other.lisp": "of it",
    "lib/contrib/notes": "of ours",
    "other-place/secret": "not below",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "lib" / "link").symlink_to("../other-place/secret")
    (tmp_path / "lib" / "copy").symlink_to("LICENSE")
    return tmp_path


def definition(path: Path, *files: Path) -> Definition:
    return Definition(path, {path.stem: (path, *files)})


def test_the_directory_of_a_system(tree: Path) -> None:
    found = bundled_trees({"lib": definition(tree / "lib/lib.asd", tree / "lib/src/a.lisp")}, tree / "home")
    plain = {"lib.asd", "src/a.lisp", "src/.hidden.lisp", "LICENSE", "copy", "version.sexp", "contrib/notes"}
    assert set(found) == {f"lib/{name}" for name in plain}
    assert found["lib/src/a.lisp"] == tree / "lib/src/a.lisp"


def test_what_a_definition_names_goes_along_in_any_case(tree: Path) -> None:
    own = (tree / "lib/tool", tree / "lib/contrib/other/other.lisp", tree / "lib/not-there")
    found = bundled_trees({"lib": definition(tree / "lib/lib.asd", *own)}, tree / "home")
    assert {"lib/tool", "lib/contrib/other/other.lisp", "lib/contrib/other/other.asd"} <= set(found)
    assert "lib/not-there" not in found


def test_files_beside_the_directory_of_the_definition(tree: Path) -> None:
    found = bundled_trees({"lib": definition(tree / "lib/lib.asd", tree / "other-place/secret")}, tree / "home")
    assert {"lib/lib/lib.asd", "lib/other-place/secret"} <= set(found)


def test_systems_of_one_directory_are_one_tree(tree: Path) -> None:
    (tree / "lib/lib-test.asd").write_text("")
    found = bundled_trees(
        {"lib": definition(tree / "lib/lib.asd"), "lib-test": definition(tree / "lib/lib-test.asd")}, tree / "home"
    )
    assert {name.partition("/")[0] for name in found} == {"lib"}


def test_of_a_home_only_what_is_named(tree: Path) -> None:
    found = bundled_trees({"lib": definition(tree / "lib/lib.asd", tree / "lib/src/a.lisp")}, tree / "lib")
    assert set(found) == {"lib/lib.asd", "lib/src/a.lisp"}


def test_candidates(tree: Path) -> None:
    (tree / "links").mkdir()
    (tree / "links/lib.asd").symlink_to("../lib/lib.asd")
    (tree / "newer").mkdir()
    (tree / "newer/lib.asd").write_text("")
    found = candidates([System("lib"), System("lib/test"), System("lost")], [tree / "links", tree])
    assert found == {"lib": [tree / "lib/lib.asd", tree / "newer/lib.asd"], "lost": []}
    assert candidates([], [tree]) == {}


def test_names() -> None:
    assert [primary(name) for name in ("a", "a/b/c")] == ["a", "a"]
    assert '"/x \\"y/"' in registry_form(Path('/x "y'))


def test_where_systems_usually_are(tree: Path) -> None:
    (tree / "home/common-lisp").mkdir(parents=True)
    (tree / "home/quicklisp/local-projects").mkdir(parents=True)
    environ = {"HOME": str(tree / "home"), "CL_SOURCE_REGISTRY": f"{tree}/lib//:"}
    found = usual_trees(environ, tree / "other-place")
    mine = [path for path in found if path.is_relative_to(tree)]
    assert mine == [
        tree / "other-place",
        tree / "lib",
        tree / "home/quicklisp/local-projects",
        tree / "home/common-lisp",
    ]
    assert Path("/") not in usual_trees({}, Path("/"))
