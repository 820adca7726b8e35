import copy

import torch

from neus.runs.build import build_model
from neus.training.optimizer import TABLE_BETAS, TABLE_EPSILON, TableAdam, build_optimizer, set_learning_rates


def rates(networks: float = 0.0, table: float = 0.0) -> dict[str, float]:
    return {"networks": networks, "sharpness": 0.0, "surface": 0.0, "table": table, "color_table": 0.0}


def test_a_network_is_one_group_in_published_order(tiny_config):
    model = build_model(tiny_config.model)
    optimizer = build_optimizer(model)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameter_list()]
    assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)
    set_learning_rates(optimizer, rates(networks=1e-3))
    assert group["lr"] == 1e-3


def test_groups_of_published_states_have_no_role_and_are_networks(tiny_config):
    optimizer = build_optimizer(build_model(tiny_config.model))
    del optimizer.param_groups[0]["role"]
    set_learning_rates(optimizer, rates(networks=2.0))
    assert optimizer.param_groups[0]["lr"] == 2.0


def test_the_parts_of_a_hash_surface_have_their_own_learning_rates(tiny_hash_config):
    model = build_model(tiny_hash_config.model)
    optimizer = build_optimizer(model)
    by_role = {group["role"]: group for group in optimizer.param_groups}
    assert set(by_role) == {"networks", "sharpness", "surface", "table"}
    assert sum(len(group["params"]) for group in by_role.values()) == len(model.parameter_list())
    assert by_role["table"]["params"][0] is model.sdf_network.grid.table and by_role["table"]["eps"] == TABLE_EPSILON
    set_learning_rates(optimizer, rates(1.0, 2.0))
    assert (by_role["networks"]["lr"], by_role["table"]["lr"], by_role["surface"]["lr"]) == (1.0, 2.0, 0.0)


def test_the_first_step_moves_touched_rows_by_the_learning_rate_and_no_others(tiny_hash_config):
    model = build_model(tiny_hash_config.model)
    optimizer = build_optimizer(model)
    set_learning_rates(optimizer, rates(1e-3, 5e-3))
    table = model.sdf_network.grid.table
    before = table.detach().clone()
    # So small that Adam's usual epsilon would swallow it.
    table.grad = torch.zeros_like(table)
    table.grad[7] = 1e-11
    optimizer.step()
    moved = before - table.detach()
    assert torch.allclose(moved[7], torch.full((2,), 5e-3), rtol=1e-3)
    assert (moved[:7] == 0).all() and (moved[8:] == 0).all()


def test_rows_without_gradient_are_not_carried_on_by_momentum():
    table, other = torch.nn.Parameter(torch.zeros(3, 2)), torch.nn.Parameter(torch.zeros(3, 2))
    optimizer = TableAdam([{"params": [table], "eps": TABLE_EPSILON}, {"params": [other]}], lr=0.1)
    for touched in (0, 1):
        before = table.detach().clone()
        for parameter in (table, other):
            parameter.grad = torch.zeros(3, 2)
            parameter.grad[touched] = 1.0
        optimizer.step()
        moved = (table.detach() != before).any(1)
        assert moved.tolist() == [row == touched for row in range(3)]
        assert (table.grad == 0).all() and (other.grad[touched] == 1).all()
    # Torch's own Adam went on with the row of the first step.
    assert (other[0] < -0.1 * 1.5).all() and torch.allclose(table[0], torch.full((2,), -0.1))


def test_state_goes_to_torchs_adam_and_back():
    def steps(optimizer, table, n):
        for _ in range(n):
            table.grad = torch.ones(3, 2)
            optimizer.step()

    tables = [torch.nn.Parameter(torch.zeros(3, 2)) for _ in range(2)]
    optimizers = [
        kind([table], lr=0.1, eps=TABLE_EPSILON) for kind, table in zip((TableAdam, torch.optim.Adam), tables)
    ]
    for optimizer, table in zip(optimizers, tables):
        steps(optimizer, table, 3)
    ours, theirs = (optimizer.state_dict() for optimizer in optimizers)
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"][0].keys() - theirs["state"][0].keys() == {"row_steps"}
    optimizers[0].load_state_dict(theirs)
    optimizers[1].load_state_dict(ours)
    for optimizer, table in zip(optimizers, tables):
        steps(optimizer, table, 2)
    assert torch.allclose(tables[0], tables[1])
    assert (optimizers[0].state[tables[0]]["row_steps"] == 5).all()


def test_steps_of_rows_survive_a_checkpoint_and_are_found_where_one_has_none():
    def touch(optimizer, table, row):
        table.grad = torch.zeros(3, 2)
        table.grad[row] = 1.0
        optimizer.step()

    table = torch.nn.Parameter(torch.zeros(3, 2))
    optimizer = TableAdam([table], lr=0.1, betas=TABLE_BETAS, eps=TABLE_EPSILON)
    for row in (0, 0, 0, 1):
        touch(optimizer, table, row)
    state = optimizer.state_dict()
    assert state["state"][0]["row_steps"].tolist() == [3, 1, 0]
    old = copy.deepcopy(state)
    del old["state"][0]["row_steps"]
    for given, expected in ((state, [4, 1, 0]), (old, [5, 4, 0])):
        resumed = torch.nn.Parameter(table.detach().clone())
        optimizer = TableAdam([resumed], lr=0.1, betas=TABLE_BETAS, eps=TABLE_EPSILON)
        optimizer.load_state_dict(copy.deepcopy(given))
        touch(optimizer, resumed, 0)
        assert optimizer.state[resumed]["row_steps"].tolist() == expected
        # A row without moments starts as with a fresh Adam either way.
        touch(optimizer, resumed, 2)
        assert torch.allclose(resumed[2], torch.full((2,), -0.1), rtol=1e-5)
