"""An adaptive binary range coder, in whole numbers only: the same bytes on every machine and in every version.

The coder is LZMA's (Martin 1979): ``low`` and ``range`` of 32 bits, whole bytes shifted out. Its first byte, always 0,
is left out, and so are zeros at the end, which the decoder supplies. A bit's probability is Krichevsky and Trofimov's
of how often each value came before in its context.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

_TOP = 1 << 24
_MASK = (1 << 32) - 1
_SCALE = 16  # bits of a probability
_SURE = 32  # of 2^16: no bit is ever held for more certain
_MEMORY = 512  # counts are halved from here on, so that what came lately weighs more
_EXPONENTS = 20  # no magnitude needs more bits; ends a damaged stream's run of ones


class _Contexts:
    """Of each context how often the bit was 0 and 1."""

    def __init__(self) -> None:
        self.counts: defaultdict[Hashable, list[int]] = defaultdict(lambda: [0, 0])

    def share(self, context: Hashable) -> tuple[list[int], int]:
        """The context's counts, and the probability of a 1 as a share of 2^16."""
        counts = self.counts[context]
        chance = ((2 * counts[1] + 1) << _SCALE) // (2 * (counts[0] + counts[1]) + 2)
        return counts, min(max(chance, _SURE), (1 << _SCALE) - _SURE)

    @staticmethod
    def learn(counts: list[int], bit: int) -> None:
        counts[bit] += 1
        if counts[0] + counts[1] >= _MEMORY:
            counts[0], counts[1] = (counts[0] + 1) >> 1, (counts[1] + 1) >> 1


class Encoder:
    """Takes bits and whole numbers, each in a context; `finish` gives the bytes."""

    def __init__(self) -> None:
        self._contexts = _Contexts()
        self._low, self._range = 0, _MASK
        self._cache, self._pending = 0, 1
        self._bytes = bytearray()

    def bit(self, value: int, context: Hashable) -> None:
        """Code a 0 or 1."""
        counts, share = self._contexts.share(context)
        bound = (self._range >> _SCALE) * share
        if value:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        self._contexts.learn(counts, value)
        while self._range < _TOP:
            self._range = (self._range << 8) & _MASK
            self._shift()

    def number(self, value: int, context: Hashable) -> None:
        """Code a whole number of less than 2^20 and any sign: a zero flag, the sign, the count of bits, the bits."""
        self.bit(int(value == 0), (context, "zero"))
        if value == 0:
            return
        self.bit(int(value < 0), (context, "sign"))
        size = abs(value).bit_length()
        for step in range(1, size):
            self.bit(1, (context, "size", step))
        self.bit(0, (context, "size", size))
        for place in range(size - 2, -1, -1):
            self.bit(abs(value) >> place & 1, (context, size, place))

    def finish(self) -> bytes:
        """All that was coded; nothing can be added after it."""
        # Of the numbers in [low, low + range) one with as many zeros at the end as there are, which need not be kept.
        for zeros in range(32, -1, -1):
            rounded = (self._low + (1 << zeros) - 1) >> zeros << zeros
            if rounded < self._low + self._range:
                self._low = rounded
                break
        for _ in range(5):
            self._shift()
        return bytes(self._bytes[1:]).rstrip(b"\0")

    def _shift(self) -> None:
        """Shift a byte out; one of 255 waits, since a carry may still run through it."""
        if self._low < 0xFF << 24 or self._low > _MASK:
            carry = self._low >> 32
            self._bytes.append((self._cache + carry) & 0xFF)
            self._bytes.extend(bytes([(0xFF + carry) & 0xFF]) * (self._pending - 1))
            self._cache, self._pending = (self._low >> 24) & 0xFF, 0
        self._pending += 1
        self._low = (self._low & 0x00FFFFFF) << 8


class Decoder:
    """Gives back, in the same contexts, what an `Encoder` was given."""

    def __init__(self, data: bytes) -> None:
        self._contexts = _Contexts()
        self._data, self._place = data, 4
        self._range, self._code = _MASK, int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def bit(self, context: Hashable) -> int:
        """The next 0 or 1."""
        counts, share = self._contexts.share(context)
        bound = (self._range >> _SCALE) * share
        # The encoder gives 0 the upper part.
        if self._code < bound:
            value, self._range = 1, bound
        else:
            value, self._code, self._range = 0, self._code - bound, self._range - bound
        self._contexts.learn(counts, value)
        while self._range < _TOP:
            self._range = (self._range << 8) & _MASK
            following = self._data[self._place] if self._place < len(self._data) else 0
            self._code = ((self._code << 8) | following) & _MASK
            self._place += 1
        return value

    def number(self, context: Hashable) -> int:
        """The next whole number.

        Raises:
            ValueError: none that an encoder would have written.
        """
        if self.bit((context, "zero")):
            return 0
        negative = self.bit((context, "sign"))
        size = 1
        while self.bit((context, "size", size)):
            size += 1
            if size > _EXPONENTS:
                raise ValueError("a number is larger than any that is written")
        value = 1
        for place in range(size - 2, -1, -1):
            value = value << 1 | self.bit((context, size, place))
        return -value if negative else value

    @property
    def unread(self) -> int:
        """Bytes that nothing was decoded from."""
        return max(0, len(self._data) - self._place)
