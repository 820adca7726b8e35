"""`neus VERB ...`, `python -m neus VERB ...`, `exp_runner.py VERB ...`, and NeuS's own `exp_runner.py --mode ...`."""

import argparse
import os
import shlex
import sys
import time
import warnings
from importlib import import_module

# When this process began: starting Python is work of one thread, so its age is the CPU time it has used.
PROCESS_STARTED = time.monotonic() - time.process_time()

# Waiting threads sleep instead of spinning: on a machine shared with others spinning costs more than the work itself.
# It has to be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from neus.cli.options import EXIT_DIVERGED, EXIT_INTERRUPTED, EXIT_USER_ERROR, OneLineParser  # noqa: E402
from neus.errors import InputError, InputWarning, TrainingDiverged  # noqa: E402
from neus.runs.presets import PRESETS  # noqa: E402
from neus.version import VERSION  # noqa: E402

WORKFLOW = """workflow:
  neus reconstruct IMAGES|VIDEO --out model.glb       all in one: poses, surface, texture in ten minutes
  neus process IMAGES|VIDEO --out SCENE               poses alone
  neus train SCENE                                    mesh and report in runs/SCENE
  neus mesh runs/SCENE --resolution 1024 --out m.glb  a finer mesh
  neus render runs/SCENE --orbit 120 --out orbit.mp4  a video around the object
"""

# In the order of a reconstruction, then what stands beside it; each is a module of this package, with _ for -.
VERBS = (
    "reconstruct", "process", "convert", "check", "train", "mesh", "texture", "view", "export-web", "render", "evaluate", "report",
    "compare", "bench", "demo", "prior", "lod",
)  # fmt: skip


def _presets() -> str:
    lines = [f"  {name:<6} {preset.summary}" for name, preset in PRESETS.items()]
    return "\n".join(["\npresets of train:", *lines])


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = OneLineParser(
        prog="neus",
        description="Watertight, coloured meshes and novel views from posed images.\n\n" + WORKFLOW + _presets(),
        epilog="NeuS's own command line (--mode, --conf, --case, --is_continue, --mcube_threshold, --gpu) works as well.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"neus {VERSION}", help="Version number")
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", parser_class=OneLineParser)
    for name in VERBS:
        module = import_module(f"neus.cli.{name.replace('-', '_')}")
        summary, _, example = module.__doc__.partition("\n\n")
        verb = verbs.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0: done; the path of what was made is the last line. 1: training diverged, some runs of a benchmark failed, or
    `check --strict` found something. 2:
    invalid input, named in one line on stderr. 130: interrupted. Without arguments: the help.
    """
    # A caller that gives arguments is another program.
    started = PROCESS_STARTED if arguments is None else time.monotonic()
    arguments = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = _show_warning
    try:
        if _is_classic(arguments):
            from neus.cli import classic

            return classic.main(arguments)
        parser = build_parser()
        options = parser.parse_args(arguments)
        if options.verb is None:
            parser.print_help()
            return 0
        options.started, options.command = started, shlex.join(["neus", *arguments])
        return options.run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        print(
            f"error: not enough memory{reason}; read smaller images (--set dataset.downscale=2), or close other programs.",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        print(
            f"error: {error.filename or 'files'}: {error.strerror or error}; check that it can be read and written.",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
    except TrainingDiverged as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_DIVERGED
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "cv2":
            raise
        reason = " ".join(str(error).split())
        print(f"error: OpenCV failed on the images: {reason}; check them with `neus check`.", file=sys.stderr)
        return EXIT_USER_ERROR


def _is_classic(arguments: list[str]) -> bool:
    """Whether these are the options of NeuS's exp_runner.py: options first, no verb."""
    return bool(arguments) and arguments[0].startswith("--") and arguments[0] not in ("--help", "--version")


def _show_warning(
    message: Warning, category: type, filename: str, line: int, file: object = None, text: object = None
) -> None:
    if issubclass(category, InputWarning):
        print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
