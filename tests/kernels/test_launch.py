import torch

from neus.kernels import launch
from neus.kernels.seeds import generator_on
from tests.kernels.backends import on_gpu


def test_a_power_of_two_is_the_smallest_that_holds():
    for n in range(1, 300):
        found = launch.power_of_two(n)
        assert found >= n and found & (found - 1) == 0 and (n == 1 or found // 2 < n)


def test_no_programs_start_nothing():
    def kernel():
        raise AssertionError

    launch.launch({(0, 3): kernel}, (0, 3), torch.zeros(0))


def test_on_its_own_device_the_source_itself_draws():
    source = torch.Generator().manual_seed(4)
    state = source.get_state()
    assert generator_on(torch.device("cpu"), source) is source and torch.equal(source.get_state(), state)


@on_gpu
def test_numbers_on_a_gpu_follow_from_the_state_of_the_source():
    source, device = torch.Generator().manual_seed(4), torch.device("cuda")
    state = source.get_state()
    first, second = (torch.rand(5, generator=generator_on(device, source), device=device) for _ in range(2))
    source.set_state(state)
    again = torch.rand(5, generator=generator_on(device, source), device=device)
    assert torch.equal(first, again) and not torch.equal(first, second)
