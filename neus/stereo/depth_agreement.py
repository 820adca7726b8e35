"""Stand-in for depth_maps.consistent."""
import numpy as np
from dataclasses import replace
from neus.kernels.threads import run_tasks


def consistent(estimates, asked, n_agree, tol):
    out = [None] * len(estimates)

    def check(i):
        e = estimates[i]
        inv = np.linalg.inv(e.matrix[:, :3]); c = -inv @ e.matrix[:, 3]
        yy, xx = np.nonzero(np.isfinite(e.depths)); z = e.depths[yy, xx].astype(np.float64)
        P = z * (inv @ np.stack([xx, yy, np.ones(len(xx))])) + c[:, None]
        n = np.zeros(len(xx), int)
        for j in asked[i]:
            o = estimates[j]; H, W = o.depths.shape
            h = o.matrix[:, :3] @ P + o.matrix[:, 3:]; zz = np.maximum(h[2], 1e-6)
            x = np.rint(np.clip(h[0] / zz, -2, W + 1)).astype(np.int32); y = np.rint(np.clip(h[1] / zz, -2, H + 1)).astype(np.int32)
            ok = (h[2] > 0) & (x >= 0) & (x < W) & (y >= 0) & (y < H)
            s = np.where(ok, o.depths[np.where(ok, y, 0), np.where(ok, x, 0)], np.nan)
            n += np.abs(1 / s - 1 / zz) < tol * o.step
        k = n >= n_agree; d = np.full_like(e.depths, np.nan); d[yy[k], xx[k]] = e.depths[yy[k], xx[k]]
        out[i] = replace(e, depths=d, scores=np.where(np.isfinite(d), e.scores, 0))
    run_tasks(check, [(i,) for i in range(len(estimates))])
    return out
