"""Mutate valid inputs: change, move, cut or insert bytes."""

from collections.abc import Callable, Sequence
from random import Random

ODD_BYTES = (0, 1, 9, 10, 13, 32, 34, 44, 47, 92, 127, 128, 254, 255)
ODD_NUMBERS = (0, 1, 7, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)
ODD_TEXTS = (
    *(b"", b"0", b"-1", b"1e400", b"nan", b"NaN", b"null", b"true"),
    *(b"[]", b"{}", b'"', b"'", b"\0"),
    *(b"99999999999999999999", b"9" * 400, b"../", b"/", b"\\", b"\n", b",", b"\xff\xfe"),
    *("é\u202e\ufeff".encode(), b"%s%n", b"[" * 3000, b"x" * 200),
)


def mutate(seeds: Sequence[bytes], tokens: Sequence[bytes], random: Random) -> bytes:
    """Return one of the seeds with a few random changes, some of which insert tokens."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5, 9))):
        random.choice(CHANGES)(data, seeds, tokens, random)
    return bytes(data)


Change = Callable[[bytearray, Sequence[bytes], Sequence[bytes], Random], None]


def _position(data: bytearray, random: Random) -> int:
    # Headers are at the start and, in archives, at the end.
    near = random.choice((len(data), len(data), 64))
    at = random.randint(0, min(near, len(data)))
    return at if random.random() < 0.8 else len(data) - at


def _span(data: bytearray, random: Random) -> slice:
    at = _position(data, random)
    return slice(at, at + random.choice((1, 1, 2, 4, 8, 32, 512)))


def _flip(data: bytearray, _: object, __: object, random: Random) -> None:
    if data:
        data[_position(data, random) % len(data)] ^= 1 << random.randrange(8)


def _odd_byte(data: bytearray, _: object, __: object, random: Random) -> None:
    if data:
        data[_position(data, random) % len(data)] = random.choice(ODD_BYTES)


def _odd_number(data: bytearray, _: object, __: object, random: Random) -> None:
    size, at = random.choice((2, 4)), _position(data, random)
    number = random.choice(ODD_NUMBERS) % 256**size
    data[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))


def _cut(data: bytearray, _: object, __: object, random: Random) -> None:
    del data[_position(data, random) :]


def _remove(data: bytearray, _: object, __: object, random: Random) -> None:
    del data[_span(data, random)]


def _repeat(data: bytearray, _: object, __: object, random: Random) -> None:
    span = _span(data, random)
    data[span] = data[span] * random.choice((2, 3, 9))


def _insert(data: bytearray, _: object, tokens: Sequence[bytes], random: Random) -> None:
    at = _position(data, random)
    data[at:at] = random.choice((*tokens, *ODD_TEXTS))


def _overwrite(data: bytearray, _: object, tokens: Sequence[bytes], random: Random) -> None:
    data[_span(data, random)] = random.choice((*tokens, *ODD_TEXTS))


def _noise(data: bytearray, _: object, __: object, random: Random) -> None:
    data[_span(data, random)] = random.randbytes(random.choice((1, 2, 4, 16)))


def _splice(data: bytearray, seeds: Sequence[bytes], _: object, random: Random) -> None:
    """Replace the end by that of another seed."""
    other = random.choice(seeds)
    share = random.random()
    data[int(share * len(data)) :] = other[int(share * len(other)) :]


def _swap(data: bytearray, _: object, __: object, random: Random) -> None:
    """Replace a word, up to a blank, comma or quotation mark, by another word of the input."""
    words = [word for word in bytes(data).replace(b'"', b" ").replace(b",", b" ").split() if word]
    if len(words) > 1:
        old, new = random.choice(words), random.choice((*words, *ODD_TEXTS))
        at = bytes(data).find(old)
        data[at : at + len(old)] = new


CHANGES: tuple[Change, ...] = (
    *(_flip, _flip, _odd_byte, _odd_byte, _odd_number, _odd_number, _noise),
    *(_cut, _remove, _repeat, _insert, _overwrite, _splice, _swap),
)
