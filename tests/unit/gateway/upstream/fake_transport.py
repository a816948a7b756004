"""A transport that records what a protocol does with it."""

import asyncio

from typing_extensions import override


class FakeTransport(asyncio.Transport):
    """`written` is what the peer has got; `reading` is False while the protocol stops its peer."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False
        self.reading = True

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    @override
    def abort(self) -> None:
        self.aborted = True

    @override
    def is_closing(self) -> bool:
        return self.aborted

    @override
    def pause_reading(self) -> None:
        self.reading = False

    @override
    def resume_reading(self) -> None:
        self.reading = True

    @override
    def get_write_buffer_size(self) -> int:
        return 0
