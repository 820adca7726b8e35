"""Every fast kernel against its torch reference, in values and gradients; the reference against finite differences."""

import importlib
import os
import subprocess
import sys
import warnings

import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.kernels import dispatch
from neus.kernels.hash_encode import cpu, reference
from neus.kernels.hash_encode.layout import grid_layout
from tests.kernels.backends import NEEDS_TRITON, Form, forms, on_gpu

KERNELS = forms("hash_encode", "reference", "cpu", "gpu")

# Dense and hashed levels; one level; one, two and four features; sizes that divide by nothing.
GRIDS = {
    "dense and hashed": (grid_layout(5, 4, 40, 10), 2),
    "one dense level": (grid_layout(1, 5, 5, 10), 1),
    "one hashed level": (grid_layout(1, 33, 33, 6), 4),
    "table of two rows": (grid_layout(3, 1, 7, 1), 3),
}


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def inputs(layout, n_features, n_points, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(n_points, 3, generator=generator, dtype=torch.float64) * 2.2 - 1.1
    table = torch.randn(layout.n_rows, n_features, generator=generator, dtype=torch.float64)
    return points.to(dtype).requires_grad_(), table.to(dtype).requires_grad_()


def everything(kernels, layout, points, table, n_active):
    """Values and gradients in points, table and cotangent of a loss in which features and J^T v take part."""
    generator = torch.Generator().manual_seed(7)
    size = (len(points), layout.n_levels * table.shape[1])
    cotangent = torch.randn(size, generator=generator, dtype=torch.float64).to(points).requires_grad_()
    features, jacobian = kernels.encode_with_jacobian(points, table, layout, n_active)
    pulled = kernels.vjp(jacobian, cotangent)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for x in (features, pulled)]
    loss = (features.square() * weights[0]).sum() + 0.01 * (pulled.square() * weights[1]).sum()
    gradients = torch.autograd.grad(loss, (points, table, cotangent))
    plain = kernels.encode(points, table, layout, n_active)
    of_plain = torch.autograd.grad((plain * weights[0]).sum(), (points, table))
    return [features, jacobian, pulled, plain], [*gradients, *of_plain]


def assert_close(one, other, tolerance):
    """Equal within a fraction of the largest value."""
    assert one.shape == other.shape
    if one.numel():
        assert (one - other).abs().max() <= tolerance * other.abs().max().clamp_min(1.0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n_points", [0, 1, 1500])
def test_compiled_encoding_equals_the_reference_in_values_and_gradients(grid, n_points, threads):
    layout, n_features = GRIDS[grid]
    assert_equal_encoding(Form("hash_encode", "cpu"), layout, n_features, n_points)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n_points", [0, 1, 1500])
@NEEDS_TRITON
def test_encoding_on_a_gpu_equals_the_reference_in_values_and_gradients(grid, n_points):
    layout, n_features = GRIDS[grid]
    assert_equal_encoding(Form("hash_encode", "gpu"), layout, n_features, n_points)


@on_gpu
@pytest.mark.parametrize("n_features", [2, 4])
def test_encoding_on_a_gpu_equals_the_reference_at_full_size(n_features):
    assert_equal_encoding(Form("hash_encode", "gpu"), grid_layout(8, 16, 640, 18), n_features, 100_003)


def assert_equal_encoding(kernels, layout, n_features, n_points):
    given = inputs(layout, n_features, n_points)
    for n_active in {layout.n_levels, max(1, layout.n_levels - 2)}:
        values, gradients = everything(kernels, layout, *given, n_active)
        expected_values, expected_gradients = everything(reference, layout, *given, n_active)
        for one, other in zip(values, expected_values, strict=True):
            assert_close(one, other, 1e-5)
        for one, other in zip(gradients, expected_gradients, strict=True):
            assert_close(one, other, 1e-4)


def test_the_numbers_are_the_same_every_time_and_for_any_number_of_threads():
    layout, n_features = GRIDS["dense and hashed"]
    given, results, before = inputs(layout, n_features, 5000), [], torch.get_num_threads()
    for n in (1, 1, 2, 2, 3):
        torch.set_num_threads(n)
        results.append(everything(cpu, layout, *given, layout.n_levels))
    torch.set_num_threads(before)
    for values, gradients in results[1:]:
        # The gradient of the cotangent is a product of torch's, which may cut its sums by threads; it is left out.
        ours = [*values[:2], values[3], gradients[1], *gradients[3:]]
        first = [*results[0][0][:2], results[0][0][3], results[0][1][1], *results[0][1][3:]]
        assert all(torch.equal(a, b) for a, b in zip(ours, first, strict=True))


@pytest.mark.parametrize("grid", GRIDS)
def test_reference_gradients_equal_differences_in_float64_to_second_order(grid):
    layout, n_features = GRIDS[grid]
    points, table = inputs(layout, n_features, 4, torch.float64)

    def outputs(points, table, cotangent):
        features, jacobian = reference.encode_with_jacobian(points, table, layout, layout.n_levels)
        return features, reference.vjp(jacobian, cotangent)

    cotangent = torch.randn(4, layout.n_levels * n_features, dtype=torch.float64, requires_grad=True)
    few_rows = table.detach()[:2].requires_grad_() if len(table) < 40 else None
    assert torch.autograd.gradcheck(lambda p, c: outputs(p, table, c), (points, cotangent), eps=1e-7, atol=1e-5)
    if few_rows is not None:
        assert torch.autograd.gradcheck(
            lambda rows: outputs(points, torch.cat([rows, table[2:]]), cotangent), (few_rows,), eps=1e-7, atol=1e-5
        )
    assert torch.autograd.gradcheck(
        lambda rows: outputs(points, table * rows, cotangent),
        (torch.ones(n_features, dtype=torch.float64).requires_grad_(),),
    )


@KERNELS
def test_jacobian_is_the_derivative_of_the_features(kernels):
    layout, n_features = GRIDS["dense and hashed"]
    points, table = inputs(layout, n_features, 20)
    features, jacobian = kernels.encode_with_jacobian(points, table, layout, layout.n_levels)
    for channel in (0, 5, 9):
        (slope,) = torch.autograd.grad(features[:, channel].sum(), points, retain_graph=True)
        assert torch.allclose(slope, jacobian[:, channel], atol=1e-4)


@KERNELS
def test_linear_functions_are_reproduced_exactly_by_a_dense_level(kernels):
    layout = grid_layout(1, 4, 4, 10)
    axis = torch.linspace(-1.0, 1.0, 5)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    table = (1.0 + 2.0 * x - y + 0.5 * z).reshape(-1, 1)
    points = torch.rand(50, 3) * 2 - 1
    features, jacobian = kernels.encode_with_jacobian(points, table, layout, 1)
    assert torch.allclose(features[:, 0], 1.0 + points @ torch.tensor([2.0, -1.0, 0.5]), atol=1e-5)
    assert torch.allclose(jacobian[:, 0], torch.tensor([2.0, -1.0, 0.5]).expand(50, 3), atol=1e-4)


@KERNELS
def test_points_outside_the_box_have_the_features_of_its_nearest_point_and_no_slope_outwards(kernels):
    layout, n_features = GRIDS["dense and hashed"]
    table = torch.randn(layout.n_rows, n_features)
    outside = torch.tensor([[1.5, 0.2, -0.3], [-7.0, 3.0, 0.1], [1e30, -1e30, 0.0]])
    features, jacobian = kernels.encode_with_jacobian(outside, table, layout, layout.n_levels)
    at_face = kernels.encode(outside.clamp(-1.0, 1.0), table, layout, layout.n_levels)
    assert torch.allclose(features, at_face, atol=1e-5)
    for point, slopes in zip(outside, jacobian, strict=True):
        assert (slopes[:, point.abs() > 1.0] == 0).all() and (slopes[:, point.abs() <= 1.0] != 0).any()


@KERNELS
def test_points_that_are_not_numbers_give_features_that_are_none(kernels):
    layout, n_features = GRIDS["dense and hashed"]
    points = torch.tensor([[float("nan"), 0.0, 0.0], [0.1, 0.2, 0.3]])
    features = kernels.encode(points, torch.ones(layout.n_rows, n_features), layout, layout.n_levels)
    assert features[0].isnan().all() and torch.allclose(features[1], torch.ones(features.shape[1]))


@KERNELS
def test_levels_that_are_off_give_zeros_and_take_no_gradient(kernels):
    layout, n_features = GRIDS["dense and hashed"]
    points, table = inputs(layout, n_features, 30)
    features, jacobian = kernels.encode_with_jacobian(points, table, layout, 2)
    assert (features[:, 2 * n_features :] == 0).all() and (jacobian[:, 2 * n_features :] == 0).all()
    (features.sum() + jacobian.sum()).backward()
    assert (table.grad[layout.offsets[2] :] == 0).all() and (table.grad[: layout.offsets[2]] != 0).any()


def test_dispatch_is_by_device_and_by_the_environment(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    assert dispatch.kernels_for("hash_encode", torch.device("cpu")) is cpu
    assert dispatch.kernels_for("hash_encode", torch.device("mps")) is reference
    for choice in ("reference", "cpu"):
        monkeypatch.setenv(dispatch.VARIABLE, choice)
        assert dispatch.kernels_for("hash_encode", torch.device("cuda")) is reference
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    assert dispatch.kernels_for("hash_encode", torch.device("cpu")) is reference
    monkeypatch.setenv(dispatch.VARIABLE, "fast")
    with pytest.raises(InputError, match="NEUS_KERNELS=fast: expected one of reference, cpu, gpu"):
        dispatch.kernels_for("hash_encode", torch.device("cpu"))


@NEEDS_TRITON
def test_triton_is_for_cuda_devices_and_for_the_interpreter(monkeypatch):
    gpu = importlib.import_module("neus.kernels.hash_encode.gpu")
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    assert dispatch.kernels_for("hash_encode", torch.device("cuda")) is gpu
    monkeypatch.setenv(dispatch.VARIABLE, "gpu")
    monkeypatch.setenv(dispatch.INTERPRET, "1")
    assert dispatch.kernels_for("hash_encode", torch.device("cpu")) is gpu
    # An operation that has no such form is what it is elsewhere.
    assert dispatch.kernels_for("solids", torch.device("cuda")).__name__ == "neus.kernels.solids.reference"
    monkeypatch.delenv(dispatch.INTERPRET)
    with pytest.raises(InputError, match="NEUS_KERNELS=gpu: .* set TRITON_INTERPRET=1"):
        dispatch.kernels_for("hash_encode", torch.device("cpu"))


def without(monkeypatch, ending):
    """No module whose name ends so can be imported; what dispatch remembers is forgotten."""
    real = importlib.import_module

    def import_module(name, *arguments):
        if name.endswith(ending):
            raise ImportError(f"No module named '{ending}'")
        return real(name, *arguments)

    monkeypatch.setattr(dispatch.importlib, "import_module", import_module)
    for remembered in (dispatch.compiled, dispatch.written_for_gpu, dispatch._has_triton):
        remembered.cache_clear()


def test_without_triton_a_gpu_takes_the_reference_with_one_warning(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    without(monkeypatch, "triton")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for operation in ("hash_encode", "composite", "hash_encode"):
            found = dispatch.kernels_for(operation, torch.device("cuda"))
            assert found.__name__ == f"neus.kernels.{operation}.reference"
    without(monkeypatch, "nothing of that name")
    assert [w.category for w in seen] == [InputWarning] and "pip install triton" in str(seen[0].message)


def test_nothing_imports_triton_on_a_cpu():
    program = (
        "import sys, torch\n"
        "import neus.cli.main, neus.runs.train\n"
        "from neus.kernels.dispatch import kernels_for\n"
        "kernels_for('hash_encode', torch.device('cpu')), kernels_for('guided_sampling', torch.device('cpu'))\n"
        "assert 'triton' not in sys.modules\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != dispatch.VARIABLE}
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60, env=environment)


def test_without_numba_the_reference_is_used_with_one_warning(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    without(monkeypatch, ".cpu")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            assert dispatch.kernels_for("hash_encode", torch.device("cpu")) is reference
    without(monkeypatch, "nothing of that name")
    assert [w.category for w in seen] == [InputWarning] and "numba does not work here" in str(seen[0].message)


def test_a_forked_child_gets_threads_of_its_own():
    program = (
        "import os, torch\n"
        "from neus.kernels.threads import run_tasks\n"
        "torch.set_num_threads(2)\n"
        "run_tasks(lambda i: None, [(0,), (1,)])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    run_tasks(lambda i: None, [(0,), (1,)])\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    if sys.platform == "win32":
        pytest.skip("no fork here")
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=30)
