"""The door of a viewer: only browsers that know its token get to the server behind it.

The server has neither password nor a check of where a request comes from, so any page open in the same browser could read the scene.
It listens on the loopback address alone; the guard stands before it, compares the token in constant time (`hmac.compare_digest`), and
hands bytes on unread. The token comes once in the address (`/?token=...`) and then as a cookie that scripts cannot read and other sites
do not send. Connections carry one request each, as those of the server do.
"""

import asyncio
import hmac
import secrets
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from neus.errors import InputError

# All addresses of the machine: others reach it by its name.
EVERY = ("0.0.0.0", "::")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Ports tried after the one that was asked for.
MORE_PORTS = 20
# Browsers' requests have some two kilobytes; seconds until one must have come.
MAX_HEAD, HEAD_SECONDS = 2**14, 10.0
CHUNK = 2**16


class Guard:
    """Listens on an address, in a thread of its own, for the server on a loopback port."""

    def __init__(self, inner_port: int, host: str = "127.0.0.1", port: int = 8080) -> None:
        """Begins to listen.

        Args:
            inner_port: of the server behind, on 127.0.0.1.
            host: address to listen on.
            port: the first to be tried; 0 takes any free one.

        Raises:
            InputError: no such address here, or no free port.
        """
        self.host, self.token, self._inner_port = host, secrets.token_urlsafe(24), inner_port
        self._tasks: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="neus viewer guard", daemon=True)
        self._thread.start()
        try:
            self._server = self._run(self._listen(port))
        except InputError:
            self._end_thread()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """What is opened in a browser, once."""
        name = socket.gethostname() if self.host in EVERY else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/?token={self.token}"

    @property
    def n_connections(self) -> int:
        """Connections that are open."""
        return len(self._tasks)

    def stop(self) -> None:
        """Closes all connections and ends the thread."""
        self._run(self._close())
        self._end_thread()

    def _run(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, port: int) -> asyncio.Server:
        for candidate in range(port, port + (MORE_PORTS if port else 1)):
            try:
                return await asyncio.start_server(self._serve, self.host, candidate, limit=MAX_HEAD)
            except OSError as error:
                reason = error.strerror or str(error)
        raise InputError(f"{self.host}:{port}: cannot listen there ({reason}); give another --port, or an address of this machine.")

    async def _close(self) -> None:
        self._server.close()
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
                answer = self.answer_to(head)
                if answer is None:
                    await self._hand_on(head, reader, writer)
                else:
                    writer.write(answer)
                    await writer.drain()
        finally:
            self._tasks.discard(task)
            writer.close()

    def answer_to(self, head: bytes) -> bytes | None:
        """The response to a request that the guard answers itself; None for one that may pass."""
        try:
            request, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = request.split(" ")
            headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
            address = urlsplit(target)
        except ValueError:
            return _response(HTTPStatus.BAD_REQUEST, "not a request of HTTP")
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "only reading is possible")
        if not self._is_own(headers):
            return _response(HTTPStatus.FORBIDDEN, "the request comes from another page")
        if self._is_token(parse_qs(address.query).get("token", [""])[0]):
            cookie = f"{self._cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            return _response(HTTPStatus.SEE_OTHER, "", {"Location": "/", "Set-Cookie": cookie})
        if self._is_token(_cookie(headers.get("cookie", ""), self._cookie_name)):
            return None
        return _response(HTTPStatus.UNAUTHORIZED, "open the address that `neus view` printed, with its token")

    @property
    def _cookie_name(self) -> str:
        # Cookies of one host are shared by its ports: two viewers must not replace each other's.
        return f"neus_view_{self.token[:6]}"

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        """Whether the request is meant for this server, by name, and comes from its own page."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.host in LOOPBACK and urlsplit(f"//{host}").hostname not in LOOPBACK:
            return False  # a foreign name that was made to point here
        return origin is None or urlsplit(origin).netloc == host

    async def _hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner_port)
        inner_writer.write(head)
        ways = [asyncio.create_task(_copy(reader, inner_writer)), asyncio.create_task(_copy(inner_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _response(status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(text.encode())), "Connection": "close"}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{k}: {v}" for k, v in (fields | dict(headers or {})).items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()
