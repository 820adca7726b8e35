"""What the project's files say of each other."""

import tomllib
from pathlib import Path

from neus.version import VERSION
from tests.test_floors import FLOORS

ROOT = Path(__file__).parents[1]


def test_contributing_names_the_packages_in_the_order_of_imports():
    assert " -> ".join(FLOORS) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version():
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_requirements_are_the_dependencies_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("=")[0].split(">")[0] for line in lines if not line.startswith("#")}
    assert pinned == {dependency.split(">")[0] for dependency in project["dependencies"]}


def test_the_makefile_installs_what_the_extras_list():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in (*extras["test"], *extras["docs"]) if f'"{name}"' not in makefile] == []


def test_every_make_target_of_the_checks_exists():
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    for place in (".ci/run", ".github/workflows/ci.yml"):
        words = (ROOT / place).read_text(encoding="utf-8").split()
        targets = [target for word, target in zip(words, words[1:]) if word == "make"]
        assert {"test", "test-slow", "test-triton", "lint"} <= set(targets)
        assert all(f"\n{target}: $(VENV)/installed" in made for target in targets)
