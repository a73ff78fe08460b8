"""Picture files that are damaged, lie, or are odd and right: for tools/hostile.py and tests/test_hostile_input.py.

Every case says what may become of it. "refuse": an error that a person can read, and nothing else. "right": the
picture that was put in, compared pixel by pixel. "any": either is an answer, since no reader could tell the damage
(a bit in a JPEG's coded data gives another JPEG); what counts is that there is one, in time and within the memory.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Outcome = Literal["refuse", "right", "any"]
JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "progressive": {"progressive": True},
    "fine": {"quality": 95, "subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
}


@dataclass(frozen=True)
class Case:
    """One file. `api` is what may become of it as a sketch, where that is not what may become of it as a photo."""

    kind: str
    name: str
    data: bytes
    expect: Outcome
    picture: NDArray[np.uint8] | None = None
    tolerance: int = 0
    api: Outcome | None = None


def drawing(random: np.random.Generator, height: int = 64, width: int = 80) -> NDArray[np.uint8]:
    """(H, W, 3): a ring, two eyes and grain, in colours on near-white paper; no two seeds and no two corners alike."""
    rows, columns = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    sheet = np.full((height, width, 3), 250.0)
    for x, y, reach in ((0.5, 0.55, 0.35), (0.38, 0.45, 0.06), (0.62, 0.45, 0.06), (0.2, 0.15, 0.05)):
        ring = np.abs(np.hypot(columns - x - random.normal(0, 0.01), rows - y) - reach) < 0.02
        sheet[ring] = random.uniform(0, 90, 3)
    return np.asarray((sheet + random.normal(0, 2, sheet.shape)).clip(0, 255), np.uint8)


def encoded(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    """An image file's bytes."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colour: int, data: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, every checksum right: what its header says and what its data hold is free."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def tiff(entries: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A little-endian TIFF by hand: {tag: (type, count, value or offset)}."""
    body = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items())
    )
    return b"II*\0\x08\0\0\0" + body + b"\0\0\0\0" + tail


def pictures(seed: int = 0, share: float = 1.0) -> Iterator[Case]:
    """Every kind; `share` of the cases of the kinds that have many."""
    random = np.random.default_rng(seed)
    for maker in (_cut, _flipped, _odd, _turned, _lying, _small, _foreign, _laden, _large):
        yield from maker(random, lambda count: max(2, round(count * share)))


Many = Callable[[int], int]


def _whole(random: np.random.Generator) -> dict[str, bytes]:
    """One file of each format, a new picture each."""
    sheet = drawing(random)
    files = {f"jpeg-{name}": encoded(sheet, "JPEG", **options) for name, options in JPEGS.items()}
    files["png"] = encoded(sheet, "PNG")
    files["png-interlaced"] = _interlaced(sheet)
    files["gif"] = encoded(Image.fromarray(sheet).quantize(64), "GIF")
    for kind in ("BMP", "PPM", "WEBP", "TIFF"):
        files[kind.lower()] = encoded(sheet, kind)
    files["tiff-lzw"] = encoded(sheet, "TIFF", compression="tiff_lzw")
    files["tiff-jpeg"] = encoded(sheet, "TIFF", compression="jpeg")
    files["webp-lossless"] = encoded(sheet, "WEBP", lossless=True)
    return files


def _interlaced(sheet: NDArray[np.uint8]) -> bytes:
    rows = b""
    for step_x, step_y, left, top in (
        (8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2), (2, 2, 1, 0), (1, 2, 0, 1)
    ):  # fmt: skip
        rows += b"".join(b"\0" + row.tobytes() for row in sheet[top::step_y, left::step_x])
    made = png(sheet.shape[1], sheet.shape[0], 8, 2, zlib.compress(rows))
    header = made[12:28] + b"\x01"
    return made[:12] + header + struct.pack(">I", zlib.crc32(header)) + made[33:]


def _cut(random: np.random.Generator, many: Many) -> Iterator[Case]:
    for turn in range(many(14)):
        for name, data in _whole(random).items():
            cut = int(random.integers(10, len(data) - 8))
            yield Case(f"cut {name.split('-')[0]}", f"cut-{name}-{turn}", data[:cut], "refuse")
            if name.startswith("jpeg"):
                cut = int(random.integers(len(data) // 3, len(data) - 8))
                yield Case("cut jpeg, ended", f"ended-{name}-{turn}", data[:cut] + b"\xff\xd9", "refuse")
            if name == "gif":  # the coded data end early, and say so properly
                yield Case("cut gif, ended", f"ended-{name}-{turn}", _ended_gif(data, random), "refuse")


def _ended_gif(data: bytes, random: np.random.Generator) -> bytes:
    at = data.index(b",", 13 + 3 * 64) + 11
    blocks = int(random.integers(1, 6))
    for _ in range(blocks):
        if data[at] and data[at + 1 + data[at]]:
            at += 1 + data[at]
    return data[:at] + b"\0;"


def _flipped(random: np.random.Generator, many: Many) -> Iterator[Case]:
    for turn in range(many(16)):
        for name, data in _whole(random).items():
            broken = bytearray(data)
            for _ in range(int(random.integers(1, 4))):
                place = int(random.integers(0, len(broken)))
                broken[place] ^= 1 << int(random.integers(0, 8))
            if bytes(broken) != data:
                sure = name.startswith("png")  # a checksum over every part
                yield Case(
                    f"flipped {name.split('-')[0]}", f"flip-{name}-{turn}", bytes(broken), "refuse" if sure else "any"
                )


def _odd(random: np.random.Generator, many: Many) -> Iterator[Case]:
    endings = ("jpg", "png", "gif", "bmp", "tif", "webp", "ppm")
    for turn in range(many(4)):
        sheet = drawing(random)
        for ending, kind in zip(endings, ("PNG", "BMP", "TIFF", "PPM", "PNG", "TIFF", "BMP"), strict=True):
            yield Case("wrong extension", f"wrong-{turn}-{ending}.{ending}", encoded(sheet, kind), "right", sheet)
        grey = sheet[..., 1]
        as_rgb = np.repeat(grey[..., None], 3, 2)
        wide = grey.astype(np.uint16) * 257
        for kind in ("PNG", "TIFF", "PPM"):
            yield Case("16 bits", f"sixteen-{kind}-{turn}", encoded(wide, kind), "right", as_rgb, 1)
            yield Case("grey", f"grey-{kind}-{turn}", encoded(grey, kind), "right", as_rgb)
        dark = (wide % 200).astype(np.uint16)  # 16 bits, none above 255: black, and not a picture of 8 bits
        black = np.zeros_like(sheet)
        yield Case("16 bits", f"sixteen-dark-{turn}", encoded(dark, "PPM"), "right", black, 1)
        yield Case("16 bits", f"sixteen-rgb-{turn}", _sixteen_rgb(sheet), "right", sheet, 1)
        palette = Image.fromarray(sheet).quantize(32)
        shown = np.asarray(palette.convert("RGB"))
        for kind in ("PNG", "GIF", "BMP", "TIFF"):
            yield Case("palette", f"palette-{kind}-{turn}", encoded(palette, kind), "right", shown)
        bits = np.where(grey[..., None] > 127, 255, 0).astype(np.uint8).repeat(3, 2)
        yield Case("1 bit", f"bits-{turn}", encoded(Image.fromarray(bits).convert("1"), "PNG"), "right", bits)
        cmyk = Image.fromarray(sheet).convert("CMYK")
        yield Case("cmyk", f"cmyk-tiff-{turn}", encoded(cmyk, "TIFF"), "right", np.asarray(cmyk.convert("RGB")))
        coded = encoded(cmyk, "JPEG", quality=100, subsampling=0)
        yield Case("cmyk", f"cmyk-jpeg-{turn}", coded, "right", np.asarray(cmyk.convert("RGB")), 12)
        clear = np.dstack([sheet, np.where(grey < 128, 0, 255).astype(np.uint8)])
        on_white = np.where(clear[..., 3:] == 0, 255, sheet).astype(np.uint8)
        yield Case("transparent", f"clear-{turn}", encoded(clear, "PNG"), "right", on_white, 0, "any")
        frames = [Image.fromarray(np.roll(sheet, 9 * n, 1)).quantize(32) for n in range(4)]
        first = np.asarray(frames[0].convert("RGB"))
        moving = {"save_all": True, "append_images": frames[1:]}
        yield Case("animated", f"moving-gif-{turn}", encoded(frames[0], "GIF", **moving), "right", first)
        yield Case("animated", f"moving-png-{turn}", encoded(frames[0], "PNG", **moving), "right", first)
        films = [Image.fromarray(np.roll(sheet, 9 * n, 1)) for n in range(4)]
        coded = encoded(films[0], "WEBP", save_all=True, append_images=films[1:], lossless=True)
        yield Case("animated", f"moving-webp-{turn}", coded, "right", sheet)
        real = grey.astype(np.float32) / 255
        yield Case("float", f"float-{turn}", encoded(real, "TIFF"), "right", as_rgb, 1)
        for bad in (np.nan, np.inf, -np.inf, -1.0, 300.0):
            broken = real.copy()
            broken[turn, 3] = bad
            yield Case("float out of range", f"float-{bad}-{turn}", encoded(broken, "TIFF"), "refuse")
        beyond = grey.astype(np.int32) * 70_000
        yield Case("float out of range", f"int32-{turn}", encoded(Image.fromarray(beyond), "TIFF"), "refuse")


def _sixteen_rgb(sheet: NDArray[np.uint8]) -> bytes:
    rows = (sheet.astype(">u2") * 257).reshape(len(sheet), -1)
    return png(sheet.shape[1], sheet.shape[0], 16, 2, zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))


def _turned(random: np.random.Generator, many: Many) -> Iterator[Case]:
    laid: dict[int, Callable[[Any], Any]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    for orientation, lay in laid.items():
        sheet = drawing(random)
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, options in (
            ("PNG", {}),
            ("TIFF", {}),
            ("WEBP", {"lossless": True}),
            ("JPEG", {"quality": 100, "subsampling": 0}),
        ):
            data = encoded(np.ascontiguousarray(lay(sheet)), kind, exif=exif, **options)
            tolerance = 12 if kind == "JPEG" else 0
            yield Case(f"exif {orientation}", f"exif-{orientation}-{kind}", data, "right", sheet, tolerance)
    for orientation in (0, 9, 65535):
        sheet = drawing(random)
        exif[0x0112] = orientation
        yield Case("exif beyond 8", f"exif-{orientation}", encoded(sheet, "PNG", exif=exif), "right", sheet)
    for turn in range(many(8)):
        torn = b"Exif\0\0" + random.bytes(int(random.integers(1, 200)))
        sheet = drawing(random)
        yield Case("exif torn", f"exif-torn-{turn}", encoded(sheet, "PNG", exif=torn), "any", sheet)
        yield Case(
            "exif torn", f"exif-loop-{turn}", encoded(sheet, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"), "any"
        )


def _lying(random: np.random.Generator, many: Many) -> Iterator[Case]:
    rows = b"".join(b"\0" + row.tobytes() for row in drawing(random))
    for width, height in ((80, 65), (80, 6400), (81, 64), (4000, 4000)):
        yield Case("png that lies", f"png-{width}x{height}", png(width, height, 8, 2, zlib.compress(rows)), "refuse")
    for depth, colour in ((3, 2), (8, 7), (255, 255), (16, 3)):
        yield Case("png that lies", f"png-{depth}-{colour}", png(80, 64, depth, colour, zlib.compress(rows)), "refuse")
    yield Case("png that lies", "png-no-data", png(80, 64, 8, 2, b""), "refuse")
    yield Case("png that lies", "png-noise", png(80, 64, 8, 2, random.bytes(5000)), "refuse")
    indices = zlib.compress(b"".join(b"\0" + bytes(range(80)) for _ in range(64)))
    yield Case("png that lies", "png-palette", png(80, 64, 8, 3, indices, (b"PLTE", b"\0\0\0\xff\xff\xff")), "any")
    for name, options in JPEGS.items():
        data = encoded(drawing(random), "JPEG", **options)
        at = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
        for place, value in ((5, 640), (5, 65535), (7, 800), (7, 65500)):
            broken = data[: at + place] + struct.pack(">H", value) + data[at + place + 2 :]
            yield Case("jpeg that lies", f"jpeg-{name}-{place}-{value}", broken, "refuse")
        yield Case("jpeg that lies", f"jpeg-{name}-empty", data[: at + 5] + bytes(4) + data[at + 9 :], "refuse")
        yield Case("jpeg that lies", f"jpeg-{name}-arithmetic", data.replace(data[at : at + 2], b"\xff\xc9"), "refuse")
        half = len(data) - (len(data) - at) // 2
        hole = data[:half] + b"\xff\xd9" + data[half + 2 :]
        yield Case("jpeg that lies", f"jpeg-{name}-hole", hole, "refuse")
    for turn in range(many(10)):
        for kind, (start, end) in {
            "BMP": (10, 50),
            "GIF": (6, 13),
            "WEBP": (4, 30),
            "PPM": (0, 12),
            "TIFF": (4, 8),
        }.items():
            data = bytearray(encoded(Image.fromarray(drawing(random)), kind))
            place = int(random.integers(start, end))
            data[place : place + 2] = random.bytes(2)
            yield Case(f"{kind.lower()} that lies", f"{kind.lower()}-header-{turn}", bytes(data), "any")
    image = {256: (3, 1, 80), 257: (3, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    tails: dict[str, dict[int, tuple[int, int, int]]] = {
        "offset-beyond": {273: (4, 1, 2**31), 278: (3, 1, 64), 279: (4, 1, 5120)},
        "strips-many": {273: (4, 2**31 - 1, 8), 278: (3, 1, 1), 279: (4, 1, 1)},
        "strips-few": {273: (4, 1, 8), 278: (3, 1, 8), 279: (4, 1, 640)},
        "tiles-tiny": {322: (3, 1, 1), 323: (3, 1, 1), 324: (4, 5_000_000, 8), 325: (4, 5_000_000, 8)},
        "tiles-none": {322: (3, 1, 0), 323: (3, 1, 0), 324: (4, 1, 8), 325: (4, 1, 8)},
        "nothing": {},
    }
    for name, tail in tails.items():
        yield Case("tiff that lies", f"tiff-{name}", tiff({**image, **tail}, bytes(600)), "refuse")
    yield Case("tiff that lies", "tiff-wide", tiff({**image, 256: (4, 1, 2**31 - 1), 273: (4, 1, 8)}), "refuse")
    tiles = {**image, 256: (4, 1, 9000), 257: (4, 1, 9000), **tails["tiles-tiny"]}
    yield Case("tiff that lies", "tiff-ten-million", tiff(tiles, bytes(25_000_000)), "refuse")
    for turn, text in enumerate((b"P6 9999999999 9999999999 255 ", b"P3 64 64 255 " + b"x" * 99, b"P2 64 64 0 1 ")):
        yield Case("ppm that lies", f"ppm-{turn}", text, "refuse")
    yield Case("ppm that lies", "ppm-values", b"P2 32 32 255 " + b"999999999999999999 " * 1024, "refuse")
    yield Case("ppm that lies", "ppm-negative", b"P2 32 32 255 " + b"-1 " * 1024, "refuse")
    yield Case("ppm that lies", "ppm-comment", b"P6 #" + b"c" * 3_000_000 + b"\n64 64 255\n" + bytes(12288), "any")


def _small(random: np.random.Generator, many: Many) -> Iterator[Case]:
    for length in (0, 1, 2, 3, 4, 8, 12, 30):
        yield Case("a few bytes", f"bytes-{length}", encoded(drawing(random), "PNG")[:length], "refuse")
        yield Case("a few bytes", f"zeros-{length}", bytes(length), "refuse")
    for height, width in ((1, 300), (300, 1), (1, 1), (2, 5000), (1, 65500), (65500, 1), (7, 400)):
        sheet = drawing(random, height, width)
        yield Case("1 x N", f"line-{height}x{width}", encoded(sheet, "PNG"), "refuse")
        yield Case("1 x N", f"line-{height}x{width}-jpeg", encoded(sheet, "JPEG"), "refuse")


def _foreign(random: np.random.Generator, many: Many) -> Iterator[Case]:
    sheet = Image.fromarray(drawing(random))
    for kind in ("EPS", "PDF", "ICO", "ICNS", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "IM", "MSP", "XBM", "SPIDER"):
        image = sheet.convert({"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(kind, "RGB"))
        yield Case("another format", f"foreign-{kind}", encoded(image, kind), "refuse")
    texts = {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "html": b"<html>not found</html>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file\n",
        "zip": b"PK\x03\x04" + bytes(200),
        "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0cposix\nsystem\n",
        "gzip": b"\x1f\x8b\x08" + bytes(50),
        "psd": b"8BPS\0\1" + bytes(100),
        "fli": bytes(4) + b"\x11\xaf" + bytes(200),
    }
    for name, text in texts.items():
        yield Case("another format", f"text-{name}", text, "refuse")
    for turn in range(many(30)):
        yield Case("noise", f"noise-{turn}", random.bytes(int(random.integers(1, 4000))), "refuse")
        start = list(_whole(random).values())[turn % 14][: int(random.integers(4, 12))]
        yield Case("noise", f"noise-after-start-{turn}", start + random.bytes(3000), "any")


def _laden(random: np.random.Generator, many: Many) -> Iterator[Case]:
    sheet = drawing(random)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in sheet))
    bomb = zlib.compress(bytes(60_000_000), 1)
    for name, chunk in {
        "ztxt": (b"zTXt", b"Comment\0\0" + bomb),
        "itxt": (b"iTXt", b"Comment\0\1\0\0\0" + bomb),
        "iccp": (b"iCCP", b"profile\0\0" + bomb),
        "text": (b"tEXt", b"Comment\0" + bytes(20_000_000)),
        "exif": (b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(1_000_000)),
    }.items():
        yield Case("laden png", f"png-{name}", png(80, 64, 8, 2, rows, chunk), "any", sheet)
    many_texts = [(b"tEXt", b"a\0b")] * 150_000
    yield Case("laden png", "png-many-parts", png(80, 64, 8, 2, rows, *many_texts), "any", sheet)
    yield Case("laden png", "png-parts-without-end", png(80, 64, 8, 2, rows, *many_texts, *many_texts), "refuse")
    yield Case("laden png", "png-trailing", encoded(sheet, "PNG") + bytes(3_000_000), "right", sheet)
    yield Case("laden png", "png-unpacks-to-more", png(80, 64, 8, 2, zlib.compress(bytes(90_000_000))), "any")
    data = encoded(sheet, "JPEG", progressive=True)
    decoded = np.asarray(Image.open(io.BytesIO(data)))
    apps = b"".join(b"\xff\xe2\xff\xff" + b"ICC_PROFILE\0" + bytes([n, 250]) + bytes(65519) for n in range(1, 251))
    yield Case("laden jpeg", "jpeg-profile", data[:2] + apps + data[2:], "any", decoded)
    scan = data.rindex(b"\xff\xda")
    yield Case("laden jpeg", "jpeg-scans", data[:scan] + data[scan:-2] * 1500 + data[-2:], "refuse")
    yield Case("laden jpeg", "jpeg-trailing", data + bytes(2_000_000), "right", decoded)
    plain = encoded(sheet, "JPEG")
    shown = np.asarray(Image.open(io.BytesIO(plain)))
    yield Case("laden jpeg", "jpeg-restarts", plain[:-2] + b"\xff\xd0" * 20_000_000 + plain[-2:], "refuse")
    yield Case("laden jpeg", "jpeg-fill", plain[:-2] + b"\xff" * 5_000_000 + b"\0" + plain[-2:], "any")
    yield Case("laden jpeg", "jpeg-second-inside", plain + plain[:500], "right", shown)
    frames = [Image.fromarray(np.roll(sheet[..., 0], n, 1)) for n in range(400)]
    first = np.repeat(sheet[..., :1], 3, 2)
    coded = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield Case("animated", "gif-400-frames", coded, "right", first)


def _large(random: np.random.Generator, many: Many) -> Iterator[Case]:
    def flat(width: int, height: int) -> bytes:
        return png(width, height, 8, 0, zlib.compress(bytes(height * (width + 1)), 1))

    empty = zlib.compress(b"")
    for width, height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (100_000, 1201)):
        yield Case("bomb", f"bomb-{width}x{height}", png(width, height, 8, 6, empty), "refuse")
    yield Case("bomb", "bomb-12000", flat(12_000, 12_000), "refuse")
    for name, options in (("plain", {}), ("lossless", {"lossless": True})):
        webp = bytearray(encoded(drawing(random), "WEBP", **options))
        at = 26 if name == "plain" else 21
        webp[at : at + 4] = b"\xff\x3f\xff\x3f" if name == "plain" else b"\xff\xff\xff\x0f"
        yield Case("bomb", f"bomb-webp-{name}", bytes(webp), "refuse")
    jpeg = bytearray(encoded(drawing(random), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    yield Case("bomb", "bomb-jpeg", bytes(jpeg), "refuse")
    gif = bytearray(encoded(Image.new("L", (64, 64)), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    yield Case("bomb", "bomb-gif", bytes(gif), "refuse")
    strip = drawing(random, 64, 40_000)
    yield Case("40,000 wide", "wide-png", encoded(strip, "PNG", compress_level=1), "right", strip, 0, "refuse")
    yield Case("40,000 wide", "wide-tiff", encoded(strip, "TIFF"), "right", strip, 0, "refuse")
    yield Case("40,000 wide", "wide-jpeg", encoded(strip, "JPEG", progressive=True), "any", None, 0, "refuse")
    if many(10) >= 10:  # only the full run: these take seconds each, and show what the bound on memory has to hold
        black = np.zeros((10_900, 10_900, 3), np.uint8)
        yield Case("as large as may be", "largest-png", flat(10_900, 10_900), "right", black, 0, "refuse")
        turned = Image.Exif()
        turned[0x0112] = 6
        for name, options in (("plain", {}), ("progressive", {"progressive": True}), ("turned", {"exif": turned})):
            coded = encoded(Image.new("RGB", (10_900, 10_900)), "JPEG", **options)
            yield Case("as large as may be", f"largest-{name}", coded, "right", black, 2, "refuse")
        page = np.full((7016, 4961, 3), 255, np.uint8)  # A4 at 600 dots per inch
        page[2000:2040, 1000:4000] = page[2000:5000, 1000:1040] = page[2000:5000, 3960:4000] = 0
        yield Case("as large as may be", "sheet", encoded(page, "PNG", compress_level=1), "right", page)
        clear = np.dstack([np.zeros_like(page), 255 - page[..., 0]])
        yield Case(
            "as large as may be", "sheet-clear", encoded(clear, "PNG", compress_level=1), "right", page, 0, "any"
        )
