"""KV caches of Hugging Face transformers, compressed while model.generate() runs.

    with kvsieve.transformers.compress(model, "dynamickv", budget=1024):
        model.generate(**inputs, max_new_tokens=200)

Or with a cache of your own, which may go through several turns:

    cache = kvsieve.transformers.SieveCache(model, "snapkv", budget=1024)
    with cache.attached():
        answer = model.generate(**inputs, past_key_values=cache)
        again = model.generate(**longer, past_key_values=cache)

Needs torch and transformers: pip install 'kvsieve[transformers]'. What is refused, and which releases were tested, is in
bindings/python/README.md.
"""

try:
    from .cache import SieveCache
    from .compress import Compressed, compress
except ImportError as error:
    raise ImportError(
        f"kvsieve.transformers needs torch and transformers ({error}): pip install 'kvsieve[transformers]'"
    ) from error

__all__ = ["Compressed", "SieveCache", "compress"]
