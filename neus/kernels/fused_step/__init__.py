"""A whole training step of a hash surface; `neus/training/step.py` says the same in torch and is its specification.

The stages, in this order, and where `cpu/` and `gpu/` have them:

    sample      middles of a ray's intervals                                               rays.py: sample_points
    gather      features of the hash grid there, and their slopes                         hash_encode/hash_lookup.py, gpu/hash_lookup.py
    layers      signed distance, features for the colour network, normal                  surface.py: surface_forward
    weights     alphas and weights from distances and normals; visible samples            rays.py: compute_weights
    colour      the colour network, for visible samples                                   color.py: color_forward
    composite   pixels                                                                    rays.py: composite
    loss        its terms, and their derivatives in colours, distances and normals        rays.py: loss_and_gradient; curvature
    backward    through the colour network, the layers, and into the tables               color.py, surface.py; tables, hash_lookup

On a CPU a tile of a few rays goes through all of them while it stays in cache (`cpu/tile.py`, `cpu/passes.py`), and the gradients of
the tables follow at the end, level by level (`cpu/tables.py`). On a GPU each stage is a kernel over all samples (`gpu/step.py`).
Products of matrices are in `cpu/matmul.py` and `cpu/gemm_microkernel.py`. `arguments.py` defines inputs and outputs.
"""

__all__ = ["arguments", "cpu", "gpu"]
