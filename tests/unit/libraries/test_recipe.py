from __future__ import annotations

import re
import tomllib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.errors import BadPin, BadRecipe, NoSuchRecipe, RecipeCycle
from monolisp.libraries.recipe import (
    FOLDER,
    Build,
    Cookbook,
    Recipe,
    Step,
    ordered,
    parse_recipe,
)

BOOK = Cookbook()

TEXT = f"""
summary = "A library"
sonames = ["libthing"]
headers = ["thing.h", "thing/"]
packages = ["thing-1.0"]
archives = ["libthing.a"]
depends = ["zlib"]
tools = ["m4"]
seconds = 7

[source]
name = "thing"
version = "1.2"
licence = "MIT"

[[source.place]]
url = "https://example.org/thing-1.2.tar.gz"
sha256 = "{"0123456789abcdef" * 4}"
size = 12

[build]
system = "autotools"
configure = ["--quick"]
environment = {{ THING = "{{prefix}}" }}

[[build.step]]
run = ["sh", "-c", "true"]
directory = "doc"
"""
TOP = ("summary", "sonames", "headers", "packages", "archives", "depends", "tools", "seconds")
BUILD = ("system", "configure", "environment")
DEFAULTS: dict[str, object] = {
    "sonames": (),
    "headers": (),
    "packages": (),
    "depends": (),
    "tools": (),
    "seconds": 10.0,
    "configure": (),
    "environment": None,
}


def without(key: str) -> str:
    return re.sub(rf"^{key} = .*\n", "", TEXT, flags=re.MULTILINE)


def value_of(recipe: Recipe, key: str) -> object:
    return getattr(recipe.build if key in BUILD else recipe, key)


def test_what_a_recipe_says() -> None:
    recipe = parse_recipe("thing", TEXT)
    assert (recipe.name, recipe.summary, recipe.version) == ("thing", "A library", "1.2")
    assert recipe.sonames == ("libthing",)
    assert recipe.headers == ("thing.h", "thing/")
    assert recipe.packages == ("thing-1.0",)
    assert recipe.archives == ("libthing.a",)
    assert recipe.depends == ("zlib",)
    assert recipe.tools == ("m4",)
    assert recipe.seconds == 7.0
    assert recipe.source is not None and recipe.source.licence == "MIT"
    assert recipe.build == Build(
        "autotools",
        configure=("--quick",),
        environment={"THING": "{prefix}"},
        step=(Step(("sh", "-c", "true"), "doc"),),
    )


@pytest.mark.parametrize("key", DEFAULTS)
def test_what_may_be_left_out(key: str) -> None:
    assert value_of(parse_recipe("thing", without(key)), key) == DEFAULTS[key]


def test_the_library_of_zig_needs_no_source() -> None:
    text = 'summary = "C++"\narchives = ["libc++.a"]\n[build]\nsystem = "libcxx"\n'
    assert parse_recipe("libcxx", text).version == "of zig"


@pytest.mark.parametrize("key", ["summary", "archives"])
def test_what_is_missing(key: str) -> None:
    with pytest.raises(BadRecipe, match=f"{key} is missing"):
        parse_recipe("thing", without(key))


def test_a_source_is_needed() -> None:
    text = TEXT[: TEXT.index("[source]")] + TEXT[TEXT.index("[build]") :]
    with pytest.raises(BadRecipe, match="source is missing"):
        parse_recipe("thing", text)


def test_what_is_no_toml() -> None:
    with pytest.raises(BadRecipe, match=r"recipes/thing\.toml"):
        parse_recipe("thing", "summary = ")


def test_the_faults_of_a_pin_are_those_of_the_recipe() -> None:
    with pytest.raises(BadPin, match="sha256"):
        parse_recipe("thing", TEXT.replace("0123456789abcdef" * 4, "0123"))


def test_a_misspelt_key_is_recognised() -> None:
    with pytest.raises(BadRecipe, match=r"unknown key soname \(did you mean sonames\?\)"):
        parse_recipe("thing", TEXT.replace("sonames", "soname"))


def test_an_unknown_build_system() -> None:
    with pytest.raises(BadRecipe, match="must be one of autotools, compile, steps, libcxx"):
        parse_recipe("thing", TEXT.replace('"autotools"', '"bazel"'))


def test_the_faults_of_steps() -> None:
    with pytest.raises(BadRecipe, match=r"build.step 1: run has the wrong type.*build.step 1: directory has the wrong"):
        parse_recipe("thing", TEXT.replace('["sh", "-c", "true"]', "7").replace('"doc"', "[]"))
    with pytest.raises(BadRecipe, match=r"build.step 1: is no table"):
        parse_recipe("thing", TEXT[: TEXT.index("[[build.step]]")] + 'step = ["make"]\n')


@pytest.mark.parametrize("run", ["", "run = []"])
def test_a_step_needs_a_command(run: str) -> None:
    with pytest.raises(BadRecipe, match=r"build.step 1: run is missing"):
        parse_recipe("thing", TEXT.replace('run = ["sh", "-c", "true"]', run))


def test_the_environment_holds_strings() -> None:
    with pytest.raises(BadRecipe, match=r"build.environment must be a table of strings"):
        parse_recipe("thing", TEXT.replace('"{prefix}"', "7"))


@given(st.sets(st.sampled_from(TOP + BUILD), min_size=1), st.booleans())
def test_every_fault_is_reported(keys: set[str], spoil_type: bool) -> None:
    """Several keys at once are misspelt, or have a value of a type that no key has."""
    text = TEXT
    for key in keys:
        changed = rf"{key} = 1979-05-27" if spoil_type else r"\g<0>_ = 1 # "
        pattern = rf"^{key} = .*$" if spoil_type else rf"^{key}"
        text = re.sub(pattern, changed, text, flags=re.MULTILINE)
    with pytest.raises(BadRecipe) as caught:
        parse_recipe("thing", text)
    for key in keys:
        name = f"build.{key}" if key in BUILD else key
        fault = f"{name} has the wrong type" if spoil_type else f"unknown key {name}_"
        assert fault in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_is_refused(text: str) -> None:
    with pytest.raises(BadRecipe):
        parse_recipe("thing", text)


@given(st.lists(st.sampled_from(TEXT.splitlines()), max_size=30))
def test_any_lines_are_a_recipe_or_are_refused(lines: list[str]) -> None:
    try:
        parse_recipe("thing", "\n".join(lines))
    except (BadRecipe, BadPin) as error:
        assert "recipes/thing.toml" in str(error)


def recipe_needing(name: str, *depends: str) -> Recipe:
    quoted = ", ".join(f'"{other}"' for other in depends)
    return parse_recipe(name, TEXT.replace('depends = ["zlib"]', f"depends = [{quoted}]"))


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), st.permutations(range(8)))
def test_dependents_come_before_what_they_need(edges: list[tuple[int, int]], wanted: list[int]) -> None:
    needs = {n: {low for high, low in edges if high == n and low < high} for n in range(8)}
    recipes = {f"l{n}": recipe_needing(f"l{n}", *(f"l{low}" for low in sorted(needs[n]))) for n in range(8)}
    order = [recipe.name for recipe in ordered([f"l{n}" for n in wanted], recipes.__getitem__)]
    assert sorted(order) == sorted(recipes)
    for name, recipe in recipes.items():
        assert all(order.index(name) < order.index(other) for other in recipe.depends)


def test_a_cycle_is_shown() -> None:
    recipes = {"a": recipe_needing("a", "b"), "b": recipe_needing("b", "c"), "c": recipe_needing("c", "b")}
    with pytest.raises(RecipeCycle, match="b → c → b"):
        ordered(["a"], recipes.__getitem__)


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(NoSuchRecipe, match="zlib"):
        BOOK.find("zlb")


# The recipes of the tree.


@pytest.mark.parametrize("name", BOOK.names)
def test_a_recipe_of_the_tree(name: str) -> None:
    recipe = BOOK.find(name)
    assert re.fullmatch(r"[a-z][a-z0-9_+-]*", name)
    assert recipe.summary and not recipe.summary.endswith(".")
    assert all(re.fullmatch(r"lib[\w+.-]+\.a", archive) for archive in recipe.archives)
    assert all(re.fullmatch(r"lib[\w+-]+", soname) for soname in recipe.sonames), "no ending, no version"
    assert set(recipe.depends) <= set(BOOK.names)
    assert all((FOLDER / file).is_file() for file in recipe.ours)
    assert recipe.build.system == "libcxx" or recipe.source is not None


@pytest.mark.parametrize("name", BOOK.names)
def test_a_recipe_has_its_proof(name: str) -> None:
    """recipes/NAME.lisp prints "NAME ok" when the library works."""
    program = (FOLDER / f"{name}.lisp").read_text(encoding="utf-8")
    assert "(defun main ()" in program
    assert f'"{name} ok~%"' in program


def test_no_two_recipes_claim_the_same() -> None:
    recipes = BOOK.recipes.values()
    for key in ("sonames", "headers", "packages", "archives"):
        claims = Counter(claim for recipe in recipes for claim in getattr(recipe, key))
        assert [claim for claim, number in claims.items() if number > 1] == []
    folders = [header for recipe in recipes for header in recipe.headers if header.endswith("/")]
    files = [header for recipe in recipes for header in recipe.headers if not header.endswith("/")]
    assert [file for file in files if file.startswith(tuple(folders))] == []


def test_the_recipes_of_the_tree_have_an_order() -> None:
    assert {recipe.name for recipe in BOOK.ordered(BOOK.names)} == set(BOOK.names)


def test_no_recipe_names_a_mirror() -> None:
    """Which mirror of Debian is used is the machine's own business."""
    for recipe in BOOK.recipes.values():
        assert not re.search(r"(deb|snapshot|ftp\.\w+)\.debian\.(org|net)", recipe.text)


def test_the_doctor_knows_every_tool() -> None:
    """What a recipe needs, `monolisp doctor` says how to install."""
    table = tomllib.loads((FOLDER.parents[1] / "toolchain" / "doctor.toml").read_text(encoding="utf-8"))
    known = {program for need in table["need"] for program in need.get("of", ())}
    assert {tool for recipe in BOOK.recipes.values() for tool in recipe.tools} <= known
