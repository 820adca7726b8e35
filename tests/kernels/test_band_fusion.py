"""What depth maps say about points: compiled and plain agree, and a plane is where its maps see it."""

import numpy as np

from neus.kernels.band_fusion import cpu, reference


def plane_views(generator, n_views=5, height=40, width=50):
    """Depth maps of the plane z = 2 from cameras that look along z, with holes and jumps."""
    matrices, depths = [], []
    for _ in range(n_views):
        x, y, z = generator.uniform(-0.3, 0.3, 3)
        intrinsics = np.array([[40.0, 0.0, width / 2], [0.0, 40.0, height / 2], [0.0, 0.0, 1.0]])
        matrices.append(intrinsics @ np.column_stack([np.eye(3), [-x, -y, -z]]))
        depths.append(np.full((height, width), 2.0 - z, np.float32))
    return np.stack(matrices), depths


def test_compiled_and_plain_agree_on_maps_with_holes_and_jumps():
    generator = np.random.default_rng(0)
    matrices, depths = plane_views(generator)
    for image in depths:
        image[generator.uniform(size=image.shape) < 0.2] = np.nan
        image[10:20, 10:30] *= generator.uniform(0.9, 1.1)
    cosines = [generator.uniform(0.2, 1.0, image.shape).astype(np.float32) for image in depths]
    points = generator.uniform(-1.5, 3.0, (20000, 3)).astype(np.float32)
    found, expected = (kernels.evidence(points, matrices, depths, cosines, 0.2) for kernels in (cpu, reference))
    for one, other in zip(found, expected, strict=True):
        # A point on the edge of a pixel or of the reach may fall to either side.
        assert (np.abs(one - other) > 1e-5).mean() < 1e-3
    assert found[0].max() > 2 and found[2].max() > 2 and found[3].max() > 2


def test_points_before_at_and_behind_a_plane():
    matrices, depths = plane_views(np.random.default_rng(1))
    points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.95], [0.0, 0.0, 2.2], [0.0, 0.0, 2.9], [0.0, 0.0, -5.0]])
    n_near, mean, n_through, n_behind = cpu.evidence(
        points, matrices, depths, [np.full_like(image, 0.5) for image in depths], 0.1
    )
    assert (
        n_near.tolist() == [0, 5, 0, 0, 0]
        and n_through.tolist() == [5, 0, 0, 0, 0]
        and n_behind.tolist() == [0, 0, 5, 0, 0]
    )
    np.testing.assert_allclose(mean[1], 0.025, atol=1e-5)
