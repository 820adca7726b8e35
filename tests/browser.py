"""A browser without a window, driven over its own DevTools socket; for tests that are skipped where there is none."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Software rendering: there is no graphics card where tests run.
OPTIONS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--remote-debugging-port=0", "--remote-allow-origins=*", "--no-proxy-server",
)  # fmt: skip
START_SECONDS = 60


class Tab:
    """One page of the browser."""

    def __init__(self, socket):
        self._socket, self._number = socket, 0

    def call(self, method, **parameters):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=START_SECONDS))).get("id") != self._number:
            pass
        return answer["result"]

    def value(self, expression):
        """What a JavaScript expression is, as plain data."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=START_SECONDS):
        end = time.monotonic() + seconds
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"{expression} stayed {found}"
            time.sleep(0.2)
        return found

    def image(self):
        """(H, W, 3) uint8 RGB of what is seen."""
        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@contextmanager
def tab_at(address: str, folder: Path, size=(640, 640)):
    """A tab that shows an address; `folder` takes the browser's own files. Skips where there is no browser."""
    client = pytest.importorskip("websockets.sync.client", reason="no `websockets` (it comes with neus[view])")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium to open the page with")
    command = [program, *OPTIONS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(folder / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            pages = [tab for tab in json.load(answer) if tab["type"] == "page"]
        with client.connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
            tab = Tab(socket)
            tab.call("Page.enable")
            tab.call("Page.navigate", url=address)
            yield tab
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(file: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while not (file.is_file() and file.read_text().strip()):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.1)
    return int(file.read_text().split()[0])
