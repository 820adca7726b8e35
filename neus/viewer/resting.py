"""Images for viewers that stand still: coarse first, then finer, dropped as soon as one moves."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from neus.geometry.cameras import Camera
from neus.rendering.views import RenderedView, Renderer, render_view

LOG = logging.getLogger("neus")
# Heights in pixels, one after the other: the first takes a sixteenth of the rays of the last.
HEIGHTS = (120, 240, 480)
# A hand that turns the object pauses for less than this; seconds.
REST = 0.25


class _Moved(Exception):
    """The viewer has moved on, so the image is not wanted any more."""


@dataclass
class _Wish:
    camera: Callable[[int], Camera]
    what: str
    since: float
    level: int = 0


class RestingRenderer:
    """One thread that renders for all viewers in turn; who moved last waits until they rest.

    `moved` and `forget` return at once, from any thread; `stop` waits for the thread to end.
    """

    def __init__(
        self,
        renderer: Renderer,
        show: Callable[[int, str, Camera, RenderedView], None],
        heights: tuple[int, ...] = HEIGHTS,
        rest: float = REST,
    ) -> None:
        """Begins with nothing to do.

        Args:
            renderer: of the model; it is used by this thread alone, or under `lock`.
            show: called with (viewer, what, camera, rendered) for each finished image.
            heights: of the images, rising.
            rest: seconds without a move after which rendering begins.
        """
        self.renderer, self.heights, self.rest, self._show = renderer, heights, rest, show
        self.lock = threading.Lock()
        self._wishes: dict[int, _Wish] = {}
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="neus viewer", daemon=True)
        self._thread.start()

    def moved(self, viewer: int, camera: Callable[[int], Camera], what: str) -> None:
        """Notes where a viewer is; `camera` gives the camera for a height, `what` is handed on to `show`."""
        with self._changed:
            self._wishes[viewer] = _Wish(camera, what, time.monotonic())
            self._changed.notify_all()

    def forget(self, viewer: int) -> None:
        """Nothing more is rendered for a viewer."""
        with self._changed:
            self._wishes.pop(viewer, None)

    def stop(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_stopped = True
            self._wishes.clear()
            self._changed.notify_all()
        self._thread.join()

    @property
    def n_waiting(self) -> int:
        """Viewers with images still to come."""
        with self._changed:
            return len(self._wishes)

    def _work(self) -> None:
        while (found := self._next()) is not None:
            viewer, wish = found
            try:
                camera = wish.camera(self.heights[wish.level])
                with self.lock:
                    rendered = render_view(self.renderer, camera, on_progress=self._checking(viewer, wish))
                self._check(viewer, wish)
                self._show(viewer, wish.what, camera, rendered)
            except _Moved:
                continue
            except Exception as error:  # one viewer's fault must not end the thread, which serves all
                LOG.warning("viewer %d: %s", viewer, error)
                wish.level = len(self.heights)
            self._advance(viewer, wish)

    def _next(self) -> tuple[int, _Wish] | None:
        """The viewer that rests and has the coarsest image, once there is one; None to end."""
        with self._changed:
            while not self._is_stopped:
                now = time.monotonic()
                resting = [(viewer, wish) for viewer, wish in self._wishes.items() if now - wish.since >= self.rest]
                if resting:
                    return min(resting, key=lambda entry: (entry[1].level, entry[1].since))
                waits = [wish.since + self.rest - now for wish in self._wishes.values()]
                self._changed.wait(min(waits) if waits else None)
        return None

    def _checking(self, viewer: int, wish: _Wish) -> Callable[[int, int], None]:
        return lambda done, total: self._check(viewer, wish)

    def _check(self, viewer: int, wish: _Wish) -> None:
        with self._changed:
            if self._wishes.get(viewer) is not wish:
                raise _Moved

    def _advance(self, viewer: int, wish: _Wish) -> None:
        with self._changed:
            wish.level += 1
            if wish.level >= len(self.heights) and self._wishes.get(viewer) is wish:
                del self._wishes[viewer]
