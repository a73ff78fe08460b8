"""Models from a web address: real connections to a server with real faults, and processes that are really killed."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import pytest
import torch
import warm_start
from file_server import Faults, FolderServer
from PIL import Image

from calisketch import CaliSketch
from calisketch.__main__ import main
from calisketch.networks import EncoderDecoder
from calisketch.weights import address as hub
from calisketch.weights.download import DownloadError, WrongContent
from calisketch.weights.folder import ModelFolderError

FIRST = "model-00001-of-00003.safetensors"
CHILD = "import sys; from calisketch.weights import address as hub; print(hub.fetch_model(sys.argv[1]))"


@pytest.fixture(scope="module")
def model() -> CaliSketch:
    torch.manual_seed(0)
    return CaliSketch(EncoderDecoder(1, 1, 4, 1), EncoderDecoder(1, 3, 4, 1, head="tanh"), 32, {"name": "toy"})


@pytest.fixture(scope="module")
def folder(model: CaliSketch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save_pretrained(tmp_path_factory.mktemp("published"), max_file_bytes=20_000)


@pytest.fixture
def server(folder: Path) -> Iterator[FolderServer]:
    with FolderServer({path.name: path.read_bytes() for path in folder.iterdir()}) as running:
        yield running


@pytest.fixture
def sha256(folder: Path) -> str:
    return hub.published_hash(folder)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache keeps models."""
    monkeypatch.setenv("CALISKETCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def start(address: str) -> warm_start.Process:
    return warm_start.start(["-c", CHILD, address])


def republish(server: FolderServer, **changes: Any) -> str:
    """Changes the published config; gives the hash that goes with it."""
    config = {**json.loads(server.files["config.json"]), **changes}
    server.files["config.json"] = json.dumps(
        {key: value for key, value in config.items() if value is not None}
    ).encode()
    return hashlib.sha256(server.files["config.json"]).hexdigest()


def test_a_published_model_is_the_saved_one_and_the_second_use_asks_nobody(
    server: FolderServer, sha256: str, model: CaliSketch, models: Path
) -> None:
    assert len(server.files) == 4, "three files of weights"
    first = CaliSketch.from_pretrained(server.address, sha256=sha256)
    assert sorted(server.asked) == sorted(server.files)
    expected = CaliSketch.from_pretrained(hub.fetch_model(server.address, sha256)).scn_generator.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in first.scn_generator.state_dict().items())
    stored = {key: value.half().float() for key, value in model.scn_generator.state_dict().items()}
    assert all(torch.equal(value, expected[key]) for key, value in stored.items())
    server.faults.status = [500] * 100
    for address in (f"{server.address}/config.json#sha256={sha256.upper()}", f"{server.address}/#sha256={sha256}"):
        assert CaliSketch.from_pretrained(address).info == {"name": "toy"}
    assert len(server.asked) == 4
    assert [path.name for path in models.iterdir()] == [sha256], "nothing else is left"
    assert sorted(path.name for path in (models / sha256).iterdir()) == sorted(server.files)


@pytest.mark.parametrize(
    ("address", "sha256", "said"),
    [
        ("https://host/model", None, r"without a hash.*publish FOLDER.*sha256=\.\.\."),
        ("https://host/model#sha256=12", None, "64 hexadecimal digits.*got '12'"),
        ("https://host/model#md5=12", None, "got #md5=12"),
        ("https://host/model#sha256=" + "0" * 64, "1" * 64, "two hashes"),
        ("http://host/model", "0" * 64, "got http://host, expected https"),
        ("http://localhost.host/model", "0" * 64, "expected https"),
        ("ftp://host/model", "0" * 64, "got ftp://host, expected https"),
        ("file:///etc", "0" * 64, "expected https"),
        ("https:///model", "0" * 64, "expected https://HOST"),
        ("https://[::1/model", "0" * 64, "no address"),
    ],
)
def test_an_address_without_a_hash_or_protection_is_refused_with_the_remedy(
    address: str, sha256: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        CaliSketch.from_pretrained(address, sha256=sha256)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="holds a name or password") as caught:
        CaliSketch.from_pretrained("https://me:secret@host/model", sha256="0" * 64)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", FIRST])
def test_a_file_that_is_not_the_published_one_is_refused_and_no_folder_appears(
    server: FolderServer, sha256: str, models: Path, name: str
) -> None:
    content = server.files[name]
    server.files[name] = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    with pytest.raises(WrongContent, match=rf"/models/one/{name} was refused: got SHA-256"):
        hub.fetch_model(server.address, sha256)
    assert not (models / sha256).exists()
    server.files[name] = content
    assert hub.fetch_model(server.address, sha256) == models / sha256


@pytest.mark.parametrize("announced", [None, -1, 10**12], ids=["truly announced", "not announced", "a terabyte"])
def test_no_more_is_taken_than_the_config_says(
    server: FolderServer, sha256: str, models: Path, announced: int | None
) -> None:
    whole = json.loads(server.files["config.json"])["bytes"][FIRST]
    server.files[FIRST] = bytes(20_000_000)
    server.faults_of = {FIRST: Faults(announced=announced)}
    with pytest.raises(WrongContent, match=rf"got \d+ bytes or more, expected {whole} at the most"):
        hub.fetch_model(server.address, sha256)
    assert sum(path.stat().st_size for path in models.rglob("*") if path.is_file()) < 10_000


def test_a_config_without_end_is_not_downloaded(server: FolderServer, models: Path) -> None:
    server.files["config.json"] = b" " * 3_000_000
    with pytest.raises(WrongContent, match="expected 1048576 at the most"):
        hub.fetch_model(server.address, hashlib.sha256(server.files["config.json"]).hexdigest())
    assert {path.suffix for path in models.iterdir()} <= {".lock"}


def test_a_file_that_is_not_there_and_a_server_that_is_not_there_are_said(
    server: FolderServer, sha256: str, models: Path
) -> None:
    del server.files[FIRST]
    with pytest.raises(
        DownloadError, match=rf"{server.address}/ could not be downloaded.*{FIRST}: the server says 404"
    ):
        hub.fetch_model(server.address, sha256)
    with pytest.raises(DownloadError, match=r"no network.*or give the folder of a copy"):
        hub.fetch_model("https://no-such-host.invalid/model", sha256)
    assert not (models / sha256).exists()


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://no-such-host.invalid/config.json"]
)
def test_an_address_that_leads_on_to_an_unprotected_one_is_not_followed(
    server: FolderServer, sha256: str, target: str
) -> None:
    server.faults.leads_to = target
    said = rf"leads on to {target}, and only https, or http to the same host|to url '{target}' is not allowed"
    with pytest.raises(DownloadError, match=said):
        hub.fetch_model(server.address, sha256)


def test_a_killed_download_is_continued_by_the_next_process(server: FolderServer, sha256: str, models: Path) -> None:
    address = f"{server.address}#sha256={sha256}"
    server.faults_of = {FIRST: Faults(stall=15_000)}
    child = start(address)
    part = models / f".{sha256}.part" / f".{FIRST}.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)
    child.kill()
    child.communicate(timeout=30)
    server.release.set()
    kept = part.stat().st_size
    assert not (models / sha256).exists()
    began = time.monotonic()
    assert hub.fetch_model(address) == models / sha256  # the dead process held the locks
    assert time.monotonic() - began < 10
    assert server.ranges[:3] == [None, None, f"bytes={kept}-"], "the config was whole"
    assert [path.name for path in models.iterdir()] == [sha256]
    assert sorted(path.name for path in (models / sha256).iterdir()) == sorted(server.files)


def test_two_processes_at_once_download_once_and_both_find_it(
    server: FolderServer, sha256: str, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"{server.address}#sha256={sha256}"
    server.faults.stall = 500
    child = start(address)
    assert server.stalled.wait(60)
    with ThreadPoolExecutor(1) as pool:
        own = pool.submit(hub.fetch_model, address)
        with pytest.raises(NotYet):
            own.result(timeout=0.3)
        server.release.set()
        assert own.result(timeout=60) == models / sha256
    assert child.communicate(timeout=60)[0].strip() == str(models / sha256)
    assert "waiting for another process" in capsys.readouterr().err
    assert sorted(server.asked) == sorted(server.files)


def test_a_damaged_cache_is_noticed_and_filled_again(
    server: FolderServer, sha256: str, caplog: pytest.LogCaptureFixture
) -> None:
    cached = hub.fetch_model(server.address, sha256)
    whole = (cached / FIRST).read_bytes()
    (cached / FIRST).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with caplog.at_level(logging.WARNING, "calisketch"):
        CaliSketch.from_pretrained(server.address, sha256=sha256)
    assert "is damaged; the model is downloaded again" in caplog.text
    assert (cached / FIRST).read_bytes() == whole


def test_a_model_of_a_newer_calisketch_is_said_to_be_one_without_taking_its_weights(server: FolderServer) -> None:
    with pytest.raises(ModelFolderError, match="Upgrade calisketch"):
        hub.fetch_model(server.address, republish(server, format_version=99))
    assert server.asked == ["config.json"]


@pytest.mark.parametrize("changes", [{"sha256": {}}, {"sha256": None}])
def test_a_config_that_does_not_vouch_for_the_weights_is_refused(server: FolderServer, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelFolderError, match=r"vouches for no weights.*save_pretrained"):
        hub.fetch_model(server.address, republish(server, **changes, format_version=1, bytes=None, parts=None))


@pytest.mark.parametrize(
    "name", ["../../evil.safetensors", "/etc/evil", "config.json", "model-00002-of-00004.safetensors"]
)
def test_a_config_cannot_name_files_elsewhere(server: FolderServer, models: Path, name: str) -> None:
    config = json.loads(server.files["config.json"])
    for field in ("sha256", "bytes"):
        config[field] = {name if key == FIRST else key: value for key, value in config[field].items()}
    with pytest.raises(ModelFolderError, match="does not list its files of weights rightly"):
        hub.fetch_model(server.address, republish(server, **config))
    assert server.asked == ["config.json"]


def test_a_query_goes_with_every_file(server: FolderServer, sha256: str) -> None:
    hub.fetch_model(f"{server.address}/?download=true#sha256={sha256}")
    assert sorted(server.asked) == sorted(f"{name}?download=true" for name in server.files)


def test_a_hash_is_compared_with_a_local_folder_too(folder: Path, sha256: str) -> None:
    assert CaliSketch.from_pretrained(folder, sha256=sha256).size == 32
    with pytest.raises(ModelFolderError, match=rf"SHA-256 {sha256}, expected {'0' * 64}"):
        CaliSketch.from_pretrained(folder, sha256="0" * 64)


def test_the_line_that_publish_prints_loads_the_model(
    server: FolderServer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in server.files)
    address = (
        printed.splitlines()[-1].rpartition("--model ")[2].strip("'").replace("https://HOST/FOLDER", server.address)
    )
    image = Image.new("L", (40, 40), 255)
    image.paste(0, (10, 10, 30, 12))
    image.save(tmp_path / "sketch.png")
    arguments = ["synthesize", str(tmp_path / "sketch.png"), "--out", str(tmp_path / "faces"), "--model", address]
    assert main(arguments) == 0
    assert (tmp_path / "faces" / "sketch.png").is_file()


def test_publish_refuses_a_folder_that_is_not_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / FIRST).unlink()
    assert main(["publish", str(tmp_path)]) == 2
    assert f"has no {FIRST}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("host", False)],
)
def test_a_computer_knows_what_nobody_else_reaches(host: str, alone: bool) -> None:
    assert hub.is_this_computer(host) == alone
