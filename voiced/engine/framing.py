"""Messages on a stream of bytes: each after its length, in four bytes, big-endian. Without I/O."""

from voiced.errors import ProtocolError

LENGTH_BYTES = 4


def frame(payload: bytes, most_bytes: int) -> bytes:
    """Return a payload as it stands in the stream.

    Raises:
        ProtocolError: it is empty or longer than `most_bytes`.
    """
    _check(len(payload), most_bytes)
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class Unframer:
    """Cuts a stream back into payloads; holds one of them at most, and never more than the limit."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = bytearray()

    @property
    def num_held(self) -> int:
        """Bytes of a payload that is not complete; above 0 at the end of a stream that was broken off."""
        return len(self._held)

    def push(self, data: bytes) -> list[bytes]:
        """Return the payloads that `data` completes; keep the rest for the next call.

        Raises:
            ProtocolError: a length is 0 or above the limit, known before its payload has come; the stream is then of no
                more use.
        """
        self._held += data
        payloads: list[bytes] = []
        start = 0
        while len(self._held) - start >= LENGTH_BYTES:
            length = int.from_bytes(self._held[start : start + LENGTH_BYTES], "big")
            _check(length, self._most_bytes)
            end = start + LENGTH_BYTES + length
            if len(self._held) < end:
                break
            payloads.append(bytes(self._held[start + LENGTH_BYTES : end]))
            start = end
        del self._held[:start]
        return payloads


def _check(length: int, most_bytes: int) -> None:
    if not 0 < length <= most_bytes:
        raise ProtocolError(
            f"message of {length} bytes: expected 1 to {most_bytes}; send less at once"
        )
