"""The formula book: every formula is in it, can be typeset, and has the right numbers."""

from __future__ import annotations

import re

import pytest

from costmodel.formulas import formula_names, get_formula
from costmodel.formulas.symbols import MEANING
from costmodel.reports.formula_book import VALUES, formula_book

BOOK = formula_book()


def section(name: str) -> str:
    found = re.search(rf"^### {re.escape(name)}$(.*?)(?=^##|\Z)", BOOK, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def test_every_formula_has_a_section_with_its_source() -> None:
    for name in formula_names():
        assert f"Source: {get_formula(name).source}." in section(name)


def test_every_symbol_has_a_meaning_and_a_value() -> None:
    assert set(VALUES) == set(MEANING)
    for name in {symbol for f in formula_names() for symbol in get_formula(f).symbols}:
        assert f"| `{name}` | {MEANING[name]} |" in BOOK


def test_the_numbers_of_a_convolution_worked_by_hand() -> None:
    """64 to 128 channels, 3 x 3, 56 x 56, with a bias, in float32."""
    macs, weights = 56 * 56 * 9 * 64 * 128, 9 * 64 * 128 + 128
    read, written = 4 * (64 * 56 * 56 + weights), 4 * 128 * 56 * 56
    text = section("conv2d")
    assert f"- multiply-accumulates: {macs:,} MACs" in text
    assert f"- parameters: {weights:,}\n" in text
    assert f"- bytes read: {read:,} B" in text
    assert f"- bytes written: {written:,} B" in text


def test_published_approximations_stand_beside_the_exact_count() -> None:
    text = section("pconv")
    assert "Published: MACs = `h·w·c_p²·k²`; the exact count here is the same." in text
    exact = (2 * 16 * 56 * 56 + 9 * 16 * 16) / (2 * 16 * 56 * 56)
    assert f"the exact count here is {exact:.4g} times it" in text


def test_a_block_names_its_parts() -> None:
    assert "Parts: depthwise, pointwise." in section("separable")


def test_the_mathematics_can_be_typeset() -> None:
    """By the converter to MathML that the documentation is built with."""
    tex2mathml = pytest.importorskip("docutils.utils.math.latex2mathml", reason="extra: docs")
    shown = re.findall(r"^\$\$\n(.*?)\n\$\$$", BOOK, re.MULTILINE | re.DOTALL)
    assert len(shown) == len(formula_names())
    for latex in shown:
        assert "<math" in tex2mathml.tex2mathml(latex, as_block=True)
