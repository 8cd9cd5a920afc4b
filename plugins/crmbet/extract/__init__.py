"""Captures: what the sources said, as they said it, kept immutably (docs/store.md)."""
