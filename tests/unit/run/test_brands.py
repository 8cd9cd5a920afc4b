"""Brands as files: what a brand takes from the environment, and what is refused, with the others going on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crmbet.failures import BadSetting
from crmbet.run.brand_settings import SETTINGS_OF_A_BRAND
from crmbet.run.brands import Brands, brand_name, brand_of, find_brand, read_brands
from crmbet.run.settings import SETTINGS, Settings

pytestmark = pytest.mark.unit

Read = Callable[..., Brands]
BASE = {"CRMBET_LAKE_BUCKET": "shared", "CRMBET_MAX_PSI": "0.3", "CRMBET_STREAM_TOPICS": "bets=bets"}


def of_its_own(name: str, **more: Any) -> dict[str, Any]:
    """What each brand needs, so that it shares nothing."""
    return {"raw_prefix": f"{name}/", "source_connection": f"{name}_source", **more}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads brands from files with this content."""

    def make(**files: Any) -> Brands:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return read_brands(environ_of(tmp_path))

    return make


def environ_of(folder: Path) -> dict[str, str]:
    return {**BASE, "CRMBET_BRANDS_DIRECTORY": str(folder)}


def names(found: Brands) -> list[str]:
    return [brand.name for brand in found.brands]


def test_without_a_file_there_is_one_brand_with_the_dags_of_today(read: Read) -> None:
    (only,) = read().brands

    assert (only.name, only.dag_id("user_features_daily")) == ("default", "user_features_daily")
    assert only.environ["CRMBET_STREAM_TOPICS"] == "bets=bets"


def test_a_folder_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadSetting, match="CRMBET_BRANDS_DIRECTORY names no folder"):
        read_brands({"CRMBET_BRANDS_DIRECTORY": "/nowhere"})


def test_a_file_is_laid_over_the_environment(read: Read) -> None:
    (brand,) = read(aurora=of_its_own("aurora", operator_timezone="America/Manaus", max_psi=0.4)).brands

    found = Settings.from_environ(brand.environ)

    assert brand.dag_id("user_features_weekly") == "user_features_weekly__aurora"
    assert (found.brand, found.lake_bucket, found.quality.max_psi) == ("aurora", "shared", 0.4)
    assert found.operator_timezone == "America/Manaus"


def test_what_is_one_brands_alone_is_not_taken_from_the_environment(read: Read, tmp_path: Path) -> None:
    read(aurora=of_its_own("aurora"), default={})
    environ = {**environ_of(tmp_path), "CRMBET_TARGET_SCHEMA": "crm", "CRMBET_MONITORING_CONNECTION": "page"}

    default, aurora = (Settings.from_environ(each.environ) for each in read_brands(environ).brands)

    assert (default.target_schema, aurora.target_schema) == ("crm", "ml_features_aurora")
    assert (default.stream.stream_topics, aurora.stream.stream_topics) == ("bets=bets", "")
    assert default.connections.monitoring_connection == "page"
    assert aurora.connections.monitoring_connection == "crmbet_target"


def test_the_default_keeps_its_dags_and_comes_first(read: Read) -> None:
    found = read(aurora=of_its_own("aurora"), default={"max_psi": 0.2})

    assert [brand.dag_id("restore_backup") for brand in found.brands] == [
        "restore_backup",
        "restore_backup__aurora",
    ]
    assert found.brands[0].environ["CRMBET_MAX_PSI"] == "0.2"


BAD = {
    "an unknown key": ({"max_psii": 1}, "unknown key max_psii"),
    "a brand's name": ({"brand": "other"}, "unknown key brand"),
    "a bad zone": ({"operator_timezone": "Manaus"}, "operator_timezone has a bad value"),
    "a bad schedule": ({"daily_schedule": "@hourly"}, "daily_schedule has a bad value"),
    "a bad schema": ({"target_schema": "public"}, "target_schema has a bad value"),
    "a bad language": ({"language": "fr"}, "language has a bad value"),
    "bad minutes": ({"clean_timeout_minutes": "soon"}, "clean_timeout_minutes has a bad value"),
    "bad topics": ({"stream_topics": "bets"}, "stream_topics has a bad value"),
    "a list": ({"lake_bucket": ["a", "b"]}, "lake_bucket has to have one value"),
    "nothing after a key": ("lake_bucket:\n", "lake_bucket has to have one value"),
    "no names": ("- lake_bucket\n", "has to hold names and values"),
    "no YAML": ("daily_schedule: @daily\n", "cannot be read"),
    "the default's schema": ({"target_schema": "ml_features"}, "target_schema is used by .*default.yaml"),
    "roles of one name": (
        {"target_schema": "ml_features_borealis"},
        "target_schema is used by .*borealis.yaml",
    ),
    "the default's feeds": ({"raw_prefix": "raw/"}, "raw_prefix is that of .*default.yaml"),
    "feeds inside of others": ({"raw_prefix": "raw/aurora/"}, "raw_prefix is that of .*default.yaml"),
    "the default's transactions": ({"source_connection": "crmbet_source"}, "source_connection is that of"),
    "the default's topic": ({"stream_topics": "limits=bets"}, "stream_topics has a topic of"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_name_and_the_others_go_on(read: Read, case: str) -> None:
    content, why = BAD[case]
    if isinstance(content, dict):
        content = of_its_own("aurora") | content

    found = read(aurora=content, borealis=of_its_own("borealis"), default={})

    assert names(found) == ["default", "borealis"]
    (refusal,) = found.refused.values()
    with pytest.raises(BadSetting, match=f"the brand aurora is refused: .*{why}.*Where: .*aurora.yaml"):
        raise refusal


def test_of_two_that_chose_the_same_neither_runs(read: Read) -> None:
    found = read(
        aurora=of_its_own("aurora", target_schema="crm"),
        borealis=of_its_own("borealis", target_schema="ml_features_crm"),
        celeste=of_its_own("celeste"),
    )

    assert names(found) == ["celeste"]
    assert {*found.refused} == {"aurora", "borealis"}


@pytest.mark.parametrize("name", ["Aurora", "9lives", "a-b", "x" * 31, "a.b"])
def test_a_name_that_cannot_be_part_of_others_is_refused(read: Read, name: str) -> None:
    assert {*read(**{name: of_its_own("aurora")}).refused} == {name}


def test_two_files_of_one_name_are_refused(read: Read, tmp_path: Path) -> None:
    read(aurora=of_its_own("aurora"), borealis=of_its_own("borealis"))
    (tmp_path / "aurora.yml").write_text("")

    found = read_brands(environ_of(tmp_path))

    assert names(found) == ["borealis"]
    assert "so its DAGs would be two" in str(found.refused["aurora"])


def test_the_brand_of_the_environment_is_no_other_files(read: Read, tmp_path: Path) -> None:
    read(aurora=of_its_own("aurora"), default={})

    found = read_brands({**environ_of(tmp_path), "CRMBET_BRAND": "aurora"})

    assert [brand.suffix for brand in found.brands] == [""]
    assert "both would write to one store" in str(found.refused["aurora"])


def test_a_dag_knows_its_brand_or_does_not_run(read: Read, tmp_path: Path) -> None:
    read(aurora=of_its_own("aurora"), wrong={"max_psii": 1})
    environ = environ_of(tmp_path)

    assert brand_of("user_features_daily__aurora", environ).name == "aurora"
    assert find_brand("aurora", environ).suffix == "__aurora"
    for dag_id, why in (
        ("user_features_daily", "there is no brand default"),
        ("user_features_daily__gone", "there is no brand gone"),
        ("user_features_daily__wrong", "the brand wrong is refused"),
    ):
        with pytest.raises(BadSetting, match=why):
            brand_of(dag_id, environ)
    assert brand_name("user_features_daily__gone", environ) == "gone"
    assert brand_name("user_features_daily", {"CRMBET_BRAND": "acme"}) == "acme"


def test_a_changed_file_is_read_again(read: Read) -> None:
    assert read(aurora=of_its_own("aurora", max_psi=0.4)).brands[0].environ["CRMBET_MAX_PSI"] == "0.4"
    assert read(aurora=of_its_own("aurora", max_psi=0.45)).brands[0].environ["CRMBET_MAX_PSI"] == "0.45"


def test_a_file_may_name_every_setting_but_those_of_the_deployment() -> None:
    assert SETTINGS.keys() - SETTINGS_OF_A_BRAND == {"brand", "brands_directory"}
    assert SETTINGS_OF_A_BRAND - SETTINGS.keys() == set()


PREFIXES = st.lists(st.sampled_from(["raw", "a", "b"]), max_size=3).map(
    lambda parts: "".join(f"{p}/" for p in parts)
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "raw_prefix": PREFIXES.filter(bool),
        "source_connection": st.sampled_from(["one", "two", "three"]),
        "target_schema": st.sampled_from(["ml_features", "crm", "ml_features_crm", "ml_features_b"]),
        "lake_bucket": st.sampled_from(["one", "two"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "default"]), CHOICES))
def test_no_two_brands_that_run_share_anything(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("brands")
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))

    found = read_brands(environ_of(folder))

    assert len(found.brands) + len(found.refused) == max(len(files), 1)
    running = [Settings.from_environ(brand.environ) for brand in found.brands]
    for place, one in enumerate(running):
        for other in running[place + 1 :]:
            assert one.brand != other.brand
            assert one.target_schema.removeprefix("ml_features_") != other.target_schema.removeprefix(
                "ml_features_"
            )
            assert one.connections.source_connection != other.connections.source_connection
            if one.lake_bucket == other.lake_bucket:
                pair = (one.source.raw_prefix, other.source.raw_prefix)
                assert not pair[0].startswith(pair[1])
                assert not pair[1].startswith(pair[0])
