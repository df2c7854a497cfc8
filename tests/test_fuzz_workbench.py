"""The workbench met with hostile links, form values, downloads and files: a page every time."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("dash", reason="the workbench needs the extra app")
pytest.importorskip("waitress", reason="the workbench needs the extra app")

from hypothesis import given
from hypothesis import strategies as st

from costmodel.workbench import answers, create_app
from costmodel.workbench.state import default_state, read_query, read_values
from costmodel.workbench.tasks import TASKS
from costmodel.workbench.uploads import Uploads
from tests.fuzzing import ODD_NUMBERS, ODD_TEXTS, ODD_WORDS, cases, drew

NAMES = [*default_state().values(), "none", "", "__class__", "tab[]"]
USUAL = st.sampled_from(
    [
        "design", "calculator", "scaling", "devices", "onnx", *TASKS, "t4", "epyc-73f3@1",
        "stm32h743", "t4,v100-sxm2", "fp32", "int8", "1", "2", "8", "64", "224", "0.5", "1/4",
        "pconv", "0f" * 32,
    ]
)  # fmt: skip
TEXTS = st.one_of(USUAL, USUAL, ODD_TEXTS, ODD_WORDS)
ANY = st.one_of(
    TEXTS,
    ODD_NUMBERS,
    st.none(),
    st.sampled_from(
        [[], {}, [None], ["t4", "t4"], [["t4"]], {"a": 1}, b"\xff", 10**4000, "t4," * 99]
    ),
)
ANSWERS = (
    answers.draw, answers.recommend, answers.calculate, answers.scale, answers.compare,
    answers.Onnx(Uploads()).predict,
)  # fmt: skip
SCREENS = st.sampled_from([None, {"mode": "dark", "width": 400}, {}, "wide", {"width": "x"}, []])


@st.composite
def queries(draw: st.DrawFn) -> str:
    """A link of any kind, well or ill formed."""
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=6))
    if draw(st.booleans()):
        return "?" + "&".join(f"{name}={quote(text, errors='replace')}" for name, text in pairs)
    return draw(st.sampled_from(["", "?", "&"])) + "&".join("=".join(pair) for pair in pairs)


@cases(250)
@given(queries())
def test_links(query: str) -> None:
    drew("links of the workbench")
    reading = read_query(query)
    assert all(problem and "\n" not in problem for problem in reading.problems)
    again = read_query(reading.state.to_query())
    assert again.state == reading.state
    assert again.problems == ()


@cases(100)
@given(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=6))
def test_form_values(values: dict[str, Any]) -> None:
    drew("forms of the workbench")
    reading = read_values(values)
    assert read_query(reading.state.to_query()).state == reading.state
    assert len("".join(reading.problems)) < 5000


@cases(4)
@given(query=queries(), screen=SCREENS, answer=st.sampled_from(ANSWERS))
def test_answers(query: str, screen: Any, answer: Any) -> None:
    drew("answers of the workbench")
    assert answer(query, screen) is not None


@pytest.fixture(scope="module")
def client() -> Any:
    return create_app(max_upload=4096).server.test_client()


@cases(12)
@given(
    name=st.one_of(
        st.sampled_from(["design.yaml", "design.csv", "design.py"]),
        ODD_TEXTS.map(lambda text: quote(text, safe="", errors="replace")),
    ),
    query=queries(),
)
def test_downloads(client: Any, name: str, query: str) -> None:
    drew("downloads of the workbench")
    address = f"/export/{name}?{query.encode(errors='replace').decode()}"
    answer = client.get(re.sub(r"[\x00-\x20#]", "", address))
    assert answer.status_code in (200, 400, 404), answer.data
    assert b"Traceback" not in answer.data


@cases(60)
@given(
    data=st.one_of(st.binary(max_size=60), st.sampled_from([b"\x08\x09", b"PK\x03\x04" * 99])),
    head=st.sampled_from(["data:;base64,", "", ",", "data:,,"]),
    tail=st.sampled_from(["", "=", "é", "\ud800", "A" * 9000]),
    name=st.one_of(st.just("a.onnx"), ODD_TEXTS.map(lambda text: text + ".onnx"), ODD_TEXTS),
)
def test_uploads(data: bytes, head: str, tail: str, name: str) -> None:
    drew("uploads to the workbench")
    content = head + base64.b64encode(data).decode() + tail
    digest, problems = answers.Onnx(Uploads(max_bytes=4096)).receive(content, name)
    assert (problems != []) != isinstance(digest, str)
