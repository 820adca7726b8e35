import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from neus.errors import InputError
from neus.runs.config import read_config
from neus.runs.presets import PRESETS, found_conf, preset_of_name, shipped_conf

ROOT = Path(__file__).parents[2]


def test_every_preset_names_two_configs_that_can_be_read():
    for preset in PRESETS.values():
        with_masks, without = (read_config(preset.conf(has_masks)) for has_masks in (True, False))
        assert with_masks.train.mask_weight > 0 and without.train.mask_weight == 0


def test_an_unknown_preset_or_config_is_named_with_those_there_are():
    with pytest.raises(InputError, match="preset 'fast': expected one of quick, best, paper"):
        preset_of_name("fast")
    with pytest.raises(InputError, match=r"no\.conf: no such config; shipped are .*wmask\.conf"):
        shipped_conf("no.conf")


def test_a_bare_name_is_a_shipped_config_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found_conf(Path("wmask.conf")).samefile(ROOT / "confs" / "wmask.conf")
    assert read_config(Path("wmask.conf")) == read_config(ROOT / "confs" / "wmask.conf")
    with pytest.raises(InputError, match=r"confs/wmask\.conf: no such config file. Did you mean wmask\.conf\?"):
        read_config(Path("confs/wmask.conf"))  # a path is taken as it stands


def test_a_file_in_the_current_folder_wins_over_the_shipped_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wmask.conf").write_text("train.seed = 7\n")
    assert read_config(Path("wmask.conf")).train.seed == 7


def test_configs_and_type_marker_are_in_the_wheel_and_found_there(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("neus", "confs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", "wheels"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    installed = tmp_path / "site-packages"
    with zipfile.ZipFile(next((tmp_path / "wheels").glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    assert (installed / "neus" / "py.typed").is_file()
    assert {p.name for p in (installed / "neus" / "confs").iterdir()} == {p.name for p in (ROOT / "confs").iterdir()}
    code = "from neus.runs.presets import shipped_conf; print(shipped_conf('quick_wmask.conf'))"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    (tmp_path / "elsewhere").mkdir()
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True,
        check=True, timeout=60,
    ).stdout  # fmt: skip
    assert Path(said.strip()) == installed / "neus" / "confs" / "quick_wmask.conf"
