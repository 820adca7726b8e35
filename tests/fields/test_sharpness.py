import math

import pytest

from neus.fields.sharpness import SHARPNESS_RANGE, Sharpness, SharpnessConfig


def test_sharpness_is_the_exponential_of_ten_times_the_parameter():
    assert Sharpness(SharpnessConfig())().item() == pytest.approx(math.exp(3.0), rel=1e-6)


@pytest.mark.parametrize("value", [-100.0, -1.5, 1.5, 9.0, 100.0])
def test_sharpness_and_its_gradient_stay_finite_however_far_the_parameter_runs(value):
    network = Sharpness(SharpnessConfig(init_val=value))
    sharpness = network()
    sharpness.backward()
    lowest, highest = SHARPNESS_RANGE
    assert lowest * 0.999 <= sharpness.item() <= highest * 1.001
    assert network.variance.grad.isfinite()


def test_gradient_within_range_is_ten_times_the_sharpness():
    network = Sharpness(SharpnessConfig(init_val=0.5))
    sharpness = network()
    sharpness.backward()
    assert network.variance.grad.item() == pytest.approx(10.0 * sharpness.item(), rel=1e-6)


def test_published_name_and_shape():
    assert {name: tuple(v.shape) for name, v in Sharpness(SharpnessConfig()).state_dict().items()} == {"variance": ()}
