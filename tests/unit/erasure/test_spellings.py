"""Which texts name a player, however the id is spelled, and which do not."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbet.contracts.alike_ids import fold
from crmbet.erasure.spellings import BLOT, Spellings

pytestmark = pytest.mark.unit

IDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cc", "Cf", "Zs"]),
    min_size=3,
    max_size=12,
).filter(lambda text: not fold(text).isdecimal())


@pytest.mark.parametrize(
    "text",
    ["u0000349", "U0000349", "player u0000349.", "(u0000349)", "u0000349-u1", "a_u0000349_b", "x=u0000349&y"],
)
def test_an_id_in_any_text_is_found_and_blotted_out(text: str) -> None:
    spellings = Spellings.of([" U0000349 "])

    assert spellings.found_in(text)
    assert not spellings.found_in(spellings.blotted(text))
    assert BLOT in spellings.blotted(text)


@pytest.mark.parametrize("text", ["u00003491", "xu0000349", "u000034", "", "U000 0349"])
def test_what_is_longer_or_shorter_is_another_id(text: str) -> None:
    assert not Spellings.of(["u0000349"]).found_in(text)


@pytest.mark.parametrize("text", ['"17"', "user_id: 17", "'17'", "<td>17</td>", "user_id=17,", "user_id 17"])
def test_an_id_of_digits_is_found_where_it_is_an_id(text: str) -> None:
    assert Spellings.of(["17"]).found_in(text)


@pytest.mark.parametrize("text", ["17 rows", "2024-01-17", "1.17", "rows: 17", '"17.5"'])
def test_a_number_is_no_id(text: str) -> None:
    assert not Spellings.of(["17"]).found_in(text)


def test_ids_side_by_side_are_all_blotted_out() -> None:
    assert Spellings.of(["ana", "bia"]).blotted("ana,bia,Ana;caio") == f"{BLOT},{BLOT},{BLOT};caio"


@given(IDS)
def test_json_html_and_addresses_name_the_player_too(user_id: str) -> None:
    spellings = Spellings.of([user_id])

    for text in (
        user_id,
        user_id.lower(),
        json.dumps([user_id]),
        f"<b>{html.escape(user_id)}</b>",
        f"/{quote(user_id, safe='')}/",
    ):
        assert spellings.found_in(text), text


def test_nobody_is_found_nowhere() -> None:
    assert not Spellings.of([]).found_in("anything at all")
