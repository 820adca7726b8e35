import pytest

from neus.checks import silhouettes
from neus.stereo import matches
from tests.checks.right_scene import right_scene


@pytest.fixture(scope="session")
def right():
    return right_scene()


@pytest.fixture(scope="package", autouse=True)
def quicker():
    """What SIFT finds in an image is kept, since many altered scenes share it, and visual hulls are coarser."""
    known, find = {}, matches._features
    with pytest.MonkeyPatch.context() as patch:

        def features(image, count):
            key = (image.tobytes(), image.shape, count)
            if key not in known:
                known[key] = find(image, count)
            return known[key]

        patch.setattr(matches, "_features", features)
        patch.setattr(silhouettes, "STEPS", 40)
        yield
