"""weights.py: where files are looked for, what a missing one's error says, and that downloads are checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer

from calisketch import weights
from calisketch.weights import third_party


@pytest.fixture(autouse=True)
def _empty_folders(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "shared_weights" in request.fixturenames:
        return
    monkeypatch.setenv("CALISKETCH_WEIGHTS", str(tmp_path / "given"))
    monkeypatch.setenv("CALISKETCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def _put(folder: Path, name: str, data: bytes = b"x") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("name", sorted(weights.SOURCES))
def test_missing_weights_say_file_licence_hash_and_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(third_party, "_PACKAGED", {"yunet": tmp_path / "package"})  # as if it were broken
    assert not weights.available(name)
    with pytest.raises(weights.MissingWeights) as caught:
        weights.locate(name)
    message = str(caught.value)
    for source in weights.SOURCES[name]:
        assert source.file in message
        assert source.licence in message
        assert source.url is None or source.url in message
        assert source.sha256 is None or source.sha256 in message
    assert "CALISKETCH_WEIGHTS" in message
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("source", [source for sources in weights.SOURCES.values() for source in sources])
def test_hashes_are_whole_and_agree_with_file_names(source: weights.Source) -> None:
    if source.sha256 is not None:
        assert len(bytes.fromhex(source.sha256)) == 32
    for prefix in ("dcbb9e9d", "6726825d"):  # publishers that put the hash's beginning into the name
        if prefix in source.file:
            assert source.sha256 is not None
            assert source.sha256.startswith(prefix)


def test_the_named_folder_comes_before_cache_and_torch_hub(tmp_path: Path) -> None:
    hub = _put(tmp_path / "torch" / "hub" / "checkpoints", "vgg19-dcbb9e9d.pth")
    assert weights.locate("vgg19") == hub
    cached = _put(tmp_path / "cache", "vgg19-dcbb9e9d.pth")
    assert weights.locate("vgg19") == cached
    given = _put(tmp_path / "given", "vgg19-normalised-features-fp16.safetensors")
    assert weights.locate("vgg19") == given


@pytest.mark.parametrize("file", ["ControlNetHED.pth", "network-bsds500.pytorch"])
def test_public_originals_are_found_by_their_own_names(tmp_path: Path, file: str) -> None:
    path = _put(tmp_path / "given", file)
    assert weights.locate("hed") == path


def test_verify_refuses_a_file_with_another_hash(tmp_path: Path) -> None:
    _put(tmp_path / "given", "yunet-2026may.onnx", b"not a detector")
    weights.locate("yunet")
    with pytest.raises(ValueError, match=r"got SHA-256 .* expected ebafce4e"):
        weights.locate("yunet", verify=True)


def test_the_detector_is_part_of_the_package_with_its_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CALISKETCH_WEIGHTS", "CALISKETCH_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    path = weights.locate("yunet", verify=True)
    assert path == Path(weights.__file__).parent / "detector" / "face_detection_yunet_2026may.onnx"
    assert weights.fetch("yunet") == path, "nothing is downloaded"
    assert weights.sha256_of(path) == "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
    licence = (path.parent / "LICENSE").read_text()
    assert "MIT License" in licence
    assert "Shiqi Yu" in licence
    monkeypatch.setattr(third_party, "_PACKAGED", {"yunet": tmp_path})
    with pytest.raises(weights.MissingWeights, match="part of the package: installing calisketch again"):
        weights.locate("yunet")


def test_a_folder_of_the_users_own_comes_before_the_package(tmp_path: Path) -> None:
    _put(tmp_path / "given", "face_detection_yunet_2023mar.onnx", b"another detector")
    assert weights.locate("yunet") == tmp_path / "given" / "face_detection_yunet_2023mar.onnx"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"got 'vgg16', expected one of arcface, hed"):
        weights.locate("vgg16")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with FileServer(b"weights") as running:
        pinned = hashlib.sha256(b"weights").hexdigest()
        monkeypatch.setitem(weights.SOURCES, "hed", (weights.Source("file.bin", "MIT", running.url, pinned),))
        yield running


def test_fetch_keeps_a_download_with_the_right_hash(tmp_path: Path, server: FileServer) -> None:
    assert weights.fetch("hed").read_bytes() == b"weights"
    assert weights.locate("hed", verify=True) == tmp_path / "cache" / "file.bin"


def test_fetch_gives_no_name_to_a_file_whose_hash_differs(server: FileServer) -> None:
    server.content = b"something else"
    with pytest.raises(ValueError, match="was refused"):
        weights.fetch("hed")
    assert not weights.available("hed")


def test_fetch_without_a_network_says_where_it_looked_and_how_to_get_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = weights.Source("file.bin", "MIT", "https://no-such-host.invalid/file.bin", "0" * 64)
    monkeypatch.setitem(weights.SOURCES, "hed", (source,))
    with pytest.raises(weights.MissingWeights, match="no network") as caught:
        weights.fetch("hed")
    for said in (str(source.url), str(tmp_path / "cache"), str(tmp_path / "given"), "CALISKETCH_WEIGHTS"):
        assert said in str(caught.value)


def test_fetch_of_weights_without_a_public_address_does_not_try() -> None:
    with pytest.raises(weights.MissingWeights, match="no public address"):
        weights.fetch("lpips-alexnet")


def test_the_shared_files_are_the_published_ones(shared_weights: Path) -> None:
    for name in ("hed", "yunet", "scrfd"):
        assert weights.locate(name, verify=True).parent == shared_weights
