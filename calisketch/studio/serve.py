"""The studio's server: on this machine unless told, silent towards any other, in a temporary folder of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import remedies
from ..pipeline import CaliSketch
from ..weights.address import is_this_computer
from .addresses import LONGEST
from .painter import Painter
from .samples import samples_style
from .uploads import MOST_BYTES, MOST_FILES, MOST_PIXELS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

QUEUE = 64
"""Requests that may wait; a further one is told that the queue is full."""
LARGEST_BODY = MOST_FILES * MOST_BYTES // 10
"""Bytes of a request that hands over files, which go to the disk as they come."""
LARGEST_MESSAGE = 2 * LONGEST + 2**20
"""Bytes of any other request, which is held in memory: the sheet's two layers and the settings."""
PORT = 7860


class StudioError(RuntimeError):
    """The studio cannot be started; the message says what to do."""


@contextlib.contextmanager
def studio(
    models: Mapping[str, str | Path | CaliSketch], host: str = "127.0.0.1", port: int | None = None
) -> Iterator[str]:
    """A running studio; its address is the value. It ends with the block, and its temporary folder with it.

    Args:
        models: by the name that is shown; the first one is chosen.
        host: the address it listens at; "0.0.0.0" lets other machines in.
        port: None: `PORT`, or the first free one of a hundred after it.

    Raises:
        StudioError: the extra ``app`` is missing, or the port is taken.
        ValueError, OSError: as `CaliSketch.from_pretrained` for the first model, or an example's file is missing.
    """
    _free_port(host, port)  # told before models are loaded
    with tempfile.TemporaryDirectory(prefix="calisketch-studio-") as folder, _surroundings(folder):
        try:
            import gradio as gr
        except ImportError as error:
            raise StudioError(f"the studio needs the extra app. Install it: {remedies.install('app')}") from error
        from PIL import Image
        from starlette.middleware import Middleware

        from .page import build

        usual_most = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses what has more than twice as many
        page = None
        try:
            page = build(Painter(models), alone=is_this_computer(host))
            page.queue(max_size=QUEUE, default_concurrency_limit=1)
            style = (Path(__file__).parent / "style.css").read_text(encoding="utf-8") + samples_style()
            _, address, _ = page.launch(
                server_name=host,
                server_port=_free_port(host, port),
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                ssr_mode=False,
                mcp_server=False,
                run_history=False,
                enable_monitoring=False,
                show_error=False,
                max_file_size=MOST_BYTES,
                max_threads=8,
                state_session_capacity=200,
                footer_links=[],
                css=style,
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                app_kwargs={"middleware": [Middleware(LimitedBodies)]},
            )
            yield address
        finally:
            if page is not None:
                page.close(verbose=False)
            Image.MAX_IMAGE_PIXELS = usual_most


class LimitedBodies:
    """Refuses with status 413 what is larger, said or sent, than `LARGEST_BODY`, or `LARGEST_MESSAGE` without files."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = LARGEST_BODY if scope["path"].rstrip("/").endswith("/upload") else LARGEST_MESSAGE
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > most:
            await _refuse(send, most)
            return
        taken, answered, refused = 0, False, False

        async def limited() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLargeError
            return message

        async def noticed(message: MutableMapping[str, Any]) -> None:
            nonlocal answered, refused
            if refused:
                return
            if taken > most and not answered:  # what the application makes of the error says nothing of the size
                refused = True
                await _refuse(send, most)
                return
            answered = True
            await send(message)

        try:
            await self.app(scope, limited, noticed)
        except _TooLargeError:
            if not answered and not refused:
                await _refuse(send, most)


class _TooLargeError(Exception):
    pass


async def _refuse(send: Callable[[MutableMapping[str, Any]], Awaitable[None]], most: int) -> None:
    said = f"This request has more than {most // 2**20} MiB. Send less at a time.".encode()
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(said)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@contextlib.contextmanager
def _surroundings(folder: str) -> Iterator[None]:
    """Gradio asks nobody and counts nothing, and all it keeps is in ``folder``; put back afterwards."""
    wanted = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_TEMP_DIR": folder,
        "TMPDIR": folder,
    }
    before = {name: os.environ.get(name) for name in wanted}
    usual = tempfile.tempdir
    os.environ.update(wanted)
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = usual
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port(host: str, port: int | None) -> int:
    tried = [port] if port is not None else range(PORT, PORT + 100)
    for each in tried:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, each))
            except OSError as error:
                reason = error
                continue
            return each
    what = f"port {port}" if port is not None else f"every port from {PORT} to {PORT + 99}"
    raise StudioError(f"{what} of {host} cannot be used ({reason.strerror}). Give another: --port NUMBER.")


def serve(models: Mapping[str, str | Path | CaliSketch], host: str, port: int | None, in_browser: bool = False) -> None:
    """A studio until Ctrl+C, opened in the browser if that is wanted. Raises as `studio`."""
    with studio(models, host, port) as address:
        print(f"calisketch studio: open {address} in a browser; Ctrl+C ends it.", flush=True)
        if in_browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
