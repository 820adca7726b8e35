import pytest
import torch

from neus.fields.hash_grid import INITIAL_FEATURE, HashGrid, HashGridConfig
from neus.kernels.hash_encode.layout import grid_layout

SMALL = HashGridConfig(n_levels=4, base_resolution=3, finest_resolution=24, log2_table_size=9)


def test_resolutions_grow_geometrically_and_levels_hash_where_they_do_not_fit():
    layout = HashGrid(SMALL).layout
    assert layout.resolutions == (3, 6, 12, 24)
    assert layout.is_dense == (True, True, False, False)
    assert layout.n_rows == 4**3 + 7**3 + 2 * 512


def test_a_single_level_has_the_base_resolution():
    assert grid_layout(1, 7, 100, 4).resolutions == (7,)


def test_features_start_small_and_different():
    table = HashGrid(SMALL).table
    assert table.abs().max() <= INITIAL_FEATURE and len(table.unique()) > 0.9 * table.numel()


def test_levels_switched_off_do_not_matter():
    grid, points = HashGrid(SMALL), torch.rand(30, 3) * 2 - 1
    grid.set_active_levels(2)
    before = grid(points)
    with torch.no_grad():
        grid.table[grid.layout.offsets[2] :] += 1.0
    assert torch.equal(before, grid(points)) and (before[:, 4:] == 0).all()
    grid.set_active_levels(3)
    assert not torch.equal(before, grid(points))


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (3, 3), (99, 4)])
def test_the_number_of_active_levels_is_kept_in_range(asked, given):
    grid = HashGrid(SMALL)
    grid.set_active_levels(asked)
    assert int(grid.n_active) == given


def test_the_number_of_active_levels_is_part_of_the_state():
    one, other = HashGrid(SMALL), HashGrid(SMALL)
    one.set_active_levels(2)
    other.load_state_dict(one.state_dict())
    assert int(other.n_active) == 2


def test_both_forms_of_the_kernel_serve_it(monkeypatch):
    grid, points = HashGrid(SMALL), torch.rand(30, 3)
    fast = grid.with_jacobian(points)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    slow = grid.with_jacobian(points)
    assert type(fast[0].grad_fn) is not type(slow[0].grad_fn)
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(fast, slow, strict=True))
