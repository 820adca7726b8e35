"""A whole training step of a hash surface; `neus/training/step.py` says the same in torch and is its specification.

The stages, in this order, and where `cpu/` and `gpu/` have them:

    place       middles of a ray's intervals                                               rays.py: sample_points
    gather      features of the hash grid there, and their slopes                         hash_encode/hash_lookup.py, gpu/hash_lookup.py
    layers      signed distance, features for the colour network, normal                  surface.py: surface_forward
    weigh       alphas and weights from distances and normals; which samples are seen     rays.py: weigh
    colour      the colour network, for samples that are seen                             color.py: color_forward
    composite   pixels                                                                    rays.py: draw
    loss        its terms, and their derivatives in colours, distances and normals        rays.py: lose; curvature
    backward    through the colour network, the layers, and into the tables               color.py, surface.py; tables, lookups

On a CPU a tile of a few rays goes through all of them while it stays in cache (`cpu/tile.py`, `cpu/passes.py`), and the gradients of
the tables follow at the end, level by level (`cpu/tables.py`). On a GPU each stage is a kernel over all samples (`gpu/step.py`).
Products of matrices are in `cpu/matmul.py` and `cpu/gemm_microkernel.py`. `arguments.py` says what goes in and what comes out.
"""

__all__ = ["arguments", "cpu", "gpu"]
