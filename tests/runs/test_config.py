import math
import socket
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path

import pytest

from neus.errors import InputError
from neus.runs.config import ExperimentConfig, config_as_dict, config_from_dict, config_text, read_config

CONFS = Path(__file__).parents[2] / "confs"
# What the four published configs share, and where they differ.
COMMON = {
    "dataset": {"data_dir": "./public_data/CASE_NAME/", "object_cameras_name": "cameras_sphere.npz"},
    "train": {
        "learning_rate": 5e-4, "learning_rate_alpha": 0.05, "end_iter": 300_000, "batch_size": 512, "warm_up_end": 5000,
        "validate_resolution_level": 4, "use_white_bkgd": False, "save_freq": 10_000, "val_freq": 2500,
        "val_mesh_freq": 5000, "report_freq": 100, "igr_weight": 0.1,
    },
    "nerf": {
        "D": 8, "d_in": 4, "d_in_view": 3, "W": 256, "multires": 10, "multires_view": 4, "output_ch": 4, "skips": (4,),
        "use_viewdirs": True,
    },
    "sdf_network": {
        "d_out": 257, "d_in": 3, "d_hidden": 256, "n_layers": 8, "skip_in": (4,), "multires": 6, "bias": 0.5,
        "geometric_init": True, "weight_norm": True,
    },
    "variance_network": {"init_val": 0.3},
    "rendering_network": {
        "d_feature": 256, "mode": "idr", "d_in": 9, "d_out": 3, "d_hidden": 256, "n_layers": 4, "weight_norm": True,
        "multires_view": 4, "squeeze_out": True,
    },
    "neus_renderer": {"n_samples": 64, "n_importance": 64, "up_sample_steps": 4, "perturb": 1.0},
}  # fmt: skip
# Run folder, cameras, anneal_end, mask_weight, scale, n_outside.
DIFFERENT = {
    "wmask": ("wmask", "cameras_sphere.npz", 0, 0.1, 1.0, 0),
    "womask": ("womask_sphere", "cameras_sphere.npz", 50_000, 0.0, 1.0, 32),
    "thin_structure": ("womask", "cameras_sphere.npz", 50_000, 0.0, 3.0, 0),
    "womask_dtu_large_roi": ("womask_large_roi", "cameras_large.npz", 50_000, 0.0, 3.0, 32),
}


@pytest.fixture
def conf(tmp_path):
    """Writes a config file; returns its path."""

    def write(text, name="a.conf"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", DIFFERENT)
def test_published_confs_have_their_published_values(name):
    config = read_config(CONFS / f"{name}.conf")
    sections = {"dataset": config.dataset, "train": config.train, **vars(config.model)}
    for section, values in COMMON.items():
        assert {key: getattr(sections[section], key) for key in values} == values
    found = (
        config.general.base_exp_dir,
        config.dataset.render_cameras_name,
        config.train.anneal_end,
        config.train.mask_weight,
        config.model.sdf_network.scale,
        config.model.neus_renderer.n_outside,
    )
    folder, *rest = DIFFERENT[name]
    assert found == (f"./exp/CASE_NAME/{folder}", *rest)
    assert config.model.neus_renderer.density == "logistic"


@pytest.mark.parametrize("path", sorted(CONFS.glob("*.conf")), ids=lambda p: p.stem)
def test_every_conf_of_the_project_is_valid_and_survives_being_written_out(path, conf):
    config = read_config(path)
    assert read_config(conf(config_text(config))) == config
    assert config_from_dict(config_as_dict(config), "a checkpoint") == config


def test_a_conf_may_be_empty_and_then_has_the_papers_values(conf):
    assert read_config(conf("")) == ExperimentConfig()


def test_case_takes_the_place_of_its_name_everywhere_even_in_included_confs():
    config = read_config(CONFS / "wmask.conf", case="scan65")
    assert config.general.base_exp_dir == "./exp/scan65/wmask"
    assert config.dataset.data_dir == "./public_data/scan65/"


@pytest.mark.parametrize(
    "text",
    [
        'include "http://127.0.0.1:{port}/a.conf"',
        'include url("http://127.0.0.1:{port}/a.conf")',
        'train {{ include "http://127.0.0.1:{port}/a.conf" }}',
        'include required(url("http://127.0.0.1:{port}/a.conf"))',
        'include package("neus:confs/quick.conf")',
        'INCLUDE "http://127.0.0.1:{port}/a.conf"',
        'include"http://127.0.0.1:{port}/a.conf"',
        'include "b*.conf"',
        'dataset.data_dir = "x"include "http://127.0.0.1:{port}/a.conf"',
        'dataset {{ data_dir = "x"include"http://127.0.0.1:{port}/a.conf" }}',
        'dataset.data_dir = "x"include required(url("http://127.0.0.1:{port}/a.conf"))',
        'dataset.data_dir = "x"include package("neus:confs/quick.conf")',
        'dataset.data_dir = """a"b"""include "http://127.0.0.1:{port}/a.conf"',
        'dataset.data_dir = """\n# """ include "http://127.0.0.1:{port}/a.conf"',
        '--set dataset.data_dir="x"include "http://127.0.0.1:{port}/a.conf"',
        '--set dataset.data_dir=x, include "http://127.0.0.1:{port}/a.conf"',
    ],
)
def test_nothing_but_files_is_included_and_no_server_is_asked(conf, text):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        text = text.format(port=server.getsockname()[1])
        override = text.removeprefix("--set ") if text.startswith("--set ") else None
        with pytest.raises(InputError, match="only files are included"):
            read_config(*((None, [override]) if override else (conf(text),)))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_text_may_speak_of_an_include(conf):
    text = 'dataset.data_dir = "a include"\ndataset.images = "b"\n# include "none.conf"\ngeneral.base_exp_dir = "say include \'c\'"'
    config = read_config(conf(text), ['dataset.data_dir="what we include"'])
    assert (config.dataset.data_dir, config.dataset.images) == ("what we include", "b")


def test_the_environment_is_no_part_of_a_conf(conf, monkeypatch):
    monkeypatch.setenv("SOME_PLACE", "secret")
    for text in ("dataset.data_dir = ${SOME_PLACE}", "dataset.data_dir = ${?SOME_PLACE}"):
        with pytest.raises(InputError, match="is not replaced in configs"):
            read_config(conf(text))
    with pytest.raises(InputError, match="is not replaced in configs"):
        read_config(conf(""), ["dataset.data_dir=${SOME_PLACE}"])
    quoted = read_config(conf('# ${SOME_PLACE}\ndataset.data_dir = "a/${SOME_PLACE}"'))
    assert quoted.dataset.data_dir == "a/${SOME_PLACE}"


def test_includes_are_found_beside_the_conf_and_may_be_absolute(conf, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.conf").write_text("train.end_iter = 7\ntrain.batch_size = 9\n")
    (tmp_path / "sub" / "outer.conf").write_text('include "inner.conf"\ntrain.batch_size = 10\n')
    for name in ("sub/outer.conf", str(tmp_path / "sub" / "outer.conf")):
        config = read_config(conf(f'include "{name}"\ntrain.seed = 3\n'))
        assert (config.train.end_iter, config.train.batch_size, config.train.seed) == (7, 10, 3)


def test_overrides_win_and_later_ones_most(conf):
    path = conf("train.end_iter = 5")
    overrides = [
        "train.end_iter=6",
        "model.sdf_network.skip_in=[1, 2]",
        "train.end_iter = 7",
        "train.use_white_bkgd=true",
    ]
    config = read_config(path, [*overrides, "dataset.data_dir=/a/b c", "train.learning_rate=1e-2"])
    assert (config.train.end_iter, config.model.sdf_network.skip_in) == (7, (1, 2))
    assert (config.train.use_white_bkgd, config.dataset.data_dir, config.train.learning_rate) == (True, "/a/b c", 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.learning_rat = 1", "unknown key train.learning_rat; did you mean train.learning_rate?"),
        ("model.sdf_netwrok.bias = 1", "unknown key model.sdf_netwrok; did you mean model.sdf_network?"),
        ("trian { end_iter = 1 }", "unknown key trian; did you mean train?"),
        ("train.xyzzy = 1", "unknown key train.xyzzy; known here: learning_rate,"),
        ("train.end_iter = many", "train.end_iter = 'many', expected a whole number"),
        ("train.end_iter = 1.5", "train.end_iter = 1.5, expected a whole number"),
        ("train.end_iter = true", "train.end_iter = True, expected a whole number"),
        ("train.learning_rate = fast", "train.learning_rate = 'fast', expected a number"),
        ("train.learning_rate = null", "train.learning_rate = None, expected a number"),
        ("train.use_white_bkgd = 1", "train.use_white_bkgd = 1, expected true or false"),
        ("dataset.data_dir = 5", "dataset.data_dir = 5, expected text"),
        ("model.nerf.skips = [1, a]", "model.nerf.skips = 'a', expected a whole number"),
        ("train = 5", "train: found 5, expected a section"),
        ("train.learning_rate = -1e-3", "train.learning_rate = -0.001, expected at least 0.0"),
        ("train.batch_size = 0", "train.batch_size = 0, expected at least 1"),
        ("train.learning_rate = 1e999", "train.learning_rate = inf, expected a finite number"),
        ("model.sdf_network.bias = 1e999", "model.sdf_network.bias = inf, expected a finite number"),
        (
            "model.neus_renderer.density = logistik",
            "expected one of logistic, laplace, occupancy. Did you mean logistic?",
        ),
        ("model.rendering_network.mode = nerf", "model.rendering_network.mode = 'nerf', expected one of idr,"),
        (
            "model.sdf_network.d_out = 129",
            "gives 128 features (d_out - 1), model.rendering_network.d_feature expects 256",
        ),
        ("model.rendering_network.mode = no_normal", "d_in = 9, mode no_normal takes 6"),
        ("model.sdf_network.d_in = 4", "model.sdf_network.d_in = 4, expected 3"),
        ("model.nerf.use_viewdirs = false", "model.nerf.use_viewdirs = False, expected True"),
        ("model.sdf_network.skip_in = [9]", "skip_in = [9] needs layers 1 to 7"),
        ("model.sdf_network.skip_in = [8]", "skip_in = [8] needs layers 1 to 7"),
        ("model.sdf_network.skip_in = [0]", "skip_in = [0] needs layers 1 to 7"),
        ("model.sdf_network.d_hidden = 39", "d_hidden above 39, found 39"),
        ("model.nerf.D = 5", "no layer follows layer 4; make D larger"),
        ("model.neus_renderer.n_importance = 30", "does not divide by up_sample_steps = 4"),
        ("model.nerf.skips = [-1]", "model.nerf.skips = (-1,), expected at least 0"),
        ("dataset.center = [0, 1e999, 0]", "dataset.center = (0.0, inf, 0.0), expected a finite number"),
        ("model.nerf.multires = 400", "model.nerf.multires = 400, expected between 0 and 24"),
        ("model.variance_network.init_val = 30", "init_val = 30.0, expected between -1.38 and 1.38"),
        ("model.sdf_network.bias = -0.5", "model.sdf_network.bias = -0.5, expected at least 0.0"),
        ("train.seed = 99999999999999999999", "expected between 0 and 9223372036854775807"),
        ("train.guided_sampling.uniform_fraction = 1.5", "train.guided_sampling.uniform_fraction = 1.5, expected between 0.0 and 1.0"),
        ("train.guided_sampling.batch_growth_at = -0.1", "train.guided_sampling.batch_growth_at = -0.1, expected between 0.0 and 1.0"),
        ("train.guided_sampling.n_intervals = 5000", "train.guided_sampling.n_intervals = 5000, expected between 0 and 1024"),
        ("train.learning_rate_alpha = 1.1", "learning_rate_alpha = 1.1, expected between 0.0 and 1.0"),
        (
            "train { learning_rate_alpha = 0, learning_rate_decay = exponential }",
            "train.learning_rate_alpha = 0 with learning_rate_decay = exponential is a rate of 0 from the second iteration on",
        ),
        ("train.exposure = affine", "takes the surface points of an initial shape; expected train.guided_sampling.n_intervals"),
        (
            "train.guided_sampling { n_intervals = 12, initial_shape = false, inside_fraction = 0.7, near_fraction = 0.4 }",
            "train.guided_sampling.inside_fraction = 0.7 and near_fraction = 0.4, expected at most 1 together",
        ),
        ("train.guided_sampling.n_intervals = 12", "takes model.surface = hash, found mlp; set train.guided_sampling.n_intervals = 0, or"),
        ("train { end_iter = 5", "malformed config"),
        ("just words", "malformed config"),
        ("train.end_iter = ${nowhere}", "${...} is not replaced in configs"),
        ("[1, 2]", "a list, expected sections"),
        ('include "nowhere.conf"', 'include "nowhere.conf": no such file'),
        ('include "a.conf"', "leads back to itself"),
    ],
)
def test_a_wrong_conf_is_explained_in_one_line_that_names_the_file(conf, text, said):
    path = conf(text)
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


FRACTIONS = ("_share", "_share_start", "_until", "batch_growth_at", "learning_rate_alpha")


def test_every_fraction_has_both_bounds_and_every_default_is_within_its_own():
    def check(section):
        for f in fields(section):
            value = getattr(section, f.name)
            if is_dataclass(value):
                check(value)
            lowest, highest = f.metadata.get("minimum", -math.inf), f.metadata.get("maximum", math.inf)
            if math.inf != highest or -math.inf != lowest:
                numbers = value if isinstance(value, tuple) else (value,)
                assert all(lowest <= number <= highest for number in numbers), f.name
            assert not f.name.endswith(FRACTIONS) or (lowest, highest) == (0.0, 1.0), f.name

    check(ExperimentConfig())


def test_a_mistake_in_an_included_conf_is_found(conf):
    conf('include "c.conf"', "b.conf")
    conf("train { end_iter = ", "c.conf")
    with pytest.raises(InputError, match="malformed"):
        read_config(conf('include "b.conf"'))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.end_iter", "--set train.end_iter: expected section.key=value"),
        ("=5", "--set =5: expected section.key=value"),
        ("train.end_iter=", "expected section.key=value"),
        ("train.end_iter=[[", "--set train.end_iter=[[: not a HOCON value"),
        ("train.end_itr=5", "unknown key train.end_itr; did you mean train.end_iter?"),
        ("train=5", "train: found 5, expected a section"),
    ],
)
def test_a_wrong_override_is_explained(conf, override, said):
    with pytest.raises(InputError) as caught:
        read_config(conf(""), [override])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_conf_is_named_with_the_nearest_that_is_there():
    with pytest.raises(InputError, match=r"wmsk.conf: no such config file. Did you mean .*wmask.conf\?"):
        read_config(CONFS / "wmsk.conf")
    with pytest.raises(InputError, match=r"Shipped configs: .*, womask\.conf"):
        read_config(Path("nowhere") / "x.conf")


def test_a_file_that_is_no_text_is_malformed(tmp_path):
    (tmp_path / "a.conf").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="malformed config"):
        read_config(tmp_path / "a.conf")
    with pytest.raises(InputError, match="no such config file"):
        read_config(tmp_path)


def test_written_confs_keep_awkward_text(conf):
    config = ExperimentConfig()
    config = replace(
        config, dataset=replace(config.dataset, data_dir='/a "b"/ü #1 $x\\y', center=(1.0, -2.5, 3e-7), radius=2.0)
    )
    assert read_config(conf(config_text(config))) == config


def test_every_key_is_written_out(conf):
    text = config_text(ExperimentConfig())
    for section, values in asdict(ExperimentConfig()).items():
        for key in values:
            assert key in text, f"{section}.{key}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model.surface = grid", "model.surface = 'grid', expected one of mlp, hash"),
        (
            "model.surface = hash",
            "model.hash_sdf gives 15 features (d_out - 1 and those of color_grid), model.rendering_network.d_feature expects 256",
        ),
        (
            "model.hash_sdf.grid { base_resolution = 32, finest_resolution = 16 }",
            "finest_resolution = 16, expected at least",
        ),
        ("model.hash_sdf.grid.log2_table_size = 40", "log2_table_size = 40, expected between 1 and 24"),
        ("model.hash_sdf.levels = 3", "unknown key model.hash_sdf.levels"),
        ("train.levels_start = 0", "train.levels_start = 0, expected at least 1"),
    ],
)
def test_settings_of_a_hash_surface_are_checked(conf, text, said):
    with pytest.raises(InputError) as caught:
        read_config(conf(text))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_only_the_surface_that_is_built_must_fit_the_colour_network(conf):
    text = "model { surface = hash, hash_sdf.d_out = 9, rendering_network.d_feature = 8 }"
    config = read_config(conf(text))
    assert config.model.surface == "hash" and config.model.sdf_network.d_out == 257
    assert read_config(conf(config_text(config))) == config


def test_a_conf_saved_on_windows_is_read(tmp_path):
    (tmp_path / "a.conf").write_bytes(b"\xef\xbb\xbftrain { end_iter = 100 }\r\n")
    assert read_config(tmp_path / "a.conf").train.end_iter == 100
