"""The error of one lake object that cannot be read: it is set aside, and no other object suffers."""

from __future__ import annotations


class UnreadableObject(Exception):
    """Why an object cannot be read, in words for the person on call. Never leaves `ingest`."""
