"""Adam on touched rows: its compiled forms against the reference, both against torch's Adam and against doing nothing."""

import pytest
import torch

from neus.kernels.adam_rows import cpu, reference
from tests.kernels.backends import Form, forms, on_gpu

KERNELS = forms("adam_rows", "reference", "cpu", "gpu")
SETTINGS = 1e-2, (0.9, 0.99), 1e-15


def table(n_rows, n_features, touched=0.15, dtype=torch.float32, seed=0):
    """Parameter, gradient, moments as they are after some steps, and how many those were, for some rows more than are counted."""
    generator = torch.Generator().manual_seed(seed)
    shape = n_rows, n_features
    parameter, gradient, moment1 = (torch.randn(shape, generator=generator).to(dtype) for _ in range(3))
    is_touched = torch.rand(n_rows, 1, generator=generator) < touched
    return (
        parameter,
        gradient * 1e-3 * is_touched,
        moment1 * 1e-3,
        torch.rand(shape, generator=generator).to(dtype) * 1e-6,
        torch.randint(5000, (n_rows,), generator=generator).short(),
    )


def fresh(n_rows, n_features):
    """Moments and steps of rows that were never touched."""
    return torch.zeros(n_rows, n_features), torch.zeros(n_rows, n_features), torch.zeros(n_rows, dtype=torch.int16)


@pytest.mark.parametrize("n_rows, n_features, touched", [
    (0, 2, 1.0), (1, 2, 1.0), (5000, 1, 0.1), (70001, 2, 0.15), (3001, 3, 1.0), (999, 4, 0.0),
])  # fmt: skip
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@forms("adam_rows", "cpu", "gpu")
def test_compiled_steps_equal_the_reference(kernels, n_rows, n_features, touched, dtype, tolerance):
    if kernels.name == "gpu" and dtype == torch.float64:
        pytest.skip("tables on a GPU are in single precision")
    assert_equal_steps(kernels, n_rows, n_features, touched, dtype, tolerance)


@pytest.mark.parametrize("n_features", [2, 4])
@on_gpu
def test_steps_on_a_gpu_equal_the_reference_at_full_size(n_features):
    assert_equal_steps(Form("adam_rows", "gpu"), 5_000_003, n_features, 0.05, torch.float32, 1e-5)


def assert_equal_steps(kernels, n_rows, n_features, touched, dtype, tolerance):
    given, expected = (table(n_rows, n_features, touched, dtype) for _ in range(2))
    for seed in (1, 2, 3):
        kernels.adam_rows(*given, *SETTINGS)
        reference.adam_rows(*expected, *SETTINGS)
        for one, other in zip(given, expected, strict=True):
            assert torch.allclose(one, other, rtol=tolerance, atol=tolerance)
        # The same gradient once more, since it has been used up.
        for tensors in (given, expected):
            tensors[1].copy_(table(n_rows, n_features, touched, dtype, seed=seed)[1])


def test_the_numbers_are_the_same_for_any_number_of_threads():
    results, before = [], torch.get_num_threads()
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        results.append(table(200_000, 2))
        cpu.adam_rows(*results[-1], *SETTINGS)
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(other, results[0], strict=True))


@KERNELS
def test_where_every_row_is_touched_it_is_torchs_adam(kernels):
    parameter = table(300, 2)[0]
    ours, theirs = parameter.clone(), torch.nn.Parameter(parameter.clone())
    optimizer = torch.optim.Adam([theirs], lr=1e-2, betas=(0.9, 0.99), eps=1e-15)
    state = fresh(300, 2)
    for _ in range(5):
        theirs.grad = torch.randn(300, 2)
        kernels.adam_rows(ours, theirs.grad.clone(), *state, *SETTINGS)
        optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6) and (state[2] == 5).all()


@KERNELS
def test_rows_touched_late_move_by_the_learning_rate_from_their_first_step_on(kernels):
    parameter, gradient, state = torch.zeros(70, 2), torch.zeros(70, 2), fresh(70, 2)
    for step in range(1, 1012):
        before = parameter.clone()
        gradient[3] = 0.5
        if step > 1000:
            gradient[[4, 66]] = torch.tensor([2e-5, -3.0])
        kernels.adam_rows(parameter, gradient, *state, *SETTINGS)
        moved = before - parameter
        if step > 1000:
            expected = SETTINGS[0] * torch.tensor([1.0, -1.0]).expand(2, 2)
            assert torch.allclose(moved[[4, 66]], expected, rtol=1e-4), step
    assert torch.allclose(moved[3], torch.full((2,), SETTINGS[0]), rtol=1e-4)
    assert state[2][[3, 4, 66]].tolist() == [1011, 11, 11] and state[2].sum() == 1011 + 22


@KERNELS
def test_steps_are_counted_no_further_than_they_matter(kernels):
    corrections = reference.bias_corrections(SETTINGS[1])
    last = corrections.shape[1] - 1
    assert (corrections[:, -1] - 1.0).abs().max() < 1e-15 < (corrections[:, last // 2] - 1.0).abs().max()
    assert reference.bias_corrections((0.9, 0.99999)).shape[1] - 1 == reference.MAX_ROW_STEPS
    given = list(table(3, 2, touched=1.0))
    given[4] = torch.tensor([last - 1, last, reference.MAX_ROW_STEPS], dtype=torch.int16)
    kernels.adam_rows(*given, *SETTINGS)
    assert given[4].tolist() == [last] * 3


@KERNELS
def test_rows_without_gradient_keep_parameter_and_moments_to_the_bit(kernels):
    given = table(1000, 2)
    before = [tensor.clone() for tensor in given]
    untouched = (given[1] == 0).all(1)
    kernels.adam_rows(*given, *SETTINGS)
    for now, then in zip(given, before, strict=True):
        assert torch.equal(now[untouched], then[untouched])
    for now, then in zip((given[0], *given[2:4]), (before[0], *before[2:4]), strict=True):
        assert (now[~untouched] != then[~untouched]).all()


@KERNELS
@pytest.mark.parametrize("n_features", [2, 3])
def test_one_number_of_a_gradient_moves_its_whole_row_and_minus_zero_is_zero(kernels, n_features):
    parameter, gradient, *state = table(3, n_features, touched=0.0)
    gradient[1, 0], gradient[2] = 1.0, -0.0
    before = parameter.clone()
    kernels.adam_rows(parameter, gradient, *state, *SETTINGS)
    assert (parameter[1] != before[1]).all() and torch.equal(parameter[[0, 2]], before[[0, 2]])


@KERNELS
def test_the_gradient_is_used_up(kernels):
    given = table(5000, 2)
    assert (given[1] != 0).any()
    kernels.adam_rows(*given, *SETTINGS)
    assert (given[1] == 0).all()
    before = given[0].clone()
    kernels.adam_rows(*given, *SETTINGS)
    assert torch.equal(given[0], before)


@KERNELS
def test_the_tiniest_gradient_moves_by_the_learning_rate(kernels):
    parameter, gradient = torch.zeros(4, 2), torch.zeros(4, 2)
    gradient[2] = 1e-11
    kernels.adam_rows(parameter, gradient, *fresh(4, 2), *SETTINGS)
    assert torch.allclose(parameter[2], torch.full((2,), -1e-2), rtol=1e-3)
