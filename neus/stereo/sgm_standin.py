"""Stand-in until neus/kernels/semi_global is there."""
import numpy as np
from neus.kernels.jit import compiled


@compiled
def path(cost, grey, dy, dx, P1, P2, out):
    H, W, D = cost.shape
    prev = np.zeros((W + 2, D), np.int32); cur = np.zeros((W + 2, D), np.int32)
    pmin = np.zeros(W + 2, np.int32); cmin = np.zeros(W + 2, np.int32)
    ys = range(H) if (dy > 0 or (dy == 0 and dx > 0)) else range(H - 1, -1, -1)
    for y in ys:
        xs = range(W) if (dx > 0 or (dx == 0)) else range(W - 1, -1, -1)
        for x in xs:
            py, px = y - dy, x - dx
            best = np.int32(1 << 30)
            if py < 0 or py >= H or px < 0 or px >= W:
                for d in range(D):
                    c = np.int32(cost[y, x, d]); cur[x, d] = c
                    if c < best: best = c
            else:
                row = cur if dy == 0 else prev
                m = cmin[px] if dy == 0 else pmin[px]
                g = abs(grey[y, x] - grey[py, px])
                p2 = np.int32(max(P1 + 1, P2 / (1.0 + g / 8.0)))
                for d in range(D):
                    v = row[px, d]
                    if d > 0: v = min(v, row[px, d - 1] + P1)
                    if d < D - 1: v = min(v, row[px, d + 1] + P1)
                    v = min(v, m + p2)
                    c = np.int32(cost[y, x, d]) + v - m
                    cur[x, d] = c
                    if c < best: best = c
            cmin[x] = best
            for d in range(D): out[y, x, d] += np.uint16(cur[x, d])
        if dy != 0:
            for x in range(W):
                pmin[x] = cmin[x]
                for d in range(D): prev[x, d] = cur[x, d]


@compiled
def minimum(total, index, offset):
    H, W, D = total.shape
    for y in range(H):
        for x in range(W):
            b = 0
            for d in range(D):
                if total[y, x, d] < total[y, x, b]: b = d
            index[y, x] = b
            if b == 0 or b == D - 1:
                offset[y, x] = np.nan; continue
            a0, a1, a2 = float(total[y, x, b - 1]), float(total[y, x, b]), float(total[y, x, b + 1])
            den = a0 - 2 * a1 + a2
            o = 0.5 * (a0 - a2) / den if den > 1e-6 else 0.0
            offset[y, x] = b + min(0.5, max(-0.5, o))


def aggregate(cost, grey, p1, p2):
    total = np.zeros(cost.shape, np.uint16)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
        path(cost, grey, dy, dx, p1, p2, total)
    return total


def winners(total):
    index = np.zeros(total.shape[:2], np.int64); offset = np.zeros(total.shape[:2], np.float32)
    minimum(total, index, offset)
    return index, offset
