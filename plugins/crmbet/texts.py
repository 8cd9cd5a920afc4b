"""What people read, in the language of the deployment: forms, alerts, reports and the monitoring page.

The sentences are in the code, in English. include/texts/<language>.yaml has each of them in another language. Whoever
writes a sentence for people passes it through `Texts`, and a test names the sentences that a language lacks. Logs,
errors and what programs read are English (docs/adr/0028).

    say = texts_in("pt-BR")
    say("{met} of {judged} met", met=9, judged=11)          # 9 de 11 cumpridas
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "pt-BR"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT_LANGUAGE: Language = "en"
FOLDER = Path(__file__).parents[2] / "include" / "texts"

MARKS: Mapping[Language, Mapping[int, int]] = {"en": {}, "pt-BR": str.maketrans(",.", ".,")}
"""How the marks of an English figure are written."""


@dataclass(frozen=True)
class Texts:
    """The sentences of one language. A sentence that it lacks stays English, since an alert must go out."""

    language: Language
    sentences: Mapping[str, str]
    """English to this language. A sentence may have places such as `{run}`, which both have."""

    def __call__(self, sentence: str, **values: object) -> str:
        """The sentence in this language, with its places filled in if values are given."""
        said = self.sentences.get(sentence, sentence)
        return said.format(**values) if values else said

    def about(self, sentence: str, names: Collection[str]) -> str:
        """A sentence of a file, such as 'stake is filled', which is told for any of the `names`: '{0} is filled'."""
        if sentence in self.sentences:
            return self.sentences[sentence]
        general, found = generalise(sentence, names)
        said = self.sentences.get(general)
        return sentence if said is None else said.format(*found)

    def figure(self, text: str) -> str:
        """An English figure, such as '1,234.5' or '21.60%', as the language writes it."""
        return text.translate(MARKS[self.language])


ENGLISH = Texts(DEFAULT_LANGUAGE, {})


@cache
def texts_in(language: Language) -> Texts:
    """The texts of a language."""
    if language == DEFAULT_LANGUAGE:
        return ENGLISH
    import yaml

    text = (FOLDER / f"{language}.yaml").read_text(encoding="utf-8")
    return Texts(language, yaml.load(text, Loader=yaml.CSafeLoader))


def generalise(sentence: str, names: Collection[str]) -> tuple[str, list[str]]:
    """The sentence with numbered places for the names in it, and these names: '{0} is filled', ['stake']."""
    found: list[str] = []

    def place(word: re.Match[str]) -> str:
        if word[0] not in names:
            return word[0]
        if word[0] not in found:
            found.append(word[0])
        return f"{{{found.index(word[0])}}}"

    return re.sub(r"\w+", place, sentence), found
