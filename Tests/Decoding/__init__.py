"""Who leaves while decoding."""
