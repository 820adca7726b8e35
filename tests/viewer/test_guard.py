"""Who gets through the guard, and that nothing stays behind."""

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neus.errors import InputError
from neus.viewer.guard import Guard


class Inner(BaseHTTPRequestHandler):
    """A server whose answer is the path, and which keeps what it was asked."""

    seen = []

    def do_GET(self):
        self.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def inner():
    Inner.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def guard(inner):
    guard = Guard(inner.server_address[1], port=0)
    yield guard
    guard.stop()


def asked(guard, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def cookie_of(guard):
    status, _, headers = asked(guard, f"/?token={guard.token}")
    assert status == 303 and headers["Location"] == "/"
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
    return headers["Set-Cookie"].split(";")[0]


def test_the_token_is_exchanged_for_a_cookie_that_lets_in(guard):
    assert asked(guard, "/a/b?c", Cookie=cookie_of(guard))[:2] == (200, "/a/b?c")


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=%C3%BC", "/index.html?token=%00"])
def test_without_the_token_nothing_is_seen(guard, path):
    assert asked(guard, path)[0] == 401 and Inner.seen == []


def test_a_part_of_the_token_or_another_cookie_is_not_enough(guard):
    name, _, token = cookie_of(guard).partition("=")
    for cookie in (f"{name}={token[:-1]}", f"{name}={token}x", f"other={token}", f"{name}=", "\x01", f"{name}"):
        assert asked(guard, Cookie=cookie)[0] == 401
    assert Inner.seen == []


def test_pages_of_others_are_refused_even_with_the_cookie(guard):
    cookie, own = cookie_of(guard), f"127.0.0.1:{guard.port}"
    assert asked(guard, Cookie=cookie, Origin=f"http://{own}")[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}, {"Origin": f"http://{own}.evil.example"}):
        assert asked(guard, Cookie=cookie, **headers)[0] == 403
    assert Inner.seen == ["/"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(guard, method):
    assert asked(guard, method=method, Cookie=cookie_of(guard))[0] == 405


@pytest.mark.parametrize("sent", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"a b c d\r\n\r\n", b"GET http://[ H\r\n\r\n", b"x" * 40_000, b""])
def test_nonsense_ends_its_connection_and_nobody_elses(guard, sent):
    with socket.create_connection(("127.0.0.1", guard.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(4096):
                answer += part
        except ConnectionResetError:
            pass
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert asked(guard, Cookie=cookie_of(guard))[0] == 200


def test_bytes_go_both_ways_until_one_side_closes(guard, inner):
    cookie = cookie_of(guard)
    with socket.create_connection(("127.0.0.1", guard.port), timeout=10) as connection:
        connection.sendall(f"GET /x HTTP/1.0\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    assert answer.endswith(b"/x")


def test_connections_leave_nothing_behind(guard):
    cookie, before = cookie_of(guard), threading.active_count()
    for _ in range(30):
        asked(guard, Cookie=cookie)
    silent = [socket.create_connection(("127.0.0.1", guard.port)) for _ in range(5)]
    for connection in silent:
        connection.close()
    end = time.monotonic() + 5.0
    while guard.n_connections and time.monotonic() < end:
        time.sleep(0.01)
    assert guard.n_connections == 0 and threading.active_count() <= before + 1


def test_it_listens_on_the_loopback_address_alone_and_stops(inner):
    guard = Guard(inner.server_address[1], port=0)
    assert guard._server.sockets[0].getsockname()[0] == "127.0.0.1" and guard.address.startswith("http://127.0.0.1:")
    with socket.create_connection(("127.0.0.1", guard.port)):
        guard.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", guard.port), timeout=2)
    assert "neus viewer guard" not in {thread.name for thread in threading.enumerate()}


def test_a_port_that_is_taken_gives_way_to_the_next(guard, inner):
    other = Guard(inner.server_address[1], port=guard.port)
    assert other.port > guard.port and other.token != guard.token
    other.stop()


def test_an_address_of_another_machine_is_refused_in_one_line(inner):
    with pytest.raises(InputError, match="cannot listen there"):
        Guard(inner.server_address[1], "192.0.2.1", 0)
