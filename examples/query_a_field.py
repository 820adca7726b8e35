"""Distances, normals, hits, an image and a mesh of a model: of a run folder, or of a torus in closed form.

    python examples/query_a_field.py [RUN] [--out FOLDER]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

import neus
from neus.fields.base import SurfaceSample


class Torus:
    """A field of one's own: `neus.fields.base.SurfaceField` asks for these two functions."""

    def __init__(self, ring_radius: float = 0.5, tube_radius: float = 0.2) -> None:
        self.ring_radius, self.tube_radius = ring_radius, tube_radius

    def sdf(self, points: torch.Tensor) -> torch.Tensor:
        """(...) signed distance at points (..., 3), negative inside."""
        from_ring = torch.stack([points[..., :2].norm(dim=-1) - self.ring_radius, points[..., 2]], dim=-1)
        return from_ring.norm(dim=-1) - self.tube_radius

    def evaluate(self, points: torch.Tensor) -> SurfaceSample:
        """Distance, features (here the point itself) and gradient."""
        in_plane = points[..., :2].norm(dim=-1, keepdim=True)
        across = (in_plane - self.ring_radius) * points[..., :2] / in_plane.clamp_min(1e-9)
        gradients = torch.nn.functional.normalize(torch.cat([across, points[..., 2:]], dim=-1), dim=-1)
        return SurfaceSample(self.sdf(points), points, gradients)


def painted_by_normal(
    points: torch.Tensor, normals: torch.Tensor, directions: torch.Tensor, features: torch.Tensor
) -> torch.Tensor:
    """(..., 3) RGB of a surface: its normal, moved to [0, 1]."""
    return 0.5 + 0.5 * normals


def torus_model() -> neus.Model:
    """A model of the torus, whose world is the scene frame in millimetres: one scene unit is 100 mm."""
    config = neus.ModelConfig()
    config = replace(config, neus_renderer=replace(config.neus_renderer, n_outside=0))  # no background network
    model = neus.Model(config, surface=Torus(), color=painted_by_normal, sharpness=1000.0)
    model.scene_to_world = torch.diag(torch.tensor([100.0, 100.0, 100.0, 1.0], dtype=torch.float64))
    model.background = torch.ones(3)
    return model


def main() -> None:
    """Prints what the field says, and writes an image and a mesh."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="run folder, or a published checkpoint")
    parser.add_argument("--out", type=Path, default=Path("runs/query_a_field"), help="folder to write to")
    options = parser.parse_args()
    model = neus.load_model(options.run) if options.run else torus_model()
    center, radius = model.known_world()[:3, 3], float(model.known_world()[:3, 0].norm())

    # Distances and normals at points of the world, in its unit.
    points = center + radius * torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.9, 0.0, 0.0]], dtype=torch.float64)
    print("signed distances:", [round(float(d), 2) for d in model.sdf(points, frame="world")])
    print("gradient at the last point:", [round(float(g), 3) for g in model.gradient(points[-1:], frame="world")[0]])

    # The first surface point along a ray.
    origin, direction = center + radius * torch.tensor([2.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0, 0.0])
    hit = model.trace(origin[None], direction[None].double(), frame="world")
    print(f"a ray from {origin.tolist()} hits after {float(hit.t):.2f}" if bool(hit.hit) else "the ray misses")

    camera = neus.Camera.look_at(eye=center + radius * torch.tensor([0.0, -2.5, 2.0]), target=center, fov=40, size=(320, 240))
    view = neus.render(model, camera)
    options.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * view.rgb.clamp(0, 1)).byte().numpy()).save(options.out / "view.png")
    mesh = neus.extract_mesh(model, resolution=128)
    mesh.export(options.out / "mesh.ply")
    print(f"mesh: {len(mesh.faces)} faces, volume {mesh.volume:.0f} in world units cubed, closed: {mesh.is_watertight}")
    print(options.out)


if __name__ == "__main__":
    main()
