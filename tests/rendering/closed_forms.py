"""Fields whose images are known: spheres and planes with their exact distance, gradient and colour."""

import torch

from neus.fields.base import SurfaceSample
from neus.geometry import shapes
from neus.geometry.rays import intersect_sphere
from neus.rendering.density import LogisticDensity
from neus.rendering.renderer import Fields, RendererConfig

# Sharp enough that the surface is thin against every tolerance, and for intervals of 1/100 still resolved.
SHARPNESS = 2000.0
FINE = RendererConfig(n_samples=64, n_importance=64, n_outside=0)


class Sphere:
    """The sphere of a radius about a centre; its one feature is the height above the centre."""

    def __init__(self, radius=0.5, center=(0.0, 0.0, 0.0)):
        self.radius, self.center = radius, torch.tensor(center)

    def sdf(self, points):
        return shapes.sphere(points - self.center.to(points), self.radius)

    def evaluate(self, points):
        offsets = points - self.center.to(points)
        return SurfaceSample(self.sdf(points), offsets[..., 2:], torch.nn.functional.normalize(offsets, dim=-1))


class Plane:
    """The half-space normal . x <= offset."""

    def __init__(self, normal, offset=0.0):
        self.normal, self.offset = torch.nn.functional.normalize(torch.tensor(normal), dim=0), offset

    def sdf(self, points):
        return shapes.plane(points, self.normal, self.offset)

    def evaluate(self, points):
        return SurfaceSample(self.sdf(points), points[..., :1], self.normal.to(points).expand_as(points))


class Turned:
    """Another field, turned by a rotation about the origin."""

    def __init__(self, field, rotation):
        self.field, self.rotation = field, rotation

    def sdf(self, points):
        return self.field.sdf(points @ self.rotation.to(points))

    def evaluate(self, points):
        sample = self.field.evaluate(points @ self.rotation.to(points))
        return sample._replace(gradients=sample.gradients @ self.rotation.to(points).T)


def no_shading(points, normals, directions, features):
    """Colours that depend on the surface alone."""
    return torch.sigmoid(features + features.new_tensor([0.0, 1.0, -1.0]))


def fields_of(surface, color=no_shading, background=None, sharpness=SHARPNESS, density=None):
    return Fields(surface, color, background, density or LogisticDensity(), torch.tensor(sharpness))


def rays_towards(targets, distance=3.0):
    """Origins and unit directions of rays that start anywhere `distance` away and pass through targets (N, 3)."""
    origins = distance * torch.nn.functional.normalize(torch.randn(targets.shape), dim=-1).to(targets)
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def in_ball(n, radius=1.0):
    """(n, 3) points of a ball."""
    around = torch.nn.functional.normalize(torch.randn(n, 3), dim=-1)
    return radius * torch.rand(n, 1) ** (1 / 3) * around


class Mug:
    """An open mug with a handle, its field multiplied by `scale`: thin walls, two holes, seen from inside and outside."""

    def __init__(self, wall=0.04, scale=1.0):
        self.wall, self.scale, self.evaluations = wall, scale, 0

    def sdf(self, points):
        self.evaluations += points.shape[:-1].numel()
        hollow = shapes.cylinder(points - points.new_tensor([0.0, 0.0, self.wall + 0.02]), 0.45 - self.wall, 0.55)
        body = shapes.difference(shapes.cylinder(points, 0.45, 0.55), hollow)
        upright = (points - points.new_tensor([0.45, 0.0, 0.0]))[..., [0, 2, 1]]
        handle = shapes.difference(
            shapes.torus(upright, 0.28, 0.05), shapes.cylinder(points, 0.45 - self.wall / 2, 0.7)
        )
        return self.scale * shapes.union(body, handle)

    def evaluate(self, points):
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            sdf = self.sdf(at)
            (gradients,) = torch.autograd.grad(sdf.sum(), at)
        return SurfaceSample(sdf.detach(), points, gradients)


def waves(points, normals, directions, features):
    """Colours that change over the surface and with its normal, within [0, 1]."""
    phases = points.new_tensor([0.0, 1.0, 2.0])
    return 0.5 + 0.25 * torch.sin(9.0 * points + phases) + 0.2 * torch.nn.functional.normalize(normals, dim=-1)


def view_of_mug(size=20):
    """(size^2, 3) origins and directions of a view into the mug from above, the rays that meet the unit sphere."""
    eye = torch.tensor([1.6, -1.9, 1.5])
    forward = -eye / eye.norm()
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    x, y = torch.meshgrid(torch.linspace(-0.75, 0.75, size), torch.linspace(-0.75, 0.75, size), indexing="xy")
    targets = x.flatten()[:, None] * right + y.flatten()[:, None] * torch.linalg.cross(right, forward)
    directions = torch.nn.functional.normalize(targets - eye, dim=-1)
    met = intersect_sphere(eye.expand_as(directions), directions)[2]
    return eye.expand_as(directions)[met], directions[met]
