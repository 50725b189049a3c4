"""Handle: a kvsieve_plan from create to destroy. What it is asked: plan.py."""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Any

from ._abi import kvsieve_plan
from ._library import library
from ._model import Model
from .errors import check


class Lease:
    """`with` it a plan's calls run one after the other. (contextlib's decorator takes longer than some of the calls.)"""

    def __init__(self, handle: Any) -> None:
        self.lock = threading.RLock()
        self.handle = handle
        self.closed = False

    def __enter__(self) -> Any:
        self.lock.acquire()
        if self.closed:
            self.lock.release()
            raise ValueError("the plan is closed")
        return self.handle

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class Handle:
    """A kvsieve_plan with one owner, lent to one thread at a time."""

    def __init__(self, method: int, model: Model) -> None:
        handle = ctypes.POINTER(kvsieve_plan)()
        if not isinstance(model, Model):
            raise TypeError(f"model is {model!r}: expected a kvsieve.Model")
        struct = model._struct()
        check(library().kvsieve_plan_create(method, ctypes.byref(struct), ctypes.byref(handle)))
        self._lease = Lease(handle)
        self._finalizer = weakref.finalize(self, library().kvsieve_plan_destroy, handle)
        self._finalizer.atexit = False  # another thread may still be inside a call; the process frees it anyway

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._lease.closed

    def close(self) -> None:
        """Frees the plan. It may be called twice. `with` and the garbage collector call it too."""
        with self._lease.lock:
            self._lease.closed = True
            self._finalizer()

    def __reduce__(self) -> Any:
        raise TypeError("a Plan belongs to one process and one owner: it can be neither copied nor pickled")

    def _use(self) -> Lease:
        """The kvsieve_plan, for one thread at a time. ValueError if the plan is closed."""
        return self._lease
