import pytest

from neus.errors import InputError
from neus.scenes.scene import split_views


@pytest.mark.parametrize(("n_views", "holdout"), [(49, 8), (10, 3), (5, 4), (7, 100)])
def test_every_view_is_either_trained_on_or_held_out(n_views, holdout):
    training, held_out = split_views(n_views, holdout)
    assert sorted(training + held_out) == list(range(n_views))
    assert held_out == list(range(0, n_views, holdout))


def test_zero_holds_none_out():
    assert split_views(5, 0) == ([0, 1, 2, 3, 4], [])


@pytest.mark.parametrize(
    ("n_views", "holdout", "said"), [(5, 1, "keeps out all 5 views"), (1, 8, "all 1"), (5, -2, "expected 0")]
)
def test_a_split_that_leaves_nothing_to_train_on_is_refused(n_views, holdout, said):
    with pytest.raises(InputError, match=said):
        split_views(n_views, holdout)
