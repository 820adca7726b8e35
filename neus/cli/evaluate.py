"""measure a run: PSNR and SSIM on its held-out views

example: neus evaluate runs/scan65
"""

import argparse
import json
from pathlib import Path

from neus.cli.options import Progress, add_device_argument, positive_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="run folder, trained with --holdout K")
    parser.add_argument("--scale", type=positive_number, default=1.0, help="of the size of the photographs (default 1)")
    parser.add_argument("--out", type=Path, help="file for the numbers (default: RUN/evaluation.json)")
    parser.add_argument("--data", type=Path, help="scene folder, if it has moved")
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Measures; prints the means and, last, the path of the numbers."""
    from neus.experiment.evaluate import evaluate_run
    from neus.files import written_whole

    with Progress("evaluate", " rays") as progress:
        result = evaluate_run(options.run_folder, options.data, options.scale, options.device, progress)
    out = options.out or options.run_folder / "evaluation.json"
    with written_whole(out) as beside:
        beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    mean = result["mean"]
    print(", ".join(f"{name} {value:.4g}" for name, value in mean.items()))
    print(out)
    return 0
