"""The error of one lake object that cannot be read. The object is set aside, and the others are captured."""

from __future__ import annotations


class UnreadableObject(Exception):
    """Why an object cannot be read, in words for the person on call. Never leaves `crmbet.extract`."""
