"""Yjs state vectors: pairs of client id and clock, as variable-length whole numbers."""

VARINT_BYTES_MAX = 10
PEN_MAX = 2**53 - 1  # what a JavaScript client can count to
CLOCK_MAX = 2**31 - 1  # the native code counts with 32 bits; no pen lives to draw as much


def clocks_of(summary: bytes) -> dict[int, int]:
    """The clock of every client in a state vector. ValueError when it is none."""
    count, at = _read(summary, 0)
    clocks: dict[int, int] = {}
    for _ in range(count):
        client, at = _read(summary, at)
        clock, at = _read(summary, at)
        if client > PEN_MAX or clock > CLOCK_MAX:
            raise ValueError("a client or a clock that nobody has")
        clocks[client] = clock
    if at != len(summary):
        raise ValueError("bytes after the state vector")
    return clocks


def _read(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(VARINT_BYTES_MAX):
        if at + place >= len(data):
            raise ValueError("a state vector that ends too soon")
        byte = data[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise ValueError("a number that does not end")
