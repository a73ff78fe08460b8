"""Whether an image file is whole, format by format, before or beside decoding.

Pillow passes over a PNG's checksums, over picture data that ends early, and over the ends of a JPEG that libjpeg pads
with grey. What cannot be seen in the file itself is seen by decoding it twice: a probe is the same file with something
added that a whole picture never reaches, so that a picture that changes with it was not whole.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

MOST_SCANS = 100  # of a progressive JPEG; encoders write about ten, and each one passes over the whole picture
MOST_PIECES = 200_000  # chunks, segments, strips or restarts; each one costs time and memory whatever its size
MOST_BLOCKS = 1_000_000  # of a GIF's data, which hold 255 bytes each
LARGEST_TEXT = 32 * 2**20  # bytes of a PPM written as text, which is read a number at a time

_JUNK = b"\xd5\x9a\x6c" * 16  # no flat grey in any coding, and no 0xFF, which would be a marker
# A marker may have any number of 0xFF before it. A pattern that begins with all of them takes for ever on many.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_AFTER_DATA = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # the marker that ends a scan; 00 is stuffing, D0-D7 restart
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ADAM7 = ((8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2), (2, 2, 1, 0), (1, 2, 0, 1))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Unreadable(ValueError):
    """A file that cannot be taken; `reason` and `remedy` go into the report."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason, self.remedy = reason, remedy

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # so that it survives the way back from a worker process
        return Unreadable, (self.reason, self.remedy)


def cut_short() -> Unreadable:
    """What is said where a part of the picture is missing."""
    return Unreadable("is cut short: a part of the picture is missing", "Get or save it again.")


def damaged(what: str) -> Unreadable:
    """What is said where the file contradicts itself."""
    return Unreadable(f"is damaged: {what}", "Get or save it again.")


def check_pixels(width: int, height: int, largest: int) -> None:
    """Raises Unreadable for more than `largest` pixels, or none."""
    if width < 1 or height < 1 or width * height > largest:
        expected = f"at most {largest // 1_000_000} million" if width and height else "some"
        raise Unreadable(f"has {width} x {height} pixels; expected {expected}", "Scale it, or leave it out.")


def check_png(data: bytes, largest: int) -> None:
    """Every chunk's checksum, the end chunk, and as much picture data as the header promises. Raises Unreadable."""
    inflate, promised, got, ended = zlib.decompressobj(), 0, 0, False
    for count, (name, content) in enumerate(_png_chunks(data)):
        if (name == b"IHDR") != (count == 0):
            raise damaged("its header is not in its place")
        if name == b"IHDR":
            promised = _png_promise(content, largest)
        elif name == b"IDAT":
            for start in range(0, len(content), 2**16):
                piece = content[start : start + 2**16]
                while piece and got < promised:
                    got += len(inflate.decompress(piece, 2**20))
                    piece = inflate.unconsumed_tail
        ended = name == b"IEND"
    if not ended or got < promised:
        raise cut_short()


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    for _ in range(MOST_PIECES):
        if len(data) < at + 12:
            raise cut_short()
        length, name = struct.unpack_from(">I4s", data, at)
        if len(data) < at + 12 + length:
            raise cut_short()
        content = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(content, zlib.crc32(name)) != checksum:
            raise damaged(f"the checksum of its part {name.decode('ascii', 'backslashreplace')} does not fit")
        yield name, content
        if name == b"IEND":
            return
        at += 12 + length
    raise damaged(f"it has more than {MOST_PIECES} parts")


def _png_promise(header: bytes, largest: int) -> int:
    """How many bytes the picture data unpacks to, filter bytes included."""
    if len(header) != 13:
        raise damaged("its header has the wrong length")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    check_pixels(width, height, largest)
    if colour not in _PNG_CHANNELS:
        raise damaged(f"its header has the colour type {colour}")
    bits = depth * _PNG_CHANNELS[colour]
    total = 0
    for step_x, step_y, left, top in _ADAM7 if interlaced else ((1, 1, 0, 0),):
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def probes_of_jpeg(data: bytes, largest: int) -> tuple[bytes, ...]:
    """The file with junk at the end of each scan and interval: the same picture if it is whole. Raises Unreadable.

    Where a scan is whole, libjpeg passes over what follows it up to the next marker; where it is not, libjpeg decodes
    it. Only Huffman coding ends where the picture ends; the rare arithmetic coding is refused.
    """
    pieces: list[bytes] = []
    at, kept, scans, frame, interval, restarts = 2, 0, 0, b"", 0, 0
    for _ in range(MOST_PIECES):
        found = _MARKER.search(data, at)
        if found is None:
            raise cut_short()
        marker, at = found[0][-1], found.end()
        if marker == 0xD9:
            if not scans:
                raise cut_short()
            return (b"".join((*pieces, data[kept:])),)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        segment = data[at : at + int.from_bytes(data[at : at + 2], "big")]
        at += len(segment)
        if marker in _JPEG_FRAMES:
            frame = segment
            if len(frame) < 9:
                raise cut_short()
            height, width = struct.unpack_from(">HH", frame, 3)
            check_pixels(width, height, largest)
            if marker > 0xC8:
                raise Unreadable("is a JPEG with arithmetic coding", "Save it as PNG or as an ordinary JPEG.")
        elif marker == 0xDD:
            interval = int.from_bytes(segment[2:4], "big")
        elif marker == 0xDA:
            scans += 1
            end = _AFTER_DATA.search(data, at)
            if end is None or not frame:
                raise cut_short()
            if scans > MOST_SCANS:
                raise damaged(f"it has more than {MOST_SCANS} scans")
            coded, here = _with_junk(data[at : end.start()].rstrip(b"\xff"), MOST_PIECES - restarts)
            restarts += here
            if interval and here < -(-_jpeg_units(frame, segment) // interval) - 1:
                raise cut_short()
            pieces += [data[kept:at], coded]
            at = kept = end.start()
    raise damaged(f"it has more than {MOST_PIECES} segments")


def _with_junk(coded: bytes, most: int) -> tuple[bytes, int]:
    """A scan's data with junk at the end of each interval, and the number of restarts between them."""
    count = 0

    def junk(restart: re.Match[bytes]) -> bytes:
        nonlocal count
        count += 1
        if count > most:
            raise damaged(f"it has more than {MOST_PIECES} restarts")
        return _JUNK + restart[0]

    if b"\xff\xff" in coded:  # all but the last are fill, and would make a marker of the junk
        coded = re.sub(rb"\xff{2,}", b"\xff", coded)
    return _RESTART.sub(junk, coded) + _JUNK, count


def _jpeg_units(frame: bytes, scan: bytes) -> int:
    """How many units a scan codes, of which a restart interval counts so many (ITU-T T.81, A.2)."""
    height, width, count = struct.unpack_from(">HHB", frame, 3)
    parts = {part[0]: (part[1] >> 4, part[1] & 15) for part in (frame[i : i + 2] for i in range(8, 8 + 3 * count, 3))}
    named = scan[3 : 3 + 2 * scan[2] : 2]
    if any(part not in parts for part in named) or not all(x and y for x, y in parts.values()) or not parts:
        raise damaged("it codes a colour that it does not have")
    most_x, most_y = max(x for x, _ in parts.values()), max(y for _, y in parts.values())
    if len(named) > 1:
        return -(-width // (8 * most_x)) * -(-height // (8 * most_y))
    x, y = parts[named[0]]
    return -(-(width * x) // (8 * most_x)) * -(-(height * y) // (8 * most_y))


def probes_of_gif(data: bytes, largest: int) -> tuple[bytes, ...]:
    """The file up to its first frame's end, twice, on two grounds: what no code fills shows it. Raises Unreadable.

    The frame is moved to the corner of a sheet of its own size, since a whole one need not fill its sheet.
    """
    if len(data) < 13:
        raise cut_short()
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    check_pixels(width, height, largest)
    at = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    head = data[10:at]
    for _ in range(MOST_PIECES):
        kind = data[at : at + 1]
        if kind == b"!":
            at = _gif_blocks_end(data, at + 2)
        elif kind == b"," and len(data) >= at + 11:
            break
        else:
            raise cut_short()
    else:
        raise damaged(f"it has more than {MOST_PIECES} parts")
    wide, high, local = struct.unpack_from("<HHB", data, at + 5)
    check_pixels(wide, high, largest)
    start = at + 10 + (3 * 2 ** ((local & 7) + 1) if local & 0x80 else 0)
    frame = data[at + 9 : _gif_blocks_end(data, start + 1)]
    size = struct.pack("<HH", wide, high)
    return tuple(
        b"GIF89a" + size + head + b"!\xf9\x04\x01\0\0" + ground + b"\0,\0\0\0\0" + size + frame + b";"
        for ground in (b"\0", b"\xff")
    )


def _gif_blocks_end(data: bytes, at: int) -> int:
    for _ in range(MOST_BLOCKS):
        if at >= len(data):
            raise cut_short()
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise damaged(f"it has more than {MOST_BLOCKS} blocks in a row")


def check_tiff(data: bytes, largest: int) -> None:
    """The first directory: no list so long that reading it would fill the memory. Raises Unreadable."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        raise cut_short()
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    if len(data) < at + 2:
        raise cut_short()
    (count,) = struct.unpack_from(f"{order}H", data, at)
    if len(data) < at + 2 + 12 * count:
        raise cut_short()
    sides = {}
    for place in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * place)
        if length > MOST_PIECES and kind not in (1, 2, 6, 7):  # texts and opaque bytes, such as a colour profile
            raise damaged(f"its tag {tag} lists {length} values")
        if tag in (256, 257) and kind in (3, 4):
            (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, at + 10 + 12 * place)
    if len(sides) == 2:
        check_pixels(sides[256], sides[257], largest)


def check_ppm(data: bytes, largest: int) -> None:
    """The length of one that is written as text. Raises Unreadable."""
    if data[1:2] in b"123" and len(data) > LARGEST_TEXT:
        reason = f"is written as text and larger than {LARGEST_TEXT // 2**20} MB"
        raise Unreadable(reason, "Save it as PNG.")


def check_webp(data: bytes, largest: int) -> None:
    """The canvas, for which memory is taken before anything is decoded. Raises Unreadable."""
    if len(data) < 30:
        raise cut_short()
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    check_pixels(width, height, largest)
