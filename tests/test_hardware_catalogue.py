"""Finding a device: by id, alias, driver's name or file, in the right folder."""

import shutil
import subprocess
import sys

import pytest

from costmodel.errors import SpecError, UnknownNameError, UsageError
from costmodel.hardware import catalogue, catalogue_folder, device_ids, list_devices, load_device


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("v100-pcie-32gb", "v100-pcie-32gb"),
        ("V100-SXM2", "v100-sxm2"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA_A100-PCIE-40GB", "a100-pcie-40gb"),
        ("Tesla_V100-PCIE-32GB", "v100-pcie-32gb"),
        ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
        ("Tesla_P100-PCIE-16GB", "p100-pcie"),
        ("Tesla P4", "p4"),
        ("Tesla_T4", "t4"),
        ("nvidia geforce rtx 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("AMD EPYC 73F3 16-Core Processor", "epyc-73f3"),
        ("Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz", "i9-10940x"),
        ("raspberry-pi-4", "cortex-a72"),
        ("  H100 ", "h100-sxm5"),
    ],
)
def test_names(name, device):
    assert load_device(name).id == device


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="rtx-3090") as caught:
        load_device("rtx3099")
    assert "rtx3090" in caught.value.nearest


def test_a_path_loads_that_file(tmp_path):
    path = tmp_path / "mine.yaml"
    shutil.copy(catalogue_folder() / "t4.yaml", path)
    assert load_device(path).id == "mine"
    assert load_device(str(path)).id == "mine"
    with pytest.raises(UsageError, match="there is no file"):
        load_device(tmp_path / "missing.yaml")


def test_own_folders_come_first(tmp_path, monkeypatch):
    text = (catalogue_folder() / "t4.yaml").read_text().replace("name: NVIDIA T4", "name: Mine")
    (tmp_path / "t4.yaml").write_text(text)
    assert load_device("t4").name == "NVIDIA T4"
    assert load_device("t4", folders=[tmp_path]).name == "Mine"
    assert load_device("Tesla T4", folders=[tmp_path]).name == "Mine"
    monkeypatch.setenv("COSTMODEL_DEVICES", str(tmp_path))
    assert load_device("t4").name == "Mine"
    (tmp_path / "extra-device.yaml").write_text(text.replace("aliases: [", "aliases: [extra, "))
    assert "extra-device" in device_ids()
    assert load_device("EXTRA").id == "extra-device"
    monkeypatch.setenv("COSTMODEL_DEVICES", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="expected a folder"):
        device_ids()


def test_listing_reports_the_problems_of_all_files(tmp_path):
    (tmp_path / "one.yaml").write_text("name: One")
    (tmp_path / "two.yaml").write_text("name: Two")
    with pytest.raises(SpecError) as caught:
        list_devices([tmp_path])
    text = "\n".join(caught.value.problems)
    assert "one.yaml:1:1" in text
    assert "two.yaml:1:1" in text


def test_a_lookup_parses_one_file_only(monkeypatch):
    read = []
    monkeypatch.setattr(catalogue, "_read", lambda path: read.append(path.stem))
    load_device("Tesla T4")
    load_device("v100-sxm2")
    assert read == ["t4", "v100-sxm2"]


def test_every_device_is_found_by_its_name_in_full():
    index = catalogue.alias_index(catalogue.device_files())
    for device in list_devices():
        name = catalogue._plain(device.name)
        assert index.get(name, name) == device.id


def test_scanned_aliases_are_the_parsed_ones():
    files = catalogue.device_files()
    for device in list_devices():
        assert catalogue.scan_aliases(files[device.id].read_text()) == list(device.aliases)


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("name: x\n", []),
        ("aliases: []\n", []),
        ("aliases: [a b, \"c, d\", 'e']\nkind: gpu\n", ["a b", "c, d", "e"]),
        ("aliases: [\n  a,\n  b\n]\n", ["a", "b"]),
        ('aliases:\n  - a b\n  - "c: d" # why\n  - Intel(R) x\nkind: gpu\n', None),
    ],
)
def test_scanning_forms_of_lists(text, aliases):
    expected = ["a b", "c: d", "Intel(R) x"] if aliases is None else aliases
    assert catalogue.scan_aliases(text) == expected


def test_importing_the_package_is_cheap():
    code = (
        "import sys; import costmodel.hardware as h; h.device_ids(); "
        "sys.exit(bool({'pydantic', 'pint', 'yaml', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
