"""Which token is evicted while decoding."""
