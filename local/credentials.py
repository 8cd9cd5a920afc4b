"""Keys and passwords of one workspace: made at random once, kept in one private file."""

from __future__ import annotations

import base64
import secrets
from dataclasses import asdict, dataclass, field, fields

from local.workspace import Workspace, read_record, write_record


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """What protects the embedded services. The representation shows none of it."""

    access_key_id: str = field(default_factory=lambda: "LOCAL" + secrets.token_hex(8).upper(), repr=False)
    secret_access_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    fernet_key: str = field(default_factory=_fernet_key, repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    api_secret_key: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    erasure_key: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)


def credentials(workspace: Workspace) -> Credentials:
    """The workspace's credentials, made at the first call."""
    path = workspace.record("credentials")
    kept = {name: value for name, value in read_record(path).items() if name in _NAMES}
    complete = Credentials(**kept)
    if kept.keys() != _NAMES:
        write_record(path, asdict(complete))
    return complete


_NAMES = {one.name for one in fields(Credentials)}
