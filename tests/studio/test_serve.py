"""The server against whatever is sent to it: it refuses in words, lives, and leaves nothing behind."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import torch
from PIL import Image

pytest.importorskip("gradio", reason="needs the extra app")
pytest.importorskip("gradio_client", reason="needs the extra app")

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from calisketch import CaliSketch
from calisketch.networks import EncoderDecoder
from calisketch.studio import serve
from calisketch.studio.page import build
from calisketch.studio.painter import Painter
from calisketch.studio.serve import LARGEST_BODY, LARGEST_MESSAGE, StudioError, studio
from calisketch.studio.uploads import MOST_BYTES, MOST_PIXELS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAME = "cuhk-small-256"  # so that the documented example runs as it is written


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tmp_path_factory.getbasetemp()  # before the studio moves where temporary files go
    torch.manual_seed(0)
    model = CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 64)
    with studio({NAME: model}) as found:
        yield found.rstrip("/")


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("answers")))


@pytest.fixture
def folder(address: str) -> Path:
    """The studio's temporary one."""
    return Path(tempfile.gettempdir())


def connected(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)


def ask(
    address: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = connected(address)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=False)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def uploaded(address: str, name: str, data: bytes) -> tuple[int, bytes]:
    quoted = name.replace('"', "%22")
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
    body = head.encode() + data + b"\r\n--edge--\r\n"
    return ask(address, "POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=edge"})


def alive(client: Client) -> bool:
    refined, face = client.predict(handle_file(EXAMPLES / "woman-bob.png"), 1.0, NAME, api_name="/paint")
    with Image.open(refined) as one, Image.open(face) as other:
        return one.size == other.size == (512, 512)


def png_of(width: int, height: int) -> bytes:
    """A whole PNG of a few kilobytes that claims and holds that many black pixels, of one bit each."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.png", bytes(30 * 2**20))
    return stream.getvalue()


def test_only_this_machine_is_listened_to(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
    port = urlsplit(address).port
    assert port is not None
    told = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {fields[1].split(":")[0] for fields in told if fields[3] == "0A" and fields[1].endswith(f":{port:04X}")}
    assert listening == {"0100007F"}
    if Path("/proc/net/tcp6").exists():
        lines = Path("/proc/net/tcp6").read_text().splitlines()[1:]
        assert not [line for line in lines if f":{port:04X} " in line.split()[1] + " " and line.split()[3] == "0A"]


def test_the_page_names_no_other_host(address: str) -> None:
    status, page = ask(address, "GET", "/")
    assert status == 200
    loaded = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", page.decode())
    assert [each for each in loaded if urlsplit(each).hostname not in ("127.0.0.1", "localhost")] == []


def test_a_port_that_is_taken_is_told_and_without_one_the_next_is_found(address: str) -> None:
    port = urlsplit(address).port
    with pytest.raises(StudioError, match=f"port {port} of 127.0.0.1 cannot be used"), studio({"a": "b"}, port=port):
        pass
    assert serve._free_port("127.0.0.1", None) != port


@pytest.mark.parametrize(
    ("path", "most"), [("/gradio_api/upload", LARGEST_BODY), ("/gradio_api/queue/join", LARGEST_MESSAGE)]
)
def test_a_request_that_claims_too_much_is_refused_before_it_is_read(
    address: str, client: Client, path: str, most: int
) -> None:
    connection = connected(address)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(most + 1))
    connection.endheaders(b"only this")
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.read().decode() == f"This request has more than {most // 2**20} MiB. Send less at a time."
    connection.close()
    for lie in ("-5", "1e3", "nonsense", "9" * 30):
        with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), 20) as raw:
            raw.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {lie}\r\n\r\n".encode())
            assert re.match(rb"HTTP/1.1 4\d\d ", raw.recv(100))


def test_a_request_that_does_not_say_its_size_is_cut_off(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "LARGEST_MESSAGE", 2**20)

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 2**16

    connection = connected(address)
    try:
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/gradio_api/queue/join", endless(), headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"more than 1 MiB" in answer.read()
    except (BrokenPipeError, ConnectionResetError):  # it is not listened to any longer
        pass
    finally:
        connection.close()
    assert alive(client)


def test_a_file_over_the_size_is_refused_and_not_kept(address: str, folder: Path) -> None:
    before = set(folder.rglob("*"))
    status, said = uploaded(address, "large.png", b"L" * (MOST_BYTES + 1))
    assert status == 413
    assert str(MOST_BYTES).encode() in said
    left = [path for path in set(folder.rglob("*")) - before if path.is_file() and path.stat().st_size > 2**20]
    assert left == []


@pytest.mark.parametrize(
    "name",
    [
        "../../../up.png",
        "/etc/absolute.png",
        "..\\..\\back.png",
        "..",
        "a\0b.png",
        "x" * 3000 + ".png",
        "%2e%2e%2fq.png",
    ],
)
def test_whatever_a_file_is_called_it_lands_in_the_temporary_folder(address: str, folder: Path, name: str) -> None:
    status, said = uploaded(address, name, b"some content")
    if status == 200:
        (path,) = json.loads(said)
        assert Path(path).resolve().is_relative_to(folder.resolve())
        assert Path(path).read_bytes() == b"some content"
    else:
        assert 400 <= status < 500
    outside = [folder.parent / "up.png", Path("/etc/absolute.png"), Path.cwd() / "up.png", Path.cwd().parent / "up.png"]
    assert [path for path in outside if path.exists()] == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", str(Path(serve.__file__))]
)
def test_no_file_but_its_own_is_handed_out(address: str, path: str) -> None:
    for asked in (path, quote(path, safe="")):
        for where in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/"):
            status, said = ask(address, "GET", where + asked)
            assert status in (403, 404, 405), where + asked
            assert b"root:" not in said
            assert b"LARGEST_BODY" not in said


def test_a_path_of_the_servers_own_is_no_upload(address: str) -> None:
    """What a browser says of the file that it has uploaded is believed of no other file."""
    given = {"path": "/etc/passwd", "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    status, said = ask(
        address,
        "POST",
        "/gradio_api/call/paint",
        json.dumps({"data": [given, 1.0, NAME]}),
        {"Content-Type": "application/json"},
    )
    if status == 200:
        _, said = ask(address, "GET", f"/gradio_api/call/paint/{json.loads(said)['event_id']}")
        assert b"event: error" in said
    assert b"root:" not in said
    assert b"not an image" not in said, "it was opened"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.png", b"no picture", "text.png is not an image that can be read here"),
        ("bomb.png", png_of(30_000, 30_000), f"{MOST_PIXELS // 10**6} million"),
        ("bomb.zip", zip_bomb(), "bomb.zip is not an image"),
        ("cut.png", (EXAMPLES / "woman-bob.png").read_bytes()[:2000], "cut.png"),
        ("small.png", png_of(3, 3), "small.png"),
        ("blank.png", png_of(300, 300), ""),
    ],
    ids=["text", "pixels", "zip", "cut", "small", "blank"],
)
def test_what_is_no_sketch_is_refused_in_words(
    client: Client, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AppError) as refused:
        client.predict(handle_file(tmp_path / name), 1.0, NAME, api_name="/paint")
    said = str(refused.value)
    assert reason in said
    assert "verbose error reporting" not in said, "it was no refusal but a fault"
    assert "calisketch-studio-" not in said, "where the studio keeps it is nobody's business"


@pytest.mark.parametrize(
    ("strength", "model", "reason"),
    [
        (2, NAME, "strength must be a number in"),
        (-1, NAME, "strength must be"),
        (1, "/etc", "there is no model '/etc'"),
    ],
)
def test_settings_out_of_range_are_refused_in_words(client: Client, strength: float, model: str, reason: str) -> None:
    with pytest.raises(AppError, match=reason):
        client.predict(handle_file(EXAMPLES / "woman-bob.png"), strength, model, api_name="/paint")


def test_programs_are_offered_one_way_in(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)
    assert list(told["named_endpoints"]) == ["/paint"]
    assert [each["parameter_name"] for each in told["named_endpoints"]["/paint"]["parameters"]] == [
        "sketch",
        "strength",
        "model",
    ]
    assert told["unnamed_endpoints"] == {}


def test_the_documented_example_runs(address: str, tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "docs" / "studio.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "gradio_client" in block]
    (block,) = blocks
    code, count = re.subn(r"http://(?:127\.0\.0\.1|localhost):\d+/?", f"{address}/", block)
    assert count == 1
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLES.parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_studio_that_does_not_start_leaves_pillow_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(FileNotFoundError, match="no model 'no-such-model'"), studio({"a": "no-such-model"}):
        pass
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(("alone", "told"), [(True, "Nothing leaves this computer"), (False, "unencrypted")])
def test_the_page_tells_where_drawings_go(alone: bool, told: str) -> None:
    model = CaliSketch(None, EncoderDecoder(1, 3, 4, 1, head="tanh"), 64)
    page = build(Painter({"a": model}), alone)
    texts = [str(getattr(block, "value", "")) for block in page.blocks.values()]
    assert sum(told in text for text in texts) == 1
    assert sum("Nothing leaves" in text for text in texts) == int(alone)


def test_the_temporary_folder_holds_all_and_is_gone_with_the_studio(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    most = Image.MAX_IMAGE_PIXELS
    with studio({"a": CaliSketch(None, EncoderDecoder(1, 3, 4, 1, head="tanh"), 64)}) as address:
        folder = Path(tempfile.gettempdir())
        assert folder.name.startswith("calisketch-studio-")
        assert folder.stat().st_mode & 0o077 == 0
        client = Client(address, verbose=False, download_files=str(tmp_path))
        client.predict(handle_file(EXAMPLES / "woman-bob.png"), 1.0, "a", api_name="/paint")
        status, said = uploaded(address.rstrip("/"), "kept.png", b"some content")
        assert status == 200
        (kept,) = json.loads(said)
        assert Path(kept).is_relative_to(folder)
        assert len([path for path in folder.rglob("*.png") if path.is_file()]) >= 4  # two uploads and two answers
    assert not folder.exists()
    assert tempfile.gettempdir() == before
    assert most == Image.MAX_IMAGE_PIXELS
    with pytest.raises(OSError, match="refused"):
        connected(address.rstrip("/")).connect()
