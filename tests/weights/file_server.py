"""A web server with one file, and with the faults that servers and connections have."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


@dataclass
class Faults:
    """What goes wrong; lists are used up, one entry a request.

    Attributes:
        cut: bytes after which the connection is closed.
        status: statuses to answer with in place of the file.
        stall: keep silent, once, after this many bytes, until ``release`` is set.
        announced: the Content-Length that is told, a text as it is; the truth if None, none at all if -1.
        leads_to: another address that each request is sent on to.
    """

    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    stall: int | None = None
    announced: int | str | None = None
    leads_to: str | None = None


class FileServer:
    """Serves ``content`` at ``url`` in a thread, while its context lasts.

    Attributes:
        ranges: the Range header of each request, in order; None where there was none.
        sent: bytes of the file that were sent in all.
        stalled: set when an answer has fallen silent.
    """

    def __init__(self, content: bytes, *, tag: str | None = '"one"', continues: bool = True) -> None:
        self.content, self.tag, self.continues, self.faults = content, tag, continues, Faults()
        self.ranges: list[str | None] = []
        self.sent = 0
        self.stalled, self.release = threading.Event(), threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/file.bin"

    def __enter__(self) -> FileServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.ranges.append(wanted)
        request.close_connection = True
        if self.faults.status:
            request.send_response(self.faults.status.pop(0))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if self.faults.leads_to:
            request.send_response(302)
            request.send_header("Location", self.faults.leads_to)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content = self.content_of(request.path)
        if content is None:
            request.send_error(404)
            return
        first = 0
        unchanged = request.headers["If-Range"] in (None, self.tag)
        if wanted and self.continues and unchanged:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
        if wanted and first >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if first else 200)
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.tag:
            request.send_header("ETag", self.tag)
        length = len(content) - first if self.faults.announced is None else self.faults.announced
        if isinstance(length, str) or length >= 0:
            request.send_header("Content-Length", str(length))
        request.end_headers()
        self._send(request, content, first)

    def content_of(self, path: str) -> bytes | None:
        """What lies at a path, or None; here the same everywhere."""
        return self.content

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, first: int) -> None:
        end = first + self.faults.cut.pop(0) if self.faults.cut else len(content)
        body = content[first:end]
        stall, self.faults.stall = self.faults.stall, None
        try:
            if stall is not None:
                request.wfile.write(body[:stall])
                request.wfile.flush()
                self.sent += stall
                self.stalled.set()
                self.release.wait(30)
                body = body[stall:]
            request.wfile.write(body)
            self.sent += len(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side is gone, which is what some tests are about


class FolderServer(FileServer):
    """Serves ``files``, by name, below ``address``.

    Attributes:
        asked: the names that were asked for, in order, with their queries.
        faults_of: what goes wrong with a file, by its name; where it is used, ``faults`` is not.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(b"")
        self.files = files
        self.asked: list[str] = []
        self.faults_of: dict[str, Faults] = {}
        self.address = self.url.replace("/file.bin", "/models/one")

    def content_of(self, path: str) -> bytes | None:
        name = path.removeprefix("/models/one/")
        self.asked.append(name)
        if self.faults_of:
            self.faults = self.faults_of.get(name, Faults())
        return self.files.get(name.partition("?")[0])
