"""README and docs against the project: links lead somewhere, commands parse, code names what exists, nothing is left undocumented."""

import doctest
import importlib.util
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest

import neus
from neus.cli import classic
from neus.cli.main import build_parser
from neus.runs.config import ExperimentConfig
from neus.runs.presets import PRESETS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAX_README_LINES = 250


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate():
    return loaded("generate")


@pytest.fixture(scope="module")
def pages(generate):
    """The generated pages by their file names."""
    return {name: page() for name, page in generate.PAGES.items()}


# Links


def anchors_in(text):
    """The anchors of a page's headings, as GitHub and mkdocs make them, and those given by hand."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE)
    by_hand = {anchor for heading in headings for anchor in re.findall(r"\{ *#(\S+) *\}", heading)}
    plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in headings]
    return by_hand | {re.sub(r"\s", "-", heading) for heading in plain}


def broken_links(path, text, pages):
    """Links of a file to files or headings that are not there."""
    broken = []
    for _, target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if place.parent == DOCS and path.parent == DOCS and place.name in pages:
            content = pages[place.name]
        elif place.exists():
            content = place.read_text(encoding="utf-8") if place.suffix == ".md" else ""
        else:
            broken.append(target)
            continue
        if anchor and anchor not in anchors_in(content):
            broken.append(target)
    return broken


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(path, pages):
    assert broken_links(path, path.read_text(encoding="utf-8"), pages) == []


def test_broken_links_are_found(pages):
    text = "[x](check.md) [x](gone.md) [x](check.md#findings) [x](check.md#gone) [x](https://a.b) ![x](images/no.png)"
    assert broken_links(DOCS / "x.md", text, pages) == [
        "gone.md", "check.md#gone", "images/no.png",
    ]  # fmt: skip
    assert broken_links(DOCS / "x.md", "[x](configuration.md) [x](configuration.md#gone)", pages) == ["configuration.md#gone"]


# Commands


def commands_in(text):
    """Calls of `neus` and `exp_runner.py` in Markdown: in code blocks, fenced or indented by four spaces, and in spans within text.

    Spans of a verb alone are names. Continuation lines are joined and comments cut off. Square brackets around optional parts
    are dropped, of alternatives (`ply|obj`) the first stands, and a single capital letter stands for a number. What contains
    `...` is no command.
    """
    fenced = [body for language, body in FENCE.findall(text) if language in ("", "bash", "sh", "text", "console")]
    indented = re.findall(r"^ {4}\S.*(?:\n(?: {4}.*))*", FENCE.sub("", text), re.MULTILINE)
    found = []
    for block in [*fenced, *indented]:
        for line in re.sub(r"\\\n", " ", block).splitlines():
            command = re.sub(r"\s#.*", "", line).strip().removeprefix("$ ")
            if re.match(r"(neus|python -m neus|python exp_runner\.py) ", command) and "..." not in command:
                found.append(command)
    spans = re.findall(r"`(neus \w+ [^`\n]+)`", FENCE.sub("", text))
    return found + [span.replace("\\|", "|") for span in spans if "..." not in span]


def words_of(command):
    words = []
    for word in shlex.split(command):
        if "=" not in word and not word.startswith(("box:", "-")):
            word = word.strip("[]").split("|")[0]
        word = word.strip("[]") if word.startswith(("[-", "-")) else word
        words.append("2" if re.fullmatch("[A-Z]", word) else word)
    return words[1:] if words[0] == "neus" else words[words.index("neus" if "neus" in words else "exp_runner.py") + 1 :]


def parsers_in(parser):
    """The parsers of verbs below a parser, by what is typed."""
    found = {}
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for verb in action.choices.values():
                found |= {verb.prog: verb, **parsers_in(verb)}
    return found


def parsed(command):
    words = words_of(command)
    if words[0].startswith("--") and "exp_runner.py" in command:
        return classic.build_parser().parse_args(words)
    return build_parser().parse_args(words)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_the_documentation_can_be_parsed(path):
    for command in commands_in(path.read_text(encoding="utf-8")):
        try:
            parsed(command)
        except SystemExit:
            pytest.fail(f"{path.name}: {command}")


def test_the_examples_in_the_help_can_be_parsed():
    epilogs = [verb.epilog.replace("example:", "") for verb in parsers_in(build_parser()).values() if verb.epilog]
    lines = [re.sub(r"\s#.*", "", line).strip() for epilog in epilogs for line in epilog.splitlines()]
    examples = [line for line in lines if line.startswith("neus ")]
    assert len(examples) > 10
    for example in examples:
        try:
            parsed(example)
        except SystemExit:
            pytest.fail(example)


def test_commands_are_found_and_wrong_ones_refused():
    text = """
Text with `neus bench` in it, and `neus report RUN`.

    neus train SCENE [--holdout K] \\
        --minutes 2      # a comment

```bash
python exp_runner.py --mode train|validate_mesh --conf confs/wmask.conf [--gpu 0]
neus mesh RUN --out FILE.ply|obj
neus evaluate RUN ...
```
"""
    commands = commands_in(text)
    options = [parsed(command) for command in sorted(commands)]
    assert [getattr(o, "verb", o) for o in options[:3]] == ["mesh", "report", "train"] and len(options) == 4
    assert options[2].holdout == 2 and options[3].mode == "train"
    with pytest.raises(SystemExit):
        parsed("neus train SCENE --epochs 3")


def test_the_readme_begins_with_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(commands_in(text)) > 8 and len(text.splitlines()) <= MAX_README_LINES


# Code


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_the_documentation_compiles_and_names_what_neus_offers(path):
    text = path.read_text(encoding="utf-8")
    for language, body in FENCE.findall(text):
        if language == "python":
            compile(body, str(path), "exec")
            names = set(re.findall(r"\bneus\.([A-Za-z_]\w*)\(", body))
            assert names <= set(neus.__all__), f"{path}: {names - set(neus.__all__)}"


# Generated pages


def undocumented_keys(generate, config):
    return [
        f"{path}.{field.name}".strip(".")
        for path, section in generate.sections_of(config)
        for field in fields(section)
        if not is_dataclass(getattr(section, field.name)) and len(generate.meanings_of(type(section)).get(field.name, "")) < 5
    ]


def test_every_key_of_a_config_says_what_it_means(generate):
    assert undocumented_keys(generate, ExperimentConfig()) == []


def test_a_key_without_a_meaning_is_found(generate):
    assert doctest.testmod(generate).failed == 0

    @dataclass
    class Section:
        """Something.

        Attributes:
            known: what this
                means.
        """

        known: int = 1
        other: int = 2

    assert undocumented_keys(generate, Section()) == ["other"]
    assert generate.meanings_of(Section) == {"known": "what this means."}


def test_the_configuration_page_has_every_key_with_its_default(generate, pages):
    page = pages["configuration.md"]
    sections = [section for _, section in generate.sections_of(ExperimentConfig())]
    n_keys = sum(not is_dataclass(getattr(section, field.name)) for section in sections for field in fields(section))
    assert n_keys > 100 and page.count("\n| `") == n_keys + len(PRESETS)
    assert "\n| `end_iter` | whole number, at least 1 | `300000` | `4000` | total" in page
    assert "## `model.hash_sdf.color_grid`" in page


def test_the_command_line_page_has_every_verb_and_option(pages):
    page = pages["command_line.md"]
    verbs = parsers_in(build_parser())
    assert {"neus reconstruct", "neus train", "neus prior fit"} <= verbs.keys()
    for name, verb in verbs.items():
        _, _, after = page.partition(f"# `{name}`\n")
        section = re.split(r"\n##+ ", after)[0]
        for action in verb._actions:
            if action.dest != "help" and action.choices is None:
                assert action.help, (name, action.dest)
                assert all(option in section for option in action.option_strings), (name, action.option_strings)


def test_the_api_page_has_every_public_name_once(generate, pages):
    for name in set(neus.__all__) - {"__version__"}:
        assert pages["python_api.md"].count(f'heading: "neus.{name}"') == 1, name
    assert {name for names in generate.API.values() for name in names} <= set(neus.__all__)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the packages of `make docs` are not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout + done.stderr == "", done.stdout + done.stderr
    built = (tmp_path / "site" / "python_api.html").read_text(encoding="utf-8")
    assert "Chamfer" in built and "(V, 3, 3)" in built  # docstrings are filled in
    index = (tmp_path / "site" / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "train.guided_sampling" in index and "neus reconstruct" in index
    for page in (tmp_path / "site").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', text), page.name
