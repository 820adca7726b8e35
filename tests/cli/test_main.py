import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

import neus
from neus.cli import main as main_module
from neus.errors import InputError, InputWarning, TrainingDiverged

ROOT = Path(__file__).parents[2]


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_help_names_every_verb(neus_command):
    status, out, err = neus_command("--help")
    assert status == 0 and not err
    for verb in ("train", "mesh", "render", "evaluate", "report", "compare", "bench", "demo", "check"):
        assert any(line.strip().startswith(verb) for line in out)


@pytest.mark.parametrize("verb", ["train", "mesh", "render", "evaluate", "report", "compare", "bench", "demo", "check"])
def test_every_verb_explains_itself_with_an_example(neus_command, verb):
    status, out, _ = neus_command(verb, "--help")
    assert status == 0
    assert any(f"neus {verb}" in line and "example" in line for line in out)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb, and under "neus" that of all."""
    parser = main_module.build_parser()
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {"neus": parser, **verbs.choices}


def parsers_with_options() -> dict[str, argparse.ArgumentParser]:
    """The same, with the actions of a verb that has some in its place."""
    found = {}
    for name, parser in parsers().items():
        actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction) and a.dest == "action"]
        found |= {f"{name} {action}": p for a in actions for action, p in a.choices.items()} or {name: parser}
    return found


@pytest.mark.parametrize("verb", parsers_with_options())
def test_every_help_text_begins_with_a_capital_letter_and_options_stand_in_groups(verb):
    parser = parsers_with_options()[verb]
    helps = {"/".join(a.option_strings) or a.dest: a.help for a in parser._actions if a.dest != "verb"}
    assert [name for name, text in helps.items() if not text or not text[0].isupper() and text[0] != "`"] == []
    assert parser.description[0].isupper()
    if verb != "neus":
        titles = [group.title for group in parser._action_groups if group._group_actions]
        assert len(titles) >= 3, titles  # argparse's own group holds --help


def test_the_summaries_of_the_verbs_begin_with_a_capital_letter(neus_command):
    _, out, _ = neus_command("--help")
    (start,) = (number for number, line in enumerate(out) if line.strip() == "VERB")
    verbs = [line.split(maxsplit=1) for line in out[start + 1 :] if line.startswith("    ") and line[4] != " "]
    assert len(verbs) == len(parsers()) - 1 and all(summary[0].isupper() for _, summary in verbs)


def test_without_arguments_the_workflow_and_the_presets_are_shown(neus_command):
    status, out, err = neus_command()
    assert status == 0 and not err
    lines = [line.strip() for line in out]
    workflow = lines[lines.index("workflow:") + 1 :][:3]
    assert [line.split()[1] for line in workflow] == ["train", "mesh", "render"]
    assert {"quick", "best", "paper"} <= {line.split()[0] for line in lines if line}


def test_version(neus_command):
    assert neus_command("--version") == (0, [f"neus {neus.__version__}"], [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "invalid choice: 'trian'"),
        (["train"], "SCENE is missing"),
        (["train", "--run", "x", "--seed", "one"], "argument --seed: found 'one', expected a whole number"),
        (["train", "--run", "x", "--holdout", "-1"], "argument --holdout: found -1, expected at least 0"),
        (["train", "--run", "x", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["mesh", "x", "--resolution", "2"], "argument --resolution: found 2, expected at least 8"),
        (["mesh", "x", "--frame", "moon"], "invalid choice: 'moon'"),
        (["render", "x"], "one of the arguments --views --between --orbit --spiral --path is required"),
        (["render", "x", "--views", "a"], "argument --views: found 'a', expected numbers separated by commas"),
        (
            ["render", "x", "--views", "0", "--what", "rgb,normals"],
            "argument --what: found 'normals', expected some of photo,rgb,",
        ),
        (["render", "x", "--views", "0", "--scale", "0"], "argument --scale: found 0, expected a number above 0"),
        (["render", "x", "--views", "0", "--scale", "nan"], "argument --scale: found nan, expected a number above 0"),
        (["render", "x", "--views", "0", "--scale", "1", "--width", "5"], "not allowed with argument"),
        (["render", "x", "--orbit", "1"], "argument --orbit: found 1, expected at least 2"),
    ],
    ids=" ".join,
)
def test_a_mistyped_command_is_explained_in_one_line(neus_command, arguments, said):
    status, out, err = neus_command(*arguments)
    assert status == 2 and not out
    assert len(err) == 1 and err[0].startswith("error: ") and said in err[0]


def test_help_does_not_wait_for_heavy_imports():
    code = "import sys; from neus.cli.main import build_parser; build_parser(); sys.exit('torch' in sys.modules)"
    assert python("-c", code).returncode == 0


@pytest.mark.parametrize("command", [["-m", "neus"], ["exp_runner.py"]], ids=" ".join)
def test_all_doors_lead_to_the_same_command_line(command):
    result = python(*command, "--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"neus {neus.__version__}")


def test_a_user_error_ends_the_process_with_status_2_and_one_line():
    result = python("exp_runner.py", "mesh", "nowhere", "--device", "cpu")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: nowhere: ")


def run_instead(monkeypatch, function):
    from neus.cli import evaluate

    monkeypatch.setattr(evaluate, "run", lambda options: function())


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("x: wrong; mend it."), 2, "error: x: wrong; mend it."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (TrainingDiverged("diverged"), 1, "error: diverged"),
        (
            PermissionError(13, "Permission denied", "x.png"),
            2,
            "error: x.png: Permission denied; check that it can be read and written.",
        ),
    ],
)
def test_errors_become_one_line_and_a_status(neus_command, monkeypatch, error, status, line):
    def fail():
        raise error

    run_instead(monkeypatch, fail)
    assert neus_command("evaluate", "x") == (status, [], [line])


def test_a_bug_is_not_hidden(neus_command, monkeypatch):
    run_instead(monkeypatch, lambda: {}["missing"])
    with pytest.raises(KeyError):
        neus_command("evaluate", "x")


def test_errors_of_opencv_are_one_line(neus_command, monkeypatch):
    run_instead(monkeypatch, lambda: cv2.cvtColor(np.zeros((0, 0, 3), np.uint8), cv2.COLOR_RGB2GRAY))
    status, out, err = neus_command("evaluate", "x")
    assert status == 2 and not out and len(err) == 1
    assert err[0].startswith("error: OpenCV failed on the images: ") and "!_src.empty()" in err[0]


def test_too_little_memory_is_one_line_with_a_suggestion(neus_command, monkeypatch):
    def run():
        raise MemoryError("Unable to allocate 48.0 GiB")

    run_instead(monkeypatch, run)
    status, out, err = neus_command("evaluate", "x")
    assert status == 2 and not out and len(err) == 1
    assert "Unable to allocate 48.0 GiB" in err[0] and "dataset.downscale=2" in err[0]


def test_warnings_about_input_are_one_line_and_others_are_not_shown(neus_command, monkeypatch):
    def warn():
        warnings.warn("scene: masks are white", InputWarning, stacklevel=1)
        warnings.warn("some library is old", DeprecationWarning, stacklevel=1)
        return 0

    run_instead(monkeypatch, warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert neus_command("evaluate", "x") == (0, [], ["warning: scene: masks are white"])


def test_host_syncs_threads_sleep_unless_the_user_says_otherwise():
    code = "import os, neus.cli.main; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment | given, capture_output=True, text=True, timeout=60
        )
        assert result.stdout.strip() == expected


def test_options_without_a_verb_are_those_of_neus():
    assert main_module._is_classic(["--mode", "train"]) and main_module._is_classic(["--conf", "x"])
    assert not main_module._is_classic(["train", "--run", "x"]) and not main_module._is_classic(["--help"])
