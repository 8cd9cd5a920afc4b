"""The DAGs of brands as Airflow sees them: each brand has its own, and a bad file costs no other brand anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.workspace import PROJECT

pytestmark = pytest.mark.dags

KINDS = ("restore_backup", "user_features_daily", "user_features_erasure", "user_features_weekly")
OWN = "raw_prefix: {0}/\nsource_connection: {0}_source\n"


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Airflow's view of our folder with these files of brands."""
    from airflow.dag_processing.dagbag import DagBag

    def bag(**files: str) -> Any:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        monkeypatch.setenv("CRMBET_BRANDS_DIRECTORY", str(tmp_path))
        return DagBag(dag_folder=str(PROJECT / "dags"))

    return bag


def test_each_brand_has_its_dags_and_a_bad_file_is_the_error_of_no_other(parse: Any) -> None:
    tokyo = "operator_timezone: Asia/Tokyo\ndaily_schedule: 30 4 * * *\n"
    good = {"default": "", "aurora": OWN.format("aurora") + tokyo}

    bag = parse(**good, borealis=OWN.format("borealis") + "stream_topics: bets=b\nlanguage: pt-BR\n")
    assert bag.import_errors == {}
    assert {*bag.dags} == {f"{kind}{end}" for kind in KINDS for end in ("", "__aurora", "__borealis")} | {
        "user_features_stream__borealis"
    }
    aurora, default = bag.dags["user_features_daily__aurora"], bag.dags["user_features_daily"]
    assert (str(aurora.timezone), aurora.timetable.expression) == ("Asia/Tokyo", "30 4 * * *")
    assert str(default.timezone) == "America/Sao_Paulo"
    assert aurora.get_task("load_merge").outlets[0].name == "user_features__aurora"
    assert default.get_task("load_merge").outlets[0].name == "user_features"
    assert default.params.dump() == aurora.params.dump()
    assert "aurora" in aurora.tags

    bag = parse(**good, borealis="max_psii: 3\n")
    assert {*bag.dags} == {f"{kind}{end}" for kind in KINDS for end in ("", "__aurora")}
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("refused_brands.py"), "an error of another file would stop the DAGs in it"
    assert "the brand borealis is refused: unknown key max_psii. Where: " in error
    assert "borealis.yaml" in error

    asking = "shards: 3\nask_on: replace\napprovers: 7\naudiences_folder: config/audiences\n"
    bag = parse(**good, borealis=OWN.format("borealis") + asking)
    borealis, default = (bag.dags[f"user_features_daily{end}"] for end in ("__borealis", ""))
    assert {*borealis.task_ids} - {*default.task_ids} == {
        "approve", "publish_audiences", "extract_s3_parts", "extract_pg_parts", "clean_parts",
        "engineer_features_parts", "engineer_features_players", "engineer_features_fits", "engineer_features_scores",
    }  # fmt: skip
    assert [*borealis.get_task("approve").assigned_users] == [{"id": "7", "name": "7"}]

    assert {*parse(**good).dags} == {f"{kind}{end}" for kind in KINDS for end in ("", "__aurora")}
    assert {*parse().dags} == {*KINDS}
