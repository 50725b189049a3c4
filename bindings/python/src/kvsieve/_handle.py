"""Handle: a kvsieve_plan from create to destroy. What it is asked: plan.py."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from ._abi import kvsieve_plan
from ._library import library
from ._model import Model
from .errors import check


class Handle:
    """A kvsieve_plan with one owner, lent to one thread at a time."""

    def __init__(self, method: int, model: Model) -> None:
        self._lock = threading.RLock()
        self._handle = ctypes.POINTER(kvsieve_plan)()
        struct = model._struct()
        check(library().kvsieve_plan_create(method, ctypes.byref(struct), ctypes.byref(self._handle)))
        self._finalizer = weakref.finalize(self, library().kvsieve_plan_destroy, self._handle)
        self._finalizer.atexit = False  # another thread may still be inside a call; the process frees it anyway

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Frees the plan. It may be called twice. `with` and the garbage collector call it too."""
        with self._lock:
            self._finalizer()

    def __reduce__(self) -> Any:
        raise TypeError("a Plan belongs to one process and one owner: it can be neither copied nor pickled")

    @contextlib.contextmanager
    def _use(self) -> Iterator[Any]:
        """The kvsieve_plan, for one thread at a time. ValueError if the plan is closed."""
        with self._lock:
            if self.closed:
                raise ValueError("the plan is closed")
            yield self._handle
