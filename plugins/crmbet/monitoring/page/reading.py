"""How the page reads what it shows. Whoever serves the page says where from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from crmbet.monitoring.tables import MonitoringTables
from crmbet.monitoring.trail import StoreReader
from crmbet.monitoring.underway import RunUnderWay
from crmbet.run.settings import CostSettings

FRESH = {"Cache-Control": "no-store"}
"""Nothing is cached: the page shows whether today's data can be trusted, so it must not show yesterday's answer."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The places that the page of one brand reads. All are asked for each request."""

    dag_id: str = "user_features_daily"
    """The brand's daily DAG."""
    pages: Callable[[], Mapping[str, str]] = dict
    """The pages of all brands: a brand's name, and the folder of its page. None if there is one brand."""
    prices: Callable[[], CostSettings] = CostSettings
    """What is paid for what runs use."""
    open_tables: Callable[[], AbstractContextManager[MonitoringTables]]
    """Opens the tables of monitoring."""
    read_report: Callable[[str], bytes]
    """The content of a report, given the address that a run's row has."""
    column_readers: Callable[[], Mapping[str, Sequence[str]]]
    """The audiences that read a column, by column."""
    store_address: Callable[[], str] = str
    """The address of the store; a key follows it."""
    runs_under_way: Callable[[str], Sequence[RunUnderWay]]
    """The runs of a DAG that have not ended, the oldest first."""
    open_store: Callable[[], AbstractContextManager[StoreReader]]
    """The store, to read rows that runs have set aside."""
