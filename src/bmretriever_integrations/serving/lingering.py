"""A connection that ends without cutting off its last answer, and without waiting for ever for a client that does not read."""

from __future__ import annotations

import asyncio
from typing import Any

QUIET_SECONDS = 5.0
"""A client whose request is not read to its end may be silent for so long; nginx's ``lingering_timeout``."""
LONGEST_SECONDS = 30.0
"""And may go on sending for so long; nginx's ``lingering_time``."""


class LingeringTransport(asyncio.Transport):
    """
    The transport of a connection, with another way to close it.

    A socket that is closed while the client still sends is reset by the system, and a reset deletes what the client has not read
    yet: the answer that says why. So where the client has more to send, the socket is only told that nothing more will come, and
    what arrives is thrown away until the client closes it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, stall_seconds: float) -> None:
        """
        :param transport: the transport itself.
        :param loop: the event loop.
        :param stall_seconds: after so long without taking any byte of its answer, a client is cut off.
        """
        super().__init__()
        self._transport, self._loop, self._stall_seconds = transport, loop, stall_seconds
        self.more_to_come = False
        """Whether the client has not sent all of its request; the protocol says so."""
        self.lingering = False
        """Whether the connection is at its end, and what arrives is not looked at."""
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Send what is written, and close the connection; a second call does not wait for the client any more."""
        if self.more_to_come and not self.lingering and not self._transport.is_closing():
            self._linger()
            return
        self._transport.close()
        self.watch()

    def stop_timer(self) -> None:
        """Look no further; the protocol calls this when the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()

    def hear(self) -> None:
        """Note that the client is still sending."""
        self._heard = True

    def is_closing(self) -> bool:
        """Say whether nothing more can be written."""
        return self.lingering or self._transport.is_closing()

    def watch(self) -> None:
        """Cut the client off once it takes nothing of what is written; the protocol calls this when too much is."""
        if (waiting := self._transport.get_write_buffer_size()) and self._timer is None:
            self._timer = self._loop.call_later(self._stall_seconds, self._look, waiting)

    def _look(self, before: int) -> None:
        self._timer = None
        if self._transport.get_write_buffer_size() >= before:
            self._transport.abort()
        else:
            self.watch()

    def _linger(self) -> None:
        self.lingering = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self.stop_timer()
        self._timer = self._loop.call_later(QUIET_SECONDS, self._listen, self._loop.time() + LONGEST_SECONDS)

    def _listen(self, until: float) -> None:
        if not self._heard or self._loop.time() >= until:
            self._transport.abort()
            return
        self._heard = False
        self._timer = self._loop.call_later(QUIET_SECONDS, self._listen, until)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, unless the last answer was sent."""
        if not self.lingering:
            self._transport.write(data)

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Leave with the system what arrives."""
        if not self.lingering:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if not self.is_closing():
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """
        Return a fact about the connection.

        :param name: its name in asyncio.
        :param default: what stands for one that is not known.
        """
        return self._transport.get_extra_info(name, default)
