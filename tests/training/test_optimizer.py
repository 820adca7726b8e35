import torch

from neus.experiment.build import build_model
from neus.training.optimizer import TABLE_EPSILON, build_optimizer, set_learning_rate


def test_a_network_is_one_group_in_published_order(tiny_config):
    model = build_model(tiny_config.model)
    (group,) = build_optimizer(model, 1e-3, 5e-3).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameter_list()]
    assert (group["lr"], group["betas"], group["eps"]) == (1e-3, (0.9, 0.999), 1e-8)


def test_the_table_of_a_hash_surface_has_its_own_learning_rate(tiny_hash_config):
    model = build_model(tiny_hash_config.model)
    optimizer = build_optimizer(model, 1e-3, 5e-3)
    others, table = optimizer.param_groups
    assert len(others["params"]) + 1 == len(model.parameter_list())
    assert table["params"][0] is model.sdf_network.grid.table and table["eps"] == TABLE_EPSILON
    assert (others["lr"], table["lr"]) == (1e-3, 5e-3)
    set_learning_rate(optimizer, 1.0, 2.0)
    assert (others["lr"], table["lr"]) == (1.0, 2.0)
    set_learning_rate(optimizer, 3.0)
    assert (others["lr"], table["lr"]) == (3.0, 3.0)


def test_the_first_step_moves_touched_rows_by_the_learning_rate_and_no_others(tiny_hash_config):
    model = build_model(tiny_hash_config.model)
    optimizer = build_optimizer(model, 1e-3, 5e-3)
    table = model.sdf_network.grid.table
    before = table.detach().clone()
    # So small that Adam's usual epsilon would swallow it.
    table.grad = torch.zeros_like(table)
    table.grad[7] = 1e-11
    optimizer.step()
    moved = before - table.detach()
    assert torch.allclose(moved[7], torch.full((2,), 5e-3), rtol=1e-3)
    assert (moved[:7] == 0).all() and (moved[8:] == 0).all()
