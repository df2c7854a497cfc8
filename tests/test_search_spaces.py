"""Design spaces: files, conditions, numbering, and spaces that cannot be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import CostModelError, SpecError, UnknownNameError, UsageError
from costmodel.search import list_spaces, load_space
from costmodel.search.expressions import Condition
from costmodel.zoo.families import design_text, family, read_design

SPACE = """
family: vit
parameters:
  depth: {from: 2, to: 6, step: 2}
  width: [192, 256]
  heads: [3, 4]
conditions:
  - width % heads == 0
"""


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    def call(text: str, name: str = "space.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return call


def test_every_space_that_ships_loads_and_names_its_parameters() -> None:
    assert len(list_spaces()) >= 7
    for name in list_spaces():
        space = load_space(name)
        assert space.description
        assert space.free
        assert all(space.meaning(parameter) for parameter in space.parameters)
        assert space.combinations == math.prod(len(c) for c in space.choices.values())


def test_enumeration_is_the_product_of_the_choices(write) -> None:  # type: ignore[no-untyped-def]
    space = load_space(write(SPACE))
    found = [(d["depth"], d["width"], d["heads"]) for d in space]
    assert found == [
        (depth, width, heads)
        for depth, width, heads in itertools.product((2, 4, 6), (192, 256), (3, 4))
        if width % heads == 0
    ]
    codes = space.enumerate()
    assert np.array_equal(space.codes([space.design(code) for code in codes]), codes)
    pieces = [space.numbered(i, i + 5) for i in range(0, space.combinations, 5)]
    assert np.array_equal(np.concatenate(pieces), codes)
    assert space.allowed(space.sample(100)).all()


def test_choices_can_be_narrowed_and_widened() -> None:
    space = load_space("fasternet").restricted(width=[96, 100], resolution=256)
    assert space.choices["width"] == (96, 100)
    assert space.choices["resolution"] == (256,)
    with pytest.raises(UsageError, match="resolution 225: expected a multiple of 32"):
        space.restricted(resolution=225)
    for value in (math.inf, math.nan):
        with pytest.raises(UsageError, match="expected a finite number"):
            space.restricted(ratio=value)


NUMBERS = {"a": np.array([1, 2, 3, 6]), "b": np.array([2.0, 2.0, 0.5, 3.0])}


@given(
    st.recursive(
        st.sampled_from(["a", "b", "2", "0.5"]),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
            lambda part: f"({part[0]} {part[1]} {part[2]})"
        ),
        max_leaves=6,
    ),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(["a", "b", "3"]),
)
def test_conditions_mean_what_python_means(left: str, sign: str, right: str) -> None:
    text = f"{left} {sign} {right}"
    expected = [
        eval(text, {}, {"a": int(a), "b": float(b)})
        for a, b in zip(NUMBERS["a"], NUMBERS["b"], strict=True)
    ]
    found = np.broadcast_to(Condition.parse(text).holds(NUMBERS), (4,))
    assert found.tolist() == expected


def test_conditions_join_and_chain() -> None:
    held = Condition.parse("1 < a <= 3 and not b == 0.5").holds(NUMBERS)
    assert held.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.real > 0",
        "[a for a in (1,)] == 1",
        "a ** 9 ** 9 > 1",
        "(lambda: 1)() > 0",
        "a + 1",
        "a >",
        "",
        "a == " + "(" * 300 + "1" + ")" * 300,
    ],
)
def test_conditions_are_no_code(text: str) -> None:
    with pytest.raises(UsageError, match="condition"):
        Condition.parse(text)


HOSTILE = {
    "empty list": ("parameters: {width: []}", "no choices, so the space is empty"),
    "no parameters key": ("", "parameters: field required"),
    "unknown parameter": ("parameters: {widht: 3}", "did you mean width"),
    "not finite": ("parameters: {ratio: .inf}", "ratio '.inf': expected a number"),
    "not a number": ("parameters: {ratio: .nan}", "ratio '.nan': expected a number"),
    "not whole": ("parameters: {depth1: 1.5}", "expected a whole number"),
    "negative": ("parameters: {depth1: -1}", "expected 0 to 64"),
    "wrong name": ("parameters: {kind1: pcnov}", "did you mean pconv"),
    "huge range": ("parameters: {width: {from: 8, to: 10e30}}", "values; expected 4096 at most"),
    "backwards": ("parameters: {width: {from: 64, to: 8}}", "an end above the start"),
    "endless": ("parameters: {width: {from: 8, to: .inf}}", "expected a list of choices, a range"),
    "no step": ("parameters: {width: {from: 8, to: 16, step: 0}}", "a step above 0"),
    "nested": ("parameters: {width: [[1]]}", "expected a list of choices"),
    "unknown key": ("parameters: {}\nparamters: {}", "paramters: extra inputs"),
    "unknown in condition": ("parameters: {}\nconditions: [widht > 3]", "did you mean width"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_spaces_give_one_clear_line(name: str, write) -> None:  # type: ignore[no-untyped-def]
    text, said = HOSTILE[name]
    with pytest.raises(CostModelError) as caught:
        load_space(write(f"family: fasternet\n{text}\n"))
    message = str(caught.value)
    assert said in message
    assert "\n" not in message


def test_unknown_names_and_files(write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownNameError, match="did you mean fasternet"):
        load_space("fasternt")
    with pytest.raises(UnknownNameError, match="known: decoder, dpconv"):
        load_space(write("family: nothing\nparameters: {}\n"))
    with pytest.raises(SpecError, match="readable file"):
        load_space("nowhere.yaml")
    with pytest.raises(SpecError):
        load_space(write("a: [1"))


def test_contradictory_and_enormous_spaces(write) -> None:  # type: ignore[no-untyped-def]
    text = SPACE.replace("width % heads == 0", "width < 100")
    space = load_space(write(text))
    with pytest.raises(UsageError, match="is empty: no design meets width < 100"):
        space.enumerate()
    with pytest.raises(UsageError, match="is empty"):
        space.sample(3)
    many = load_space("dpconv").restricted(
        **{f"ratio{i}": [k / 256 for k in range(1, 257)] for i in range(1, 14)}
    )
    assert many.combinations == 256**13  # 2 x 10^31
    with pytest.raises(UsageError, match=r"about 10\^31 combinations, too many"):
        many.enumerate()
    assert many.sample(5).shape == (5, len(many.parameters))


def test_designs_are_written_and_read(tmp_path: Path) -> None:
    found = family("fasternet")
    path = tmp_path / "design.yaml"
    path.write_text(design_text(found, {"width": 48, "kind4": "patconv"}, "a note"))
    again, parameters = read_design(path)
    assert again is found
    assert parameters == found.complete({"width": 48, "kind4": "patconv"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: space", "expected a design"),
        ("[1, 2]", "expected a design"),
        ("kind: design\nfamily: vit\nextra: 1", "unknown key 'extra'"),
        ("kind: design\nfamily: vit\nparameters: [1]", "expected a mapping"),
        ("kind: design\nfamily: vit\nparameters: {depth: 0}", "depth 0: expected 1 to 256"),
        ("kind: design\nfamily: vti", "did you mean vit"),
        ("a: b: c", "expected YAML"),
    ],
)
def test_files_that_are_no_designs(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(text)
    with pytest.raises(CostModelError, match=said):
        read_design(path)
