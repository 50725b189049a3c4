"""Selections of seeded caches, for any language."""
