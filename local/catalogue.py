"""`python -m local.catalogue`: all that is made from the contract of the feature table and its SQL (`make catalogue`).

It writes docs/features.md, docs/pt-BR/dicionario.md, the pages in docs/catalogue/, and include/lineage.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crmbet.audiences.readers import readers_in
from crmbet.contracts.catalogue import render_catalogue
from crmbet.contracts.dictionary import render_dictionary
from crmbet.contracts.files import load_reasons_contract, load_table_contract
from crmbet.contracts.origins import FILE, dump_origins
from crmbet.monitoring.page.catalogue_page import file_name, render_page
from crmbet.texts import LANGUAGES
from local.lineage import origins
from local.workspace import PROJECT

PAGES = PROJECT / "docs" / "catalogue"


def generated() -> Mapping[Path, str]:
    """The content of each file."""
    table, reasons, found = load_table_contract(), load_reasons_contract(), origins()
    readers = readers_in(PROJECT / "config" / "audiences")
    pages = {
        PAGES / file_name(language): render_page(table, reasons, found, language, readers=readers, live=False)
        for language in LANGUAGES
    }
    return {
        PROJECT / "docs" / "features.md": render_catalogue(table, reasons, found),
        PROJECT / "docs" / "pt-BR" / "dicionario.md": render_dictionary(table, reasons),
        FILE: dump_origins(found),
        **pages,
    }


if __name__ == "__main__":
    for path, content in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
