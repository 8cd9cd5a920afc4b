"""Reads the contracts of the sources and of the feature table: data in include/contracts/, one file per table.

Two kinds share the file format. A **source contract** maps what an operator delivers (names, synonyms) onto canonical
columns and says which rows are acceptable. The **table contract** of the target drives its DDL, the merge, the
expectations' column list and the catalogue. Nothing here knows how rows are read or written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from crmbet.contracts.source import SourceContract
from crmbet.contracts.strict import Strict
from crmbet.contracts.table import TableContract
from crmbet.failures import BadContract

CONTRACTS = Path(__file__).parents[3] / "include" / "contracts"


Model = TypeVar("Model", bound=Strict)


def load_source_contracts(folder: Path = CONTRACTS / "sources", over: str = "") -> dict[str, SourceContract]:
    """Read every source contract, by source name.

    Those in the folder `over` take the place of others of their name. A relative path begins at the project. Raises
    `BadContract` naming the file and the key, and if `over` is no folder with contracts of known sources.
    """
    contracts = {contract.name: contract for contract in _load_all(folder)}
    if not over:
        return contracts
    own = {contract.name: contract for contract in _load_all(CONTRACTS.parents[1] / over)}
    if not own or not own.keys() <= contracts.keys():
        raise BadContract(
            f"contracts of unknown sources: {', '.join(sorted(own.keys() - contracts.keys()))}"
            if own
            else "there is no contract",
            where=over,
            why="CRMBET_CONTRACTS_DIRECTORY names a folder of contracts that take the place of ours, by their names",
            next_step=f"put a contract of one of {', '.join(contracts)} there, or correct the setting",
        )
    return contracts | own


def load_table_contract(path: Path = CONTRACTS / "user_features.yaml") -> TableContract:
    """Read the contract of the target table. Raises `BadContract` naming the file and the key."""
    return _load(path, TableContract)


def load_reasons_contract(path: Path = CONTRACTS / "score_reasons.yaml") -> TableContract:
    """Read the contract of the reasons of scores. Raises `BadContract` naming the file and the key."""
    return _load(path, TableContract)


def _load_all(folder: Path) -> list[SourceContract]:
    return [_load(path, SourceContract) for path in sorted(folder.glob("*.yaml"))]


def _load(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise BadContract(
            f"{path.name} is not a valid contract",
            where=str(path),
            why=explain_fault(error),
            next_step="correct the file",
        ) from error


def explain_fault(error: Exception) -> str:
    """What is wrong with a contract's file, in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
    return " ".join(str(error).split())
