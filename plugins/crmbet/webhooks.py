"""Posting to an http address that an Airflow connection names. No error repeats the address: it may be a secret."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any


def address_of(connection: Any) -> str:
    """The connection as an http address: `host` if it is a whole address, else made of the connection's parts.

    Raises `ValueError` if it is none.
    """
    host: str = connection.host or ""
    if "://" not in host:
        if not host:
            raise ValueError("host is empty; it must hold the address")
        scheme = connection.conn_type if connection.conn_type in ("http", "https") else None
        port = f":{connection.port}" if connection.port else ""
        path = (
            f"/{connection.schema}"
            if connection.schema and connection.schema not in ("http", "https")
            else ""
        )
        host = f"{scheme or (connection.schema if connection.schema == 'http' else 'https')}://{host}{port}{path}"
    if not host.startswith(("http://", "https://")):
        raise ValueError("host is not an http or https address")
    return host


def post(address: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Post JSON. Raises what httpx raises, also for an answer that is no success."""
    import httpx

    # httpx logs every address at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sent = {"Content-Type": "application/json", **headers}
    response = httpx.post(address, content=body, headers=sent, timeout=seconds)
    response.raise_for_status()
