"""Files with mistakes: all are reported at once, each with its place, and never a traceback."""

from pathlib import Path

import pytest

from costmodel.documents import MAX_BYTES, read_text
from costmodel.errors import SpecError
from costmodel.hardware import catalogue_folder, new_profile_text, schema, validate_file
from costmodel.hardware.json_schema import FILE_NAME, schema_text
from costmodel.hardware.validation import parse_profile

BROKEN = Path(__file__).parent / "test_hardware_broken"


@pytest.mark.parametrize("name", ["units", "structure", "sources", "contradictions", "yaml"])
def test_all_mistakes_at_once(name, monkeypatch):
    monkeypatch.chdir(BROKEN)
    expected = (BROKEN / f"{name}.txt").read_text().splitlines()
    assert validate_file(f"{name}.yaml") == expected
    assert len(expected) >= 5


def test_every_catalogue_file_is_valid():
    for path in sorted(catalogue_folder().glob("*.yaml")):
        assert validate_file(path) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1 .: expected a mapping, the file is empty"),
        ("[1, 2]", "1:1 .: expected a mapping of fields"),
        ("just text", "1:1 .: expected a mapping of fields"),
        ("a: b: c", "1:5 .: expected YAML"),
        ("a: *nothing", "1:4 .: expected YAML (found undefined alias"),
        ("a: [1, 2", "expected YAML"),
        ("a: 1\n---\nb: 2", "2:1 .: expected YAML (but found another document)"),
        ("{" * 5000, "expected YAML"),
        ("- " * 5000, "expected at most 12 levels of nesting"),
        ("\x00", "1:1 .: expected YAML"),
        ("x" * (MAX_BYTES + 1), "1:1 .: expected at most 256 KiB"),
    ],
)
def test_what_is_no_profile(text, problem):
    with pytest.raises(SpecError) as caught:
        parse_profile("some-device", text)
    assert any(problem in line for line in caught.value.problems)


def test_a_billion_laughs_are_refused():
    lines = ["a0: &a0 [ha, ha]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 30)]
    document = read_text("\n".join(lines))
    assert "without an anchor" in document.problems[0].message


def test_files_that_cannot_be_read(tmp_path):
    assert "readable file" in validate_file(tmp_path / "missing.yaml")[0]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9")
    assert "UTF-8" in validate_file(latin)[0]
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * (MAX_BYTES + 1))
    assert "256 KiB" in validate_file(huge)[0]


def test_the_file_name_is_the_id(tmp_path):
    path = tmp_path / "My GPU.yaml"
    path.write_text((catalogue_folder() / "t4.yaml").read_text())
    assert "lower case with hyphens" in validate_file(path)[0]


def test_the_template_lists_what_is_to_be_filled_in(tmp_path):
    path = tmp_path / "new-device.yaml"
    path.write_text(new_profile_text('New "Device": one'))
    problems = validate_file(path)
    assert len(problems) > 20
    assert any("vendor: expected text, got 'FILL IN'" in problem for problem in problems)
    assert not any("expected YAML" in problem or "no field" in problem for problem in problems)


def test_the_committed_schema_is_up_to_date():
    committed = (catalogue_folder() / FILE_NAME).read_text()
    assert committed == schema_text(), "run python -m costmodel.hardware.json_schema"


def test_every_field_of_the_schema_is_documented():
    document = schema()
    for name, part in {"DeviceProfile": document, **document["$defs"]}.items():
        assert part.get("description"), name
        for field, content in part["properties"].items():
            assert content.get("description"), f"{name}.{field}"


def test_the_schema_has_no_id_and_takes_no_bare_numbers():
    document = schema()
    assert "id" not in document["properties"]
    value = document["$defs"]["Bandwidth"]["properties"]["value"]
    assert [choice["type"] for choice in value["anyOf"]] == ["string", "null"]


@pytest.mark.parametrize("key", ["k\n\nind", '"k\\nind": x', '"\\n": x'])
def test_a_key_over_several_lines_is_reported_in_one(key):
    text = (catalogue_folder() / "t4.yaml").read_text()
    (units,) = (line for line in text.splitlines() if line.startswith("  units: {value: 40,"))
    assert "kind: datasheet" in units
    with pytest.raises(SpecError) as caught:
        parse_profile("t4", text.replace(units, units.replace("kind: datasheet", key)))
    assert all("\n" not in problem for problem in caught.value.problems)
    assert any("compute.units" in problem for problem in caught.value.problems)


def test_a_line_repeated_hundreds_of_times_is_not_told_hundreds_of_times() -> None:
    document = read_text("a: 1\n" * 3000)
    told = document.describe(document.problems)
    assert len(told) == 41
    assert told[-1] == "<text>: 2959 more"
