"""What many tests share: fixed seeds, a scene and a config so small that training takes a second."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neus.cli.main import main
from neus.kernels.dispatch import VARIABLE
from neus.runs.config import ExperimentConfig, read_config
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.scenes.synthetic import write_synthetic

# Without a GPU Triton's kernels are interpreted. Triton looks at this when it is imported, which nothing above does.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
TINY_VIEWS = 4
# Networks so narrow that an iteration takes milliseconds; everything else is as in confs/wmask.conf, which it includes.
TINY_CONF = """
include "{conf}"
general.base_exp_dir = "{base}/CASE_NAME/tiny"
dataset.data_dir = "{data}/CASE_NAME"
train {{ end_iter = 6, batch_size = 16, warm_up_end = 2, learning_rate = 1e-3, save_freq = 3, report_freq = 1 }}
train {{ val_freq = 0, val_mesh_freq = 0, validate_mesh_resolution = 16 }}
model.nerf {{ D = 2, W = 16, multires = 2, multires_view = 1, skips = [] }}
model.sdf_network {{ d_out = 17, d_hidden = 16, n_layers = 2, skip_in = [], multires = 2 }}
model.rendering_network {{ d_feature = 16, d_hidden = 16, n_layers = 2, multires_view = 1 }}
model.hash_sdf.grid {{ n_levels = 4, base_resolution = 4, finest_resolution = 32, log2_table_size = 8 }}
model.hash_sdf {{ d_out = 17, d_hidden = 16 }}
model.neus_renderer {{ n_samples = 8, n_importance = 8, up_sample_steps = 2 }}
"""


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def kernels(request, monkeypatch):
    """Which kernels a test runs: those for a CPU, or, `ON_BOTH`, also Triton's, interpreted where there is no GPU.

    The test's module has `DEVICE`, which is set to where these kernels take their tensors.
    """
    name = getattr(request, "param", "cpu")
    monkeypatch.setenv(VARIABLE, name)
    has_device = name == "gpu" and torch.cuda.is_available()
    monkeypatch.setattr(request.module, "DEVICE", torch.device("cuda" if has_device else "cpu"))
    return name


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    # Networks this small lose more by handing work to threads than they gain.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and published numbers that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` with real data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    """A folder in which the case `cup` is a scene in NeuS's layout."""
    folder = tmp_path_factory.mktemp("data")
    write_synthetic(folder / "cup", views=TINY_VIEWS, width=32, height=24, antialias=1)
    return folder


@pytest.fixture(scope="session")
def scene_folder(data_folder) -> Path:
    return data_folder / "cup"


@pytest.fixture
def tiny_conf(tmp_path, data_folder) -> Path:
    """A config file for case `cup`, in a folder of its own; its run folder is tmp_path/exp/cup/tiny."""
    return write_tiny_conf(tmp_path, data_folder)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory, data_folder) -> ExperimentConfig:
    """What is in `tiny_conf`, for case `cup`; its `base_exp_dir` is nobody's."""
    return read_config(write_tiny_conf(tmp_path_factory.mktemp("conf"), data_folder), case="cup")


@pytest.fixture(scope="session")
def tiny_hash_config(tiny_config) -> ExperimentConfig:
    """The same with a surface on a hash grid, whose levels are switched on one by one."""
    return replace(
        tiny_config,
        model=replace(tiny_config.model, surface="hash"),
        train=replace(tiny_config.train, levels_start=1, levels_end=5),
    )


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, tiny_config) -> Path:
    """A run folder of six iterations on `cup`, every second view held out; not to be written to."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    config = replace(tiny_config, dataset=replace(tiny_config.dataset, holdout=2))
    train(config, RunFolder(folder), device="cpu")
    return folder


@pytest.fixture
def run_without_mesh(trained_run, tmp_path) -> Path:
    """A copy of that run as training leaves it, whatever other tests have made of it."""
    return shutil.copytree(trained_run, tmp_path / "run", ignore=shutil.ignore_patterns("mesh*"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The current folder is empty, and meshes are coarse."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("neus.workflows.train.MESH_RESOLUTION", 24)


@pytest.fixture
def neus_command(capfd):
    """Runs a command line in this process: (exit status, lines of stdout, lines of stderr without progress)."""

    def run(*arguments) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ending:  # how argparse ends
            status = ending.code
        out, err = capfd.readouterr()
        return status, out.splitlines(), [line for line in err.split("\n") if line.strip() and "\r" not in line]

    return run


def write_tiny_conf(folder: Path, data: Path) -> Path:
    path = folder / "tiny.conf"
    text = TINY_CONF.format(conf=ROOT / "confs" / "wmask.conf", base=folder / "exp", data=data)
    path.write_text(text, encoding="utf-8")
    return path
