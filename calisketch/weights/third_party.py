"""Third-party weights: where each file comes from, its licence and SHA-256, and where it lies on this computer.

YuNet, the face detector, is part of the package; none of the other files is. `locate` looks, in this order, in the
folder named by the environment variable `CALISKETCH_WEIGHTS`, in the package, in the cache folder (`CALISKETCH_CACHE`,
or `~/.cache/calisketch/weights`), and in torch hub's checkpoints folder, for any of the file names a source is known
by. `fetch` downloads a public original into the
cache folder. Nothing is unpickled here: a `.pth` file is read with `torch.load(weights_only=True)` by the network it
belongs to.

Every SHA-256 was either computed from the file or is pinned in a public repository; where neither is so it is None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .download import DownloadError, download, sha256_of

__all__ = ["SOURCES", "MissingWeights", "Source", "available", "cache_folder", "fetch", "locate", "sha256_of"]


@dataclass(frozen=True)
class Source:
    """One file that serves a purpose: its name, where it is published, its hash and its licence."""

    file: str
    licence: str
    url: str | None = None
    sha256: str | None = None
    note: str = ""


SOURCES: dict[str, tuple[Source, ...]] = {
    "hed": (
        Source(
            "hed-bsds-retrained-fp16.safetensors",
            "MIT (weights retrained by their publisher); BSDS data: research",
            sha256="c8c75cab1d9aa7f1e2d511bb16fe4f1fdfd2f4e7dd5acb9438c183fdcd568653",
            note="no public download is known; use one of the other files",
        ),
        Source(
            "ControlNetHED.pth",
            "Apache-2.0",
            url="https://huggingface.co/lllyasviel/Annotators/resolve/main/ControlNetHED.pth",
            sha256="5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa",
        ),
        Source(
            "network-bsds500.pytorch",
            "see the publisher's page, github.com/sniklaus/pytorch-hed (a conversion of Xie and Tu's Caffe model)",
            url="http://content.sniklaus.com/github/pytorch-hed/network-bsds500.pytorch",
            note="the publisher gives no SHA-256",
        ),
    ),
    "vgg19": (
        Source(
            "vgg19-normalised-features-fp16.safetensors",
            "CC BY 4.0 (Oxford VGG)",
            sha256="253490dabc7f4ad85f0cb55572bda5e720b70ef5160bdecb2e2f70b1ca1d3c6b",
            note="no public download is known; use torchvision's file",
        ),
        Source(
            "vgg19-dcbb9e9d.pth",
            "BSD-3-Clause (torchvision); ImageNet data: research",
            url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        ),
    ),
    "inception": (
        Source(
            "pt_inception-2015-12-05-fp16.pth",
            "Apache-2.0 (TensorFlow's model)",
            sha256="7d40275391412f85f0555b5d25e96bc91a386af642f3ab71a6afa48d8a169796",
            note="half precision copy of pytorch-fid's file, without the classifier; no public download is known",
        ),
        Source(
            "pt_inception-2015-12-05-6726825d.pth",
            "Apache-2.0 (TensorFlow's model)",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
    ),
    "lpips-alexnet": (
        Source(
            "lpips-alexnet-fp16.safetensors",
            "BSD-2-Clause (heads), BSD-3-Clause (torchvision's AlexNet)",
            sha256="635364e3e49ab0dce37a69221fbef4620bf4d85fbd96a6b6053fc98acd387690",
            note="torchvision's AlexNet `features.N` and the heads `lin0..4` of the `lpips` package, in one file",
        ),
    ),
    "arcface": (
        Source(
            "arcface-w600k-mbf.onnx",
            "non-commercial research only (InsightFace models)",
            url="https://huggingface.co/deepghs/insightface/resolve/main/buffalo_s/w600k_mbf.onnx",
            sha256="9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        ),
        Source(
            "w600k_mbf.onnx",
            "non-commercial research only (InsightFace models)",
            sha256="9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
            note="the same file under its publisher's name",
        ),
    ),
    "yunet": (
        Source(
            "face_detection_yunet_2026may.onnx",
            "MIT (OpenCV zoo)",
            url="https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98/"
            "models/face_detection_yunet/face_detection_yunet_2026may.onnx",
            sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
        ),
        Source(
            "yunet-2026may.onnx",
            "MIT (OpenCV zoo)",
            sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
            note="the same file under a short name",
        ),
        Source(
            "face_detection_yunet_2023mar.onnx",
            "MIT (OpenCV zoo)",
            url="https://huggingface.co/opencv/face_detection_yunet/resolve/main/face_detection_yunet_2023mar.onnx",
            sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        ),
    ),
    "scrfd": (
        Source(
            "scrfd-500m-bnkps.onnx",
            "non-commercial research only (InsightFace models)",
            url="https://huggingface.co/ykk648/face_lib/resolve/10005fec5e0fec7c186e3b96318f00b4807fc70b/"
            "face_detect/scrfd_onnx/scrfd_500m_bnkps.onnx",
            sha256="a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad",
        ),
    ),
}


_PACKAGED = {"yunet": Path(__file__).resolve().parent / "detector"}


class MissingWeights(FileNotFoundError):
    """A weights file is not on this computer; the message says where it comes from and how to get it."""


def cache_folder() -> Path:
    """The folder that `fetch` writes to: `CALISKETCH_CACHE`, or `$XDG_CACHE_HOME/calisketch/weights`."""
    if named := os.environ.get("CALISKETCH_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser() / "calisketch" / "weights"


def _folders(name: str) -> list[Path]:
    folders = []
    if named := os.environ.get("CALISKETCH_WEIGHTS"):
        folders.append(Path(named).expanduser())
    if name in _PACKAGED:
        folders.append(_PACKAGED[name])
    folders.append(cache_folder())
    torch_home = os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch"
    folders.append(Path(torch_home).expanduser() / "hub" / "checkpoints")
    return folders


def _sources(name: str) -> tuple[Source, ...]:
    if name not in SOURCES:
        raise ValueError(f"unknown weights: got {name!r}, expected one of {', '.join(sorted(SOURCES))}.")
    return SOURCES[name]


def _find(name: str) -> Path | None:
    sources = _sources(name)
    for folder in _folders(name):
        for source in sources:
            if (folder / source.file).is_file():
                return folder / source.file
    return None


def available(name: str) -> bool:
    """Whether `locate(name)` would find a file. Raises ValueError for a name that is not in `SOURCES`."""
    return _find(name) is not None


def locate(name: str, *, verify: bool = False) -> Path:
    """The path of the weights called `name`: hed, vgg19, inception, lpips-alexnet, arcface, yunet or scrfd.

    verify: also compare the file's SHA-256 with the known one, where one is known.

    Raises MissingWeights (a FileNotFoundError) that says where to get the file, and ValueError for an unknown name or,
    with `verify`, a file whose SHA-256 differs.
    """
    path = _find(name)
    if path is None:
        raise MissingWeights(_how_to_get(name))
    if verify:
        expected = next(source.sha256 for source in _sources(name) if source.file == path.name)
        if expected is not None and (got := sha256_of(path)) != expected:
            raise ValueError(
                f"{path} is not the published file: got SHA-256 {got}, expected {expected}. Delete it and get it again."
            )
    return path


def _how_to_get(name: str) -> str:
    lines = [f"the weights {name!r} were not found. Any one of these files will do:"]
    for source in _sources(name):
        lines.append(f"  {source.file}")
        lines.append(f"    from {source.url or 'no public address'}{f' ({source.note})' if source.note else ''}")
        lines.append(f"    licence: {source.licence}; SHA-256: {source.sha256 or 'not published'}")
    lines.append(f"Looked in: {', '.join(str(folder) for folder in _folders(name))}.")
    if any(source.url for source in _sources(name)):
        lines.append(f"To get it: python -c \"from calisketch import weights; weights.fetch('{name}')\"")
    if name in _PACKAGED:
        lines.append("It is part of the package: installing calisketch again brings it, too.")
    lines.append("Or put a file into a folder, and name that folder in the environment variable CALISKETCH_WEIGHTS.")
    return "\n".join(lines)


def fetch(name: str, *, timeout: float = 20.0) -> Path:
    """Download the weights called `name` into the cache folder, and return the file's path.

    The first public source of the name is taken; a file that is already found by `locate` is returned as it is. The
    download is collected aside, continued after an interruption, its SHA-256 compared with the known one, and only then
    given its name; of several processes one downloads and the others wait (see `download.download`).

    timeout: seconds without a byte after which a connection counts as broken; a few more are tried.

    Raises MissingWeights if no source has a public address or the download fails, ValueError if the SHA-256 differs.
    """
    if (found := _find(name)) is not None:
        return found
    source = next((source for source in _sources(name) if source.url), None)
    if source is None or source.url is None:
        raise MissingWeights(_how_to_get(name))
    target = cache_folder() / source.file
    try:
        download(source.url, target, source.sha256, timeout=timeout)
    except DownloadError as error:
        raise MissingWeights(f"{error}.\n{_how_to_get(name)}") from error
    return target
