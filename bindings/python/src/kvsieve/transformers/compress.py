"""compress(): a model whose generate() compresses its caches inside a `with`. attached(): the part that changes the model.

What is changed: the decoder's attention implementation, `generate` of the model object, and hooks around the decoder's
forward. All of it is undone when the `with` ends, also by an exception.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch

from . import refusals, releases
from .attention import PREFIX, passing
from .cache import SieveCache

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .._types import Keywords
    from ..plan import Plan


@contextlib.contextmanager
def attached(model: Any, maker: Maker | None) -> Iterator[None]:
    """The model's attention understands SieveCache, and its generate() is checked; `maker` makes the cache if none is given."""
    decoder = refusals.decoder_of(model)
    inner = refusals.inner_of(decoder)
    with contextlib.ExitStack() as undo:
        undo.callback(decoder.set_attn_implementation, inner)
        decoder.set_attn_implementation(PREFIX + inner)
        refusals.attention_of(decoder)
        begin, end = _hooks(decoder, maker)
        undo.callback(decoder.register_forward_pre_hook(begin, with_kwargs=True).remove)
        undo.callback(decoder.register_forward_hook(end, with_kwargs=True).remove)
        for owner in {id(model): model, id(decoder): decoder}.values():
            undo.enter_context(_method(owner, "__reduce_ex__", functools.partial(_no_copy, owner)))
        if hasattr(model, "generate"):
            undo.enter_context(_method(model, "generate", functools.partial(_generate, model, maker)))
        if hasattr(model, "generate_batch"):
            undo.enter_context(_method(model, "generate_batch", _no_batches))
        yield


def _hooks(decoder: Any, maker: Maker | None) -> tuple[Any, Any]:
    """What runs before and after each forward pass of the decoder."""
    keyword = releases.cache_keyword(decoder.forward)
    names = list(inspect.signature(decoder.forward).parameters)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def begin(_: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
        passing.begin()
        given = {**dict(zip(names, arguments)), **keywords}
        cache, result = given.get(keyword), None
        makes = maker is not None and given.get("use_cache") is not False and not torch.is_grad_enabled()
        if maker is not None and makes and not isinstance(cache, SieveCache):
            if cache is not None:
                raise ValueError(
                    f"{keyword} is a {type(cache).__name__}: expected none, or a SieveCache of this model; generate() makes "
                    f"one where compress() was given the model whose generate() is called"
                )
            cache = maker.make()
            maker.take(cache)
            result = arguments, {**keywords, keyword: cache}
            if keyword in names[: len(arguments)]:
                place = names.index(keyword)
                result = (*arguments[:place], cache, *arguments[place + 1 :]), keywords
        if isinstance(cache, SieveCache):
            cache.pass_begins()
        return result

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def end(_: Any, arguments: Any, keywords: dict[str, Any], output: Any) -> None:
        given = {**dict(zip(names, arguments)), **keywords}
        if isinstance(given.get(keyword), SieveCache):
            given[keyword].pass_ends()

    return begin, end


class Maker(Protocol):
    """Who makes the caches of a `with`."""

    def make(self) -> SieveCache: ...

    def take(self, cache: SieveCache) -> None:
        """It is used from now on."""

    def generating(self) -> contextlib.AbstractContextManager[None]:
        """generate() runs: what further passes are given inside is no cache of a user's."""
        ...


def compress(
    model: Any,
    method: str | int,
    *,
    protect: Iterable[tuple[int, int]] = (),
    each_chunk: bool = False,
    join: Callable[[Plan], None] | None = None,
    **parameters: Unpack[Keywords],
) -> Compressed:
    """For `with`: model.generate() and forward passes without a cache of their own are given a SieveCache.

        with kvsieve.transformers.compress(model, "dynamickv", budget=1024) as sieve:
            answer = model.generate(**inputs)
            print(sieve.cache.bytes, sieve.cache.full_bytes)
            again = model.generate(**longer, past_key_values=sieve.cache)

    Every call without past_key_values is a new sequence with a new cache. The arguments are those of SieveCache.
    """
    return Compressed(model, method, protect=list(protect), each_chunk=each_chunk, join=join, **parameters)


class Compressed:
    """What compress() returns. `cache` is the SieveCache of the latest call, or one that was not used yet."""

    def __init__(self, model: Any, method: str | int, **keywords: Any) -> None:
        self.model = model
        self.make: Callable[[], SieveCache] = functools.partial(SieveCache, model, method, **keywords)
        self.cache: SieveCache = self.make()
        self._inside = threading.local()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(attached(self.model, self))
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def take(self, cache: SieveCache) -> None:
        if not getattr(self._inside, "depth", 0):
            self.cache = cache

    @contextlib.contextmanager
    def generating(self) -> Iterator[None]:
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            yield
        finally:
            self._inside.depth -= 1


def _generate(model: Any, maker: Maker | None, *arguments: Any, **keywords: Any) -> Any:
    """model.generate() with a SieveCache that knows where the prompt ends."""
    function = type(model).generate
    given = inspect.signature(function).bind_partial(model, *arguments, **keywords).arguments
    given = {**given, **given.pop("kwargs", {})}
    known = [keywords.pop(name) for name in releases.KEYWORDS if keywords.get(name) is not None]
    if not known and maker is None:
        raise ValueError("generate has no past_key_values: expected the cache whose attached() this is")
    cache: Any = known[0] if known else maker.make() if maker else None
    if not isinstance(cache, SieveCache) or cache.decoder is not refusals.decoder_of(model):
        raise ValueError(f"past_key_values is a {type(cache).__name__}: expected a SieveCache of this model, or none")
    beams = refusals.generation(model, cache, given)
    seen = cache.get_seq_length()
    end = refusals.prompt_end(model, seen, given)
    if maker is not None:
        maker.take(cache)
    cache.prompt_ends_at(end)
    try:
        with maker.generating() if maker is not None else contextlib.nullcontext():
            result = function(model, *arguments, **{**keywords, releases.cache_keyword(model.forward): cache})
    finally:
        cache.prompt_ends_at(None)
    cache.beams = beams
    if not cache.was_settled_at(end) and not cache.decodes:
        raise RuntimeError(
            f"the prompt has {end} tokens by generate's arguments and the model read others: nothing was compressed"
        )
    return result


@contextlib.contextmanager
def _method(owner: Any, name: str, function: Any) -> Iterator[None]:
    """owner.name is `function` inside the `with`, on this object alone."""
    before = owner.__dict__.get(name)
    owner.__dict__[name] = function
    try:
        yield
    finally:
        if before is None:
            del owner.__dict__[name]
        else:
            owner.__dict__[name] = before


def _no_copy(owner: Any, _: Any) -> Any:
    """What copy.deepcopy and pickle call: a copy would stay changed when the `with` ends."""
    raise TypeError(
        f"{type(owner).__name__} is inside a `with` of kvsieve.transformers: expected it to be copied outside"
    )


def _no_batches(*_: Any, **__: Any) -> Any:
    raise ValueError("generate_batch has paged caches of its own: expected generate")
