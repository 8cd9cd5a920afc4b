"""Writes docs/pt-BR/dicionario.md, the data dictionary for the CRM analyst, from the feature table's contract.

python -m crmbet.contracts.dictionary > docs/pt-BR/dicionario.md      (make catalogue)

It is a page for people who build campaigns, in their language: what a column says, what a value looks like, and what to
beware of. docs/features.md has the formulas.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from crmbet.contracts.catalogue import in_parts, write_table
from crmbet.contracts.files import load_reasons_contract, load_table_contract
from crmbet.contracts.table import FeatureColumn, TableContract

SOURCES = {
    "T": "transações",
    "B": "apostas",
    "S": "sessões",
    "C": "comunicações",
    "P": "cadastro",
    "L": "limites",
}
TYPES = {
    "text": "texto",
    "text[]": "lista",
    "varchar(50)": "texto",
    "char(3)": "texto",
    "integer": "número inteiro",
    "smallint": "número inteiro",
    "real": "número",
    "r01": "número de 0 a 1",
    "money": "reais",
    "boolean": "verdadeiro ou falso",
    "timestamptz": "data e hora",
}
VALUES: Mapping[str, Mapping[str, str]] = {
    "rfm_segment": {
        "champions": "campeões: depositaram há pouco, muitas vezes e muito",
        "loyal": "fiéis: depositam com frequência e valor acima da média",
        "potential_loyalist": "quase fiéis: recentes, ainda de frequência e valor medianos",
        "new_customers": "novos: depositaram há pouco, e pouco. É também quem voltou depois de meses",
        "promising": "promissores: nem tão recentes, de pouco valor",
        "need_attention": "pedem atenção: tinham frequência e valor e estão esfriando",
        "about_to_sleep": "quase dormindo: pouco valor, e o último depósito já vai longe",
        "at_risk": "em risco: eram dos melhores e faz tempo que não depositam",
        "cant_lose_them": "não dá para perder: os maiores de antes, hoje entre os mais antigos sem depósito",
        "hibernating": "hibernando: pouco valor, parados há muito tempo",
        "lost": "perdidos: as notas mais baixas em tudo",
        "prospect": "cadastro sem nenhum depósito concluído (sem FTD)",
    },
    "lifecycle_stage": {
        "registered": "cadastrado: ainda sem aposta nem depósito",
        "new": "novo: primeiro evento há menos de 30 dias",
        "active": "ativo",
        "at_risk": "em risco: de 14 a 29 dias parado",
        "churned": "churn: 30 dias ou mais parado",
        "reactivated": "reativado: voltou depois de 31 dias ou mais",
    },
    "churn_risk_band": {
        "low": "baixo",
        "medium": "médio",
        "high": "alto",
        "critical": "crítico",
        "churned": "já foi: 30 dias ou mais parado",
    },
    "rg_self_exclusion_status": {
        "none": "nunca se autoexcluiu",
        "active": "autoexcluído agora",
        "past": "já se autoexcluiu e o prazo acabou",
    },
    "rg_risk_band": {
        "low": "baixo: nenhum motivo forte para olhar",
        "medium": "médio: olhe quando puder",
        "high": "alto: olhe primeiro; o marketing está suspenso",
    },
}
"""English values of closed lists, for a reader of Portuguese."""

INTRODUCTION = """\
<!-- Feito por `make catalogue` a partir de include/contracts/user_features.yaml: mude aquele arquivo, não este. -->

# Dicionário de dados

`{schema}.{name}`: {meaning} Uma linha por jogador, {columns} colunas.

Este dicionário é para quem monta segmento e régua. As fórmulas estão em [features.md](../features.md), em inglês;
as palavras, no [glossário](glossario.md).

## Antes de usar

- **Para disparar campanha, filtre por `marketing_allowed`.** Não precisa de mais nenhum filtro: ele já considera
  consentimento, idade, bloqueio, conta de teste, autoexclusão, impedimento legal, faixa de risco alta e jogador que
  sumiu das fontes.
- **Vazio (NULL) é "não se aplica" ou "não se sabe". Nunca é zero.** Quem nunca depositou não tem
  `days_since_last_deposit`. Um filtro como `> 30` não pega essa pessoa.
- **A linha é uma foto da meia-noite** (`as_of`). O que o jogador fez hoje entra amanhã.
- **Janela** de 30 dias são os 30 dias da operação antes de `as_of`. Hora e dia da semana são os do jogador.
- **Score e segmento são relativos à base ou a um modelo.** Servem para ordenar e priorizar, não para julgar ninguém.
- **Colunas `rg_` são de jogo responsável.** Só lê quem tem permissão. Elas podem reduzir o marketing e nunca aumentar.
  Faixa de risco não é diagnóstico ([jogo responsável](../responsible-gambling.md), em inglês).

## Por onde começar

| Pergunta | Colunas |
|---|---|
| Quem pode receber a campanha? | `marketing_allowed`, `canais_permitidos`, `canal_comunicacao_preferido` |
| O que ele joga? | `favorite_game_type`, `favorite_game_share`, `product_breadth_90d` |
| Quanto ele vale? | `rfm_segment`, `clv_12m`, `ggr_30d`, `deposit_sum_30d` |
| Está indo embora? | `churn_risk_band`, `days_since_last_activity`, `activity_trend`, `lifecycle_stage` |
| Já fez o primeiro depósito? | `days_to_first_deposit`, `days_since_last_deposit` |
| Quando ele joga? | `horarios_atividade`, `dias_semana_preferidos`, `weekend_activity_ratio` |
| Vive de bônus? | `bonus_bet_share_90d`, `padrao_deposito` |

```sql
-- Em risco, com valor, que aceitam WhatsApp
SELECT user_id, clv_12m, favorite_game_type
FROM {schema}.{name}
WHERE marketing_allowed AND rfm_segment = 'at_risk' AND 'whatsapp' = ANY (canais_permitidos)
ORDER BY clv_12m DESC NULLS LAST;
```
"""


def render_dictionary(table: TableContract, reasons: TableContract) -> str:
    """The page: how to use the table, one line a column of it and of score_reasons, what values mean."""
    introduction = INTRODUCTION.format(
        schema=table.schema_name, name=table.name, meaning=table.meaning_pt, columns=len(table.columns)
    )
    heads = ("Coluna", "O que diz", "Exemplo", "Cuidado", "Janela", "Fonte", "Tipo")
    titles = ("Chave e features", "Jogo responsável", "Controle")
    tables = [
        write_table(title, heads, [_cells(name, column) for name, column in columns.items()])
        for title, columns in zip(titles, in_parts(table), strict=True)
    ]
    values = [
        write_table(
            f"`{name}`",
            ("Valor", "Em português"),
            [(f"`{value}`", words[value]) for value in table.columns[name].values],
            level=3,
        )
        for name, words in VALUES.items()
    ]
    of_scores = write_table(
        f"Motivos dos escores: `{reasons.schema_name}.{reasons.name}`",
        ("Coluna", "O que diz", "Exemplo", "Cuidado", "Tipo"),
        [
            (f"`{name}`", column.meaning_pt, _example(column), column.caution_pt, _type(column))
            for name, column in reasons.features.items()
        ],
    )
    return "\n".join([introduction, *tables, of_scores, "## O que os valores querem dizer\n", *values])


def _cells(name: str, column: FeatureColumn) -> tuple[str, ...]:
    return (
        f"`{name}`",
        column.meaning_pt,
        _example(column),
        column.caution_pt,
        _window(column.window),
        ", ".join(SOURCES[letter] for letter in column.sources.split(", ") if letter),
        _type(column),
    )


def _example(column: FeatureColumn) -> str:
    """The example as a query shows it; money also as Brazilians write it."""
    if column.type != "money":
        return f"`{column.example}`"
    written = f"{float(column.example):,.2f}".translate(str.maketrans(",.", ".,"))
    return f"`{column.example}` (R$ {written})"


def _window(window: str) -> str:
    """A window in words: '30 dias'."""
    named = {"life": "desde o início", "now": "em as_of", "": ""}
    return named[window] if window in named else f"{window.removesuffix('d')} dias"


def _type(column: FeatureColumn) -> str:
    """The type in words, with the closed list of its values."""
    parts = [TYPES[column.type]]
    if column.values:
        parts.append(", ".join(f"`{value}`" for value in column.values))
    if not column.nullable:
        parts.append("nunca vazio")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.stdout.write(render_dictionary(load_table_contract(), load_reasons_contract()))
