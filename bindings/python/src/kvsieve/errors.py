"""How a failure of the library becomes a Python exception.

What the binding itself refuses (not an array, an unsupported dtype, a number that C cannot hold) is a TypeError or a
ValueError; what the library refuses is a KVSieveError.
"""

from __future__ import annotations

from ._abi import OK
from ._library import library


class KVSieveError(Exception):
    """A call into libkvsieve failed; nothing was written and the plan is as it was before the call.

    status   the library's code, negative
    name     the code's own name, "KVSIEVE_ERR_SHAPE"
    message  what went wrong, naming the argument and both values
    """

    status: int
    name: str
    message: str

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(status, name, message)
        self.status, self.name, self.message = status, name, message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def self_check() -> None:
    """Compares what the library computes of fixed numbers with the same in double, and what each method keeps of a fixed sequence with
    a stored answer. KVSieveError if they differ: the library is broken, or the processor. It takes less than a tenth of a second."""
    check(library().kvsieve_self_check())


def check(status: int) -> None:
    """Raises KVSieveError unless `status` is KVSIEVE_OK. To be called on the thread that made the failed call."""
    if status != OK:
        message = library().kvsieve_last_error().decode()
        raise KVSieveError(status, library().kvsieve_status_name(status).decode(), message)
