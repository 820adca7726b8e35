"""Which views train and which are held out."""

from neus.errors import InputError


def split_views(n_views: int, holdout: int) -> tuple[list[int], list[int]]:
    """Training views and held-out views: every `holdout`-th view, beginning with the first, is kept out; 0 keeps none.

    >>> split_views(5, 2)
    ([1, 3], [0, 2, 4])
    """
    if holdout < 0:
        raise InputError(f"--holdout {holdout}: expected 0 (none) or K > 1 to keep every K-th view out of training.")
    held_out = list(range(0, n_views, holdout)) if holdout else []
    training = [v for v in range(n_views) if v not in set(held_out)]
    if not training:
        raise InputError(f"--holdout {holdout} keeps out all {n_views} views; use a larger number, or 0 for none.")
    return training, held_out
