"""Where the pixels of a scene come from: arrays in memory, or files that are decoded when they are read."""

import operator
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from neus.kernels.threads import run_tasks

Size = tuple[int, int]


class Pixels(Protocol):
    """The pixels of V views.

    Attributes:
        sizes: V (width, height), known without a pixel being read.
        has_masks, has_alphas: whether `mask` and `alpha` may be called.
        in_memory: whether reading costs nothing.
    """

    sizes: Sequence[Size]
    has_masks: bool
    has_alphas: bool
    in_memory: bool

    def image(self, view: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        ...

    def mask(self, view: int) -> np.ndarray:
        """(H, W) bool, True on the object."""
        ...

    def alpha(self, view: int) -> np.ndarray:
        """(H, W) uint8, 255 where the object covers all of the pixel."""
        ...


class Layer(Sequence[np.ndarray]):
    """The images, masks or alphas of some views of a store, each read when it is indexed.

    Args:
        store: of all views.
        kind: `image`, `mask` or `alpha`.
        views: which of them, in which order; None for all.
    """

    def __init__(self, store: Pixels, kind: str, views: Sequence[int] | None = None) -> None:
        self.store, self.kind = store, kind
        self.views = range(len(store.sizes)) if views is None else views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int | slice) -> "np.ndarray | Layer":
        if isinstance(index, slice):
            return Layer(self.store, self.kind, self.views[index])
        return getattr(self.store, self.kind)(self.views[operator.index(index)])


def selected(arrays: Sequence[np.ndarray], views: Sequence[int]) -> Sequence[np.ndarray]:
    """Those of some views, unread where they are a `Layer`."""
    if isinstance(arrays, Layer):
        return Layer(arrays.store, arrays.kind, [arrays.views[view] for view in views])
    return [arrays[view] for view in views]


def size_at(arrays: Sequence[np.ndarray], view: int) -> Size:
    """Width and height of one view, without reading it where the arrays are a `Layer`."""
    if isinstance(arrays, Layer):
        return arrays.store.sizes[arrays.views[view]]
    height, width = arrays[view].shape[:2]
    return width, height


def is_in_memory(arrays: Sequence[np.ndarray]) -> bool:
    """Whether indexing reads no file."""
    return not isinstance(arrays, Layer) or arrays.store.in_memory


class PackedPixels:
    """Pixels in memory, laid end to end as training draws them; images, masks and alphas are views of that array.

    Attributes:
        packed: (P, 4) uint8 over the pixels of all views, row by row: red, green, blue, and the alpha, or else the mask as 0 or 1.
        starts: (V + 1,) where each view begins in `packed`, and the end.
    """

    in_memory = True

    def __init__(self, sizes: Sequence[Size], has_masks: bool = False, has_alphas: bool = False) -> None:
        self.sizes, self.has_masks, self.has_alphas = list(sizes), has_masks, has_alphas
        self.starts = np.cumsum([0, *(width * height for width, height in self.sizes)])
        self.packed = np.zeros((int(self.starts[-1]), 4), np.uint8)
        # An alpha leaves no room for a mask in the fourth byte.
        self._outlines = [np.zeros((h, w), bool) for w, h in self.sizes] if has_masks and has_alphas else None

    def _rows(self, view: int) -> np.ndarray:
        width, height = self.sizes[view]
        return self.packed[self.starts[view] : self.starts[view + 1]].reshape(height, width, 4)

    def image(self, view: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, a view of `packed`."""
        return self._rows(view)[:, :, :3]

    def mask(self, view: int) -> np.ndarray:
        """(H, W) bool, a view of `packed` unless there are alphas."""
        return self._rows(view)[:, :, 3].view(bool) if self._outlines is None else self._outlines[view]

    def alpha(self, view: int) -> np.ndarray:
        """(H, W) uint8, a view of `packed`."""
        return self._rows(view)[:, :, 3]

    def put(self, view: int, image: np.ndarray, mask: np.ndarray | None, alpha: np.ndarray | None) -> None:
        """Takes over the pixels of one view: (H, W, 3) uint8, (H, W) bool, (H, W) uint8, the latter where the store has them."""
        self.image(view)[...] = image
        if self.has_alphas:
            self.alpha(view)[...] = alpha
        if self.has_masks:
            self.mask(view)[...] = mask


def packed_pixels(
    sizes: Sequence[Size],
    read: Callable[[int], tuple[np.ndarray, np.ndarray | None, np.ndarray | None]],
    has_masks: bool,
    has_alphas: bool,
    on_progress: Callable[[int, int], None] | None = None,
) -> PackedPixels:
    """All pixels in memory, read by as many threads as torch uses (OpenCV decodes without Python's lock).

    Args:
        sizes: V (width, height).
        read: gives image, mask and alpha of a view, None where the store has none; called from several threads.
        has_masks, has_alphas: what there is.
        on_progress: receives the number of views that are read, and V.

    Raises:
        Whatever `read` raises, for the first of the views that fail.
    """
    store = PackedPixels(sizes, has_masks, has_alphas)
    lock, stop, done = threading.Lock(), threading.Event(), 0

    def fill(view: int) -> None:
        nonlocal done
        if stop.is_set():
            return
        store.put(view, *read(view))
        with lock:
            done += 1
            if on_progress:
                on_progress(done, len(store.sizes))

    try:
        run_tasks(fill, [(view,) for view in range(len(store.sizes))])
    except BaseException:
        stop.set()  # views that wait for a thread are not read any more
        raise
    return store


def packed_store(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None, alphas: Sequence[np.ndarray] | None
) -> tuple[PackedPixels, list[int]]:
    """A store whose fourth byte is the alpha, or else the mask if there is one, and the indices of these V views in it.

    The store that the arrays lie in where there is one, without a copy; else a new one.
    """
    fourth = masks if alphas is None else alphas
    if isinstance(images, Layer) and isinstance(images.store, PackedPixels):
        kind = "alpha" if images.store.has_alphas else "mask"
        is_shared = isinstance(fourth, Layer) and (fourth.store, fourth.kind) == (images.store, kind)
        if masks is None or (is_shared and list(fourth.views) == list(images.views)):
            return images.store, list(images.views)

    def read(view: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        return tuple(None if layer is None else layer[view] for layer in (images, masks, alphas))

    sizes = [size_at(images, view) for view in range(len(images))]
    return packed_pixels(sizes, read, masks is not None and alphas is None, alphas is not None), list(range(len(sizes)))
