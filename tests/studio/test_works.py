"""The work as a ZIP: it loads back whole, and whatever is no work is refused before it costs anything."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import struct
import warnings
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from calisketch.studio import works
from calisketch.studio.uploads import MOST_BYTES
from calisketch.studio.works import Work, WorkError, pack, unpack

RANDOM = np.random.default_rng(0)
SETTINGS = {"model": "cuhk-small-256", "strength": 0.75, "version": "0.5.0"}
PICTURES = ("sketch", "refined", "face", "changes", "colours")


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


WORK = Work(noise(20, 17), noise(20, 17), noise(20, 17, 3), noise(20, 17, 3), dict(SETTINGS), noise(20, 17, 4))


def png(picture: np.ndarray | Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, "PNG", **options)
    return stream.getvalue()


def members(work: Work = WORK) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack(work))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return stream.getvalue()


def with_settings(text: str | bytes | dict[str, Any]) -> bytes:
    text = json.dumps(text) if isinstance(text, dict) else text
    return zipped(members() | {"settings.json": text.encode() if isinstance(text, str) else text})


def test_a_work_loads_back_as_it_was() -> None:
    found = unpack(pack(WORK))
    for name in PICTURES:
        np.testing.assert_array_equal(getattr(found, name), getattr(WORK, name))
    assert found.settings == SETTINGS
    plain = unpack(pack(dataclasses.replace(WORK, colours=None)))
    assert plain.colours is None
    assert "colours.png" not in members(plain)


def test_the_same_work_gives_the_same_bytes_and_another_gives_others() -> None:
    data = pack(WORK)
    turned = {name: SETTINGS[name] for name in reversed(SETTINGS)}
    assert pack(unpack(data)) == data == pack(dataclasses.replace(WORK, settings=turned))
    assert pack(dataclasses.replace(WORK, settings=SETTINGS | {"strength": 0.5})) != data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_work_packed_by_hand_needs_only_sketch_and_settings() -> None:
    by_hand = {"settings.json": b"\xef\xbb\xbf" + json.dumps(SETTINGS | {"strength": 1}).encode()}
    found = unpack(zipped({"sketch.png": png(WORK.sketch)} | by_hand))
    np.testing.assert_array_equal(found.sketch, WORK.sketch)
    assert (found.refined, found.face, found.changes, found.colours) == (None,) * 4
    assert found.settings == SETTINGS | {"strength": 1.0}
    assert unpack(pack(found)).face is None


def test_texts_and_tags_in_a_png_change_nothing() -> None:
    texts = PngInfo()
    texts.add_text("Comment", "x" * 2000)
    texts.add_text("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    tagged = png(WORK.sketch, pnginfo=texts, exif=exif, gamma=0.3, transparency=WORK.sketch[0, 0].item())
    assert b"eXIf" in tagged
    np.testing.assert_array_equal(unpack(zipped(members() | {"sketch.png": tagged})).sketch, WORK.sketch)
    bomb = zlib.compress(bytes(50_000_000))  # text that unpacks to 50 MB
    chunk = b"zTXta\0\0" + bomb
    bombed = png(WORK.sketch)
    bombed = (
        bombed[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bombed[33:]
    )
    np.testing.assert_array_equal(unpack(zipped(members() | {"sketch.png": bombed})).sketch, WORK.sketch)


@pytest.mark.parametrize("name", [*(f"{name}.png" for name in PICTURES), "settings.json"])
def test_every_member_cut_anywhere_is_refused(name: str) -> None:
    whole = members()
    for length in {0, 1, 20, 33, len(whole[name]) // 2, len(whole[name]) - 13, len(whole[name]) - 3}:
        if 0 <= length < len(whole[name]):
            with pytest.raises(WorkError, match=name):
                unpack(zipped(whole | {name: whole[name][:length]}))


def test_the_zip_itself_cut_or_damaged_is_refused() -> None:
    data = pack(WORK)
    for length in [*range(0, len(data), 97), len(data) - 1]:
        with pytest.raises(WorkError):
            unpack(data[:length])
    for place in range(30, len(data) - 400, 211):  # in the members' data and local headers
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        try:
            found = unpack(bytes(damaged))
        except WorkError:
            continue
        for name in PICTURES:  # a header's date may be anything, a pixel may not
            np.testing.assert_array_equal(getattr(found, name), getattr(WORK, name))


@pytest.mark.parametrize("name", ["../sketch.png", "/etc/passwd", "a/sketch.png", "Sketch.png", "x" * 5000, "face.jpg"])
def test_unknown_members_are_refused_by_name(name: str) -> None:
    with pytest.raises(WorkError, match=r"belongs to none; expected only sketch\.png") as caught:
        unpack(zipped(members() | {name: b"x"}))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["sketch.png", "settings.json"])
def test_missing_members_are_named(name: str) -> None:
    files = members()
    del files[name]
    with pytest.raises(WorkError, match=f"has no {name}"):
        unpack(zipped(files))


def test_members_that_are_there_twice_are_refused() -> None:
    for name in ("sketch.png", "settings.json"):
        with pytest.raises(WorkError, match=f"'{name}' twice"):
            unpack(zipped([*members().items(), (name, members()[name])]))
    files = members()
    data = zipped({"sketch.pngX": files.pop("sketch.png")} | files)
    with pytest.raises(WorkError, match=r"no sketch\.png"):  # zipfile itself reads a name up to a null byte
        unpack(data.replace(b"sketch.pngX", b"sketch.png\0"))


def test_encrypted_and_rarely_packed_members_are_refused() -> None:
    data = bytearray(pack(WORK))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    with pytest.raises(WorkError, match=r"'sketch.png' is encrypted.*without a password"):
        unpack(bytes(data))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(WorkError, match="expected 0 or 8"):
            unpack(zipped(members(), method))


def test_bombs_are_refused_by_claim_and_by_what_they_unpack_to(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(MOST_BYTES + 1)
    for name in ("face.png", "settings.json"):
        bomb = zipped(members() | {name: zeros})
        assert len(bomb) < 100_000
        with pytest.raises(WorkError, match=f"{name} claims"):
            unpack(bomb)
        lying = bytearray(bomb)
        start = lying.index(b"PK\1\2")  # in the table of contents, which is what readers believe
        at = lying.index(name.encode(), start) - 46
        struct.pack_into("<I", lying, at + 24, 500)
        with pytest.raises(WorkError, match=f"{name} cannot be unpacked"):
            unpack(bytes(lying))
    many = zipped([(f"{number}.png", b"") for number in range(100)])
    with pytest.raises(WorkError, match="lists 100 members"):
        unpack(many)
    with pytest.raises(WorkError, match=r"has 20\.1 MiB; expected at most 20"):
        unpack(zeros)
    monkeypatch.setattr(works, "MOST_BYTES", 1000)
    with pytest.raises(WorkError, match="could not be loaded again"):
        pack(WORK)


def test_giants_are_refused_by_their_header_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(works.decoding, "decode", lambda *_: pytest.fail("was decoded"))
    for width, height, said in ((6000, 5000, "expected at most 24 million"), (2**31, 2**31, "expected"), (0, 9, "16")):
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        giant = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))
        with pytest.raises(WorkError, match=said):
            unpack(zipped(members() | {"sketch.png": giant}))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("sketch", png(noise(20, 17, 3)), "is 8-bit RGB; expected 8-bit grey"),
        ("sketch", png(noise(20, 17) > 99), "is 1-bit grey"),
        ("sketch", png(noise(20, 17).astype(np.uint16)), "is 16-bit grey"),
        ("refined", png(noise(20, 17, 2)), "is 8-bit grey with transparency"),
        ("face", png(noise(20, 17)), "is 8-bit grey; expected 8-bit RGB"),
        ("face", png(Image.fromarray(noise(20, 17)).convert("P")), "palette"),
        ("colours", png(noise(20, 17, 3)), "expected 8-bit RGBA"),
        ("sketch", png(noise(9, 9)), "16 to 32000"),
        ("refined", png(noise(17, 20)), "20 x 17 pixels; expected 17 x 20"),
        ("face", png(noise(40, 34, 3)), "expected 17 x 20"),
        ("colours", png(noise(20, 18, 4)), "expected 17 x 20"),
        ("changes", b"GIF89a" + bytes(50), "is no PNG"),
        ("changes", b"", "is no PNG"),
        ("face", png(noise(20, 17, 3)).replace(b"IHDR", b"tEXt"), "is no PNG"),
    ],
)
def test_pictures_of_another_kind_or_size_are_refused(name: str, data: bytes, said: str) -> None:
    with pytest.raises(WorkError, match=said) as caught:
        unpack(zipped(members() | {f"{name}.png": data}))
    assert f"{name}.png" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        ("[" * 30_000, "is not JSON"),
        ('{"strength": NaN}', "NaN is no number in JSON"),
        (json.dumps(SETTINGS)[:-1] + ', "model": "b"}', "stands in it twice"),
        ("[]", "holds a list; expected an object"),
        ("null", "NoneType"),
        ({}, "must be exactly model, strength, version"),
        ({"model": "a", "strength": 0.5}, "must be exactly"),
        (SETTINGS | {"extra": 1}, "must be exactly .* got .*extra"),
        (SETTINGS | {"model": 3}, "setting model must be a text"),
        (SETTINGS | {"model": ""}, "setting model"),
        (SETTINGS | {"model": "a\nb"}, "setting model"),
        (SETTINGS | {"model": "\ud800"}, "setting model"),
        (SETTINGS | {"version": "1" * 5000}, "setting version"),
        (SETTINGS | {"strength": 1.01}, r"strength must be in \[0, 1\]; got 1.01"),
        (SETTINGS | {"strength": -1}, "strength must be"),
        (SETTINGS | {"strength": True}, "got True"),
        (SETTINGS | {"strength": "1"}, "got '1'"),
        (SETTINGS | {"strength": None}, "got None"),
        (json.dumps(SETTINGS).replace("0.75", "1e999"), "got inf"),
        (json.dumps(SETTINGS).replace("0.75", "9" * 4000), "strength must be"),
        (json.dumps(SETTINGS).replace("0.75", "9" * 6000), "is not JSON"),
        (SETTINGS | {"format": 2}, "format 2; expected at most 1. Upgrade calisketch"),
        (SETTINGS | {"format": 0}, "format 0"),
        (SETTINGS | {"format": "1"}, "format '1'"),
        (SETTINGS | {"format": True}, "format True"),
    ],
)
def test_settings_that_are_none_are_refused(settings: str | bytes | dict[str, Any], said: str) -> None:
    with pytest.raises(WorkError, match=said) as caught:
        unpack(with_settings(settings))
    assert len(str(caught.value)) < 500


def test_a_newer_format_is_said_before_its_members_are_strange() -> None:
    newer = members() | {"settings.json": json.dumps(SETTINGS | {"format": 7}).encode(), "strokes.svg": b"x"}
    with pytest.raises(WorkError, match="Upgrade calisketch"):
        unpack(zipped(newer))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sketch": None}, "sketch must be a numpy array"),
        ({"sketch": noise(20, 17, 3)}, r"sketch must be \(H, W\)"),
        ({"face": noise(20, 17)}, r"face must be \(20, 17, 3\)"),
        ({"face": noise(20, 18, 3)}, "got .20, 18, 3.. All pictures have the sketch's size"),
        ({"refined": np.zeros((20, 17))}, "refined must be a numpy array of uint8; got float64"),
        ({"colours": noise(20, 17, 3)}, r"colours must be \(20, 17, 4\)"),
        ({"settings": SETTINGS | {"strength": math.nan}}, "strength"),
        ({"settings": SETTINGS | {"other": 1}}, "exactly"),
    ],
)
def test_no_work_is_made_that_could_not_be_loaded(change: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkError, match=said):
        dataclasses.replace(WORK, **change)
