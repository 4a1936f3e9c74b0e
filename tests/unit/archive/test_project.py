"""A record read as a project: built from what it says, the same record comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.archive.gathering import find_files
from monolisp.archive.places import Places
from monolisp.archive.project import is_safe, project_of, require_rebuildable, wanted_files
from monolisp.archive.rebuild import lay_out
from monolisp.errors import NotRebuildable
from monolisp.lisp.events import Event
from monolisp.lisp.session import Loaded
from monolisp.project import Project
from monolisp.provenance.gather import program_of
from monolisp.provenance.record import File, Program, Provenance, Sbcl

NAME = st.from_regex(r"[a-zé][a-z *]{0,5}", fullmatch=True).map(str.strip)
SBCL = Sbcl("2.6.4", ("+sb-safepoint",))
SUM = "ab" * 32


def loaded(files: frozenset[str] = frozenset()) -> Loaded:
    told = [Event("entry", {"entry": "APP::MAIN"}), Event("image", {"features": ["A"], "modules": ["B"]})]
    return Loaded(told, files, {}, frozenset())


@given(st.dictionaries(NAME, st.binary(max_size=4), min_size=1, max_size=4), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_the_same_record_comes_out(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], data: st.DataObject
) -> None:
    """Scripts, parts, embedded files, archives, headers and recipes, laid out elsewhere from where they were found."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    for folder in ("project", "inc/deep", "rec", "elsewhere"):
        (here / folder).mkdir(parents=True)
    for name, content in contents.items():
        (here / "project" / f"{name}.lisp").write_bytes(content)
        (here / "inc/deep" / f"{name}.h").write_bytes(content)
        (here / "rec" / f"{name}.toml").write_bytes(content)
        (here / "elsewhere" / f"{name}.a").write_bytes(content)
    names = sorted(contents)
    scripts = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    before = data.draw(st.lists(st.sampled_from([("eval", "(print 1)"), ("load", f"{names[0]}.lisp")]), max_size=3))
    project = Project(
        here / "project",
        files=tuple(here / "project" / f"{name}.lisp" for name in scripts),
        before=tuple((kind, str(here / "project" / text) if kind == "load" else text) for kind, text in before),
        embed=data.draw(st.sampled_from([(), ("*.lisp",)])),
        archives=tuple((here / "elsewhere" / f"{name}.a", name) for name in names),
        include=(here / "elsewhere", here / "inc"),
        recipes=(here / "rec",),
        heap="4GiB",
        sbcl="2.6.4 +sb-safepoint",
    )
    program = program_of(project, loaded(frozenset(f"{name}.lisp" for name in names)), b"certificates")
    record = Provenance(program=program, target="x86_64-linux-musl", sbcl=SBCL)
    require_rebuildable(record)
    found = find_files(record, Places((here,)))
    assert None not in found.values()
    again = project_of(record, there, there / "out")
    lay_out(found, again, there, 0)
    assert again.sbcl == project.sbcl
    assert again.entry == "APP::MAIN"
    assert program_of(again, loaded(frozenset(f"{name}.lisp" for name in names)), b"certificates") == program


def test_a_system() -> None:
    record = Provenance(program=Program("x", "system", ("app/x",), options={"embed-ca": "true"}), sbcl=SBCL)
    project = project_of(record, Path("/w"), Path("/w/out"))
    assert (project.system, project.files, project.embed_ca) == ("app/x", (), True)
    assert project.default_name == "x"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (Program("d", "dump"), "by hand"),
        (Program("d", ""), "by hand"),
        (Program("d", "script"), "what was built"),
        (Program("d", "system", ("a", "b")), "what was built"),
        (Program("d", "script", ("../a.lisp",)), "outside its directory"),
        (Program("d", "script", ("a.lisp",), before=("load /etc/b.lisp",)), "outside its directory: /etc/b.lisp"),
        (Program("d", "script", ("a.lisp",), files=(File("x/../../y", SUM),)), "outside its directory"),
        (Program("d", "system", ("a",), headers=(File("/0/y", SUM),)), "outside its directory"),
    ],
)
def test_what_cannot_be_built_again(program: Program, reason: str) -> None:
    with pytest.raises(NotRebuildable) as caught:
        require_rebuildable(Provenance(program=program))
    assert reason in caught.value.why_text


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (Program("d", "system", ("a",), options={"archives": "a.a as a"}), "which archives"),
        (Program("d", "system", ("a",), before=("sing a song",)), "not known here: sing"),
    ],
)
def test_what_is_not_known_of_it(program: Program, reason: str) -> None:
    with pytest.raises(NotRebuildable) as caught:
        project_of(Provenance(program=program), Path("/w"), Path("/w/out"))
    assert reason in caught.value.why_text


def test_two_archives_of_one_name_are_two_files() -> None:
    options = {"archives": "a.a as x,a.a as y"}
    program = Program("d", "system", ("s",), options=options, archives=(File("a.a", SUM), File("a.a", "cd" * 32)))
    project = project_of(Provenance(program=program), Path("/w"), Path("/w/out"))
    wanted = {str(Path("/w") / one.path): one.file.sha256 for one in wanted_files(program)}
    assert [wanted[str(path)] for path, _ in project.archives] == [SUM, "cd" * 32]
    assert [soname for _, soname in project.archives] == ["x", "y"]


def test_a_directory_of_headers_in_which_nothing_was_keeps_its_number() -> None:
    program = Program("d", "system", ("s",), headers=(File("0/a.h", SUM), File("2/a.h", SUM)))
    project = project_of(Provenance(program=program), Path("/w"), Path("/w/out"))
    assert [path.name for path in project.include] == ["0", "1", "2"]


@given(st.text(alphabet="a./\0é", max_size=8))
def test_safe_names_stay_below(name: str) -> None:
    if is_safe(name):
        path = PurePosixPath("/w", name)
        assert ".." not in path.parts
        assert path.is_relative_to("/w")
        assert path != PurePosixPath("/w")


def test_names_that_are_not_safe() -> None:
    assert not [name for name in ("", "/", ".", "..", "/a", "a/../b", "../a", "a\0") if is_safe(name)]


def test_what_was_not_found_is_not_laid_out(tmp_path: Path) -> None:
    program = Program("d", "script", ("a.lisp",), files=(File("a.lisp", SUM),))
    record = Provenance(program=program)
    project = project_of(record, tmp_path, tmp_path / "out")
    lay_out(find_files(record, Places()), project, tmp_path, 0)
    assert not (tmp_path / "project" / "a.lisp").exists()
    assert replace(project).directory.is_dir()
