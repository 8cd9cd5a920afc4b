"""The model columns of every player: fit the models on daily state, score, and judge last month's churn scores.

The models in `crmbet.learning.models` know numbers only; this module applies them to players. Players with equal
histories have equal scores. So a model is fitted on distinct histories with their counts, and scores each history once.

There are three steps: what the models know of each player, what is learned from all players, and the columns of each
player. Only the second needs all of them at once, and no ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from crmbet.databases.statements import Fragment, identifier, literal, render, statement
from crmbet.learning.reasons import measure_moves, median_history
from crmbet.learning.records import Calibration, Decile, Holdout, ModelFit, ModelRun, ServedModel
from crmbet.run.progress import timed
from crmbet.run.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from crmbet.learning.models.histories import Histories, Reals
    from crmbet.learning.models.maximum_likelihood import Maximum

log = logging.getLogger(__name__)

HORIZON_DAYS = 30
DECIMALS = 6
STRONG_CORRELATION = 0.3


HISTORIES = ("activity_histories", "deposit_histories")
"""Tables of what the models know of each player."""

LEARNED = (
    "activity_scores",
    "activity_moves",
    "deposit_scores",
    "deposit_moves",
    "clv_ranks",
    "usual_value",
)
"""Tables of what is learned from all players: scores of distinct histories, what moves them, ranks, and a median."""


def score_players(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    as_of: date,
    earlier: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Create the tables `models`, `churn_reasons` and `value_reasons` from `state`. Returns what the models learned.

    `state` has one row per player and operator day: user_id, age (0 on the last day before as_of), bets, deposits and
    deposit_sum. It has nothing at or after as_of. The rest is as for the three steps.
    """
    summarise_histories(connection)
    models = learn_models(connection, settings, as_of, earlier)
    apply_models(connection)
    return models


def summarise_histories(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of `HISTORIES` from `state`: what the models know of each player."""
    with timed(log, "histories"):
        _create(connection, "activity_histories", statement("learning/summarise_activity"))
        _create(connection, "deposit_histories", statement("learning/summarise_deposits"))


def learn_models(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    as_of: date,
    earlier: Mapping[str, ModelFit] | None = None,
) -> ModelRun:
    """Fit the models on the histories of all players, and create the tables of `LEARNED` and `deposit_values`.

    `earlier` are parameters, by field of `ModelRun`, that are used if the data give none.
    """
    earlier = earlier or {}
    deposits = _read_histories(connection, "deposit_histories")
    activity = _read_histories(connection, "activity_histories")
    with timed(log, "fits"):
        deposit_days = _serve("deposit_days", _fit_histories(deposits, settings, as_of), earlier)
        activity_days = _serve("activity_days", _fit_histories(activity, settings, as_of), earlier)
        spending_fit, correlation = _fit_spending(connection, settings, as_of)
        deposit_values = _serve("deposit_values", spending_fit, earlier)
    with timed(log, "last month"):
        judged = _judge_last_month(connection, settings, as_of)
    models = ModelRun(
        as_of=as_of,
        deposit_days=deposit_days,
        activity_days=activity_days,
        deposit_values=deposit_values,
        value_correlation=correlation,
        value_depends_on_frequency=correlation is not None and abs(correlation) > STRONG_CORRELATION,
        holdout=judged.holdout,
        holdout_problem=judged.holdout_problem,
        calibration=judged.calibration,
        calibration_problem=judged.calibration_problem,
        clv_margin=settings.models.clv_margin,
        clv_monthly_discount_rate=settings.models.clv_monthly_discount_rate,
    )
    with timed(log, "scores"):
        _score_deposits(connection, deposits, deposit_days.fit, settings)
        _score_activity(connection, activity, activity_days.fit, judged.calibration)
        value_deposits(connection, models)
        _create(connection, "clv_ranks", statement("learning/rank_values"))
        _create(connection, "usual_value", statement("learning/find_usual_value"))
    with timed(log, "reasons"):
        _explain(connection, deposits, "deposit", _value_of(deposit_days.fit, settings))
        _explain(connection, activity, "activity", _risk_of(activity_days.fit, judged.calibration))
    return models


def value_deposits(connection: duckdb.DuckDBPyConnection, models: ModelRun) -> None:
    """Create `deposit_values`, what the models of deposits say of each player, from histories and `deposit_scores`."""
    _bind_money(connection, models)
    _create(connection, "deposit_values", statement("learning/value_deposits"))


def apply_models(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `models`, `churn_reasons` and `value_reasons` from histories, `deposit_values` and tables of `LEARNED`.

    `models` has one row for every player who ever bet or deposited: user_id, p_alive, expected_deposit_days_30d,
    expected_deposit_value, clv_12m, customer_lifetime_value_score, churn_prob_30d and churn_risk_score. The reasons
    have a list of structs (feature, move) for each player, largest first. The tables of `LEARNED` are dropped.
    """
    with timed(log, "models of players"):
        _create(connection, "models", statement("learning/score_players"))
        _create(connection, "value_reasons", statement("learning/explain_value"))
        _create(connection, "churn_reasons", statement("learning/explain_churn"))
        for name in LEARNED:
            connection.execute(f"DROP TABLE {identifier(name)}")


@dataclass(frozen=True)
class _Attempt:
    """A fit on this run's data, or why there is none. One on a bound has both: it serves if nothing better is there."""

    cohort: int
    fit: ModelFit | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Judgement:
    holdout: Holdout | None = None
    holdout_problem: str | None = None
    calibration: Calibration | None = None
    calibration_problem: str | None = None


@dataclass(frozen=True)
class _Grouped:
    """Distinct histories: as columns of the engine, and as the models need them."""

    columns: Mapping[str, Any]
    histories: Histories

    @property
    def cohort(self) -> int:
        """Players who came back. The others do not show how long players stay."""
        return int(self.columns["players"][self.columns["repeats"] > 0].sum())


def _serve(name: str, attempt: _Attempt, earlier: Mapping[str, ModelFit]) -> ServedModel:
    """This run's own parameters, else the earlier ones, else its own on a bound."""
    fit = attempt.fit if attempt.problem is None else earlier.get(name, attempt.fit)
    if attempt.problem:
        serving = f"the parameters of {fit.as_of} are used" if fit else "its columns are NULL"
        log.warning("model of %s: %s; %s", name, attempt.problem, serving)
    return ServedModel(cohort=attempt.cohort, fit=fit, problem=attempt.problem)


def _attempt(
    cohort: int, patterns: int, settings: Settings, as_of: date, fit: Callable[[], Maximum]
) -> _Attempt:
    if cohort < settings.models.min_model_cohort:
        return _Attempt(
            cohort,
            problem=f"{cohort} players were active on two days or more (needed: {settings.models.min_model_cohort})",
        )
    maximum = fit()
    if not maximum.converged:
        return _Attempt(cohort, problem=f"the fit did not converge in {maximum.iterations} iterations")
    found = ModelFit(
        parameters=dict(maximum.parameters),
        as_of=as_of,
        cohort=cohort,
        patterns=patterns,
        log_likelihood=maximum.log_likelihood,
        iterations=maximum.iterations,
    )
    problem = None
    if maximum.on_bound:
        ended = ", ".join(f"{name} = {maximum.parameters[name]:.6g}" for name in maximum.on_bound)
        problem = f"the fit sits on a bound ({ended}): beyond it the likelihood would go on rising"
    return _Attempt(cohort, found, problem)


def _fit_histories(grouped: _Grouped, settings: Settings, as_of: date) -> _Attempt:
    from crmbet.learning.models import pareto_nbd

    histories = grouped.histories
    return _attempt(grouped.cohort, len(histories), settings, as_of, lambda: pareto_nbd.fit(histories))


def _fit_spending(
    connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: date
) -> tuple[_Attempt, float | None]:
    """Fit Gamma-Gamma. Returns the attempt, and the correlation of frequency and value."""
    from crmbet.learning.models import gamma_gamma

    columns = connection.execute(statement("learning/group_spending")).fetchnumpy()
    spending = gamma_gamma.Spending(*(_reals(columns[name]) for name in ("repeats", "total", "players")))
    cohort = int(columns["players"].sum())
    attempt = _attempt(cohort, len(spending.repeats), settings, as_of, lambda: gamma_gamma.fit(spending))
    return attempt, _rounded_number(gamma_gamma.correlation(spending)) if cohort else None


def _judge_last_month(connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: date) -> _Judgement:
    """Score the players as of thirty days ago from the data of then, and compare with what they did since."""
    import numpy as np

    from crmbet.learning.models import calibration, evaluation
    from crmbet.learning.models.pareto_nbd import ParetoNBD

    then = as_of - timedelta(days=HORIZON_DAYS)
    grouped = _grouped(connection.execute(statement("learning/group_holdout")).fetchnumpy())
    attempt = _fit_histories(grouped, settings, then)
    players, silent = _reals(grouped.columns["players"]), _reals(grouped.columns["silent"])
    count, gone = int(players.sum()), int(silent.sum())
    problem = attempt.problem
    if attempt.fit is not None and gone in (0, count):
        problem = f"{gone} of {count} players fell silent, so there are no two groups to compare"
    if attempt.fit is None or problem:
        log.warning("churn scores of %s cannot be judged: %s", then, problem)
        return _Judgement(holdout_problem=problem, calibration_problem="there is no holdout")

    churn = _churn_probability(ParetoNBD(**attempt.fit.parameters), grouped.histories)
    idle = grouped.columns["observed_days"] - grouped.columns["recency_days"]
    recency = 1 - np.exp2(-_reals(idle) / HORIZON_DAYS)
    # Each history counts twice: once with the players who fell silent, and once with the others.
    labels = np.repeat([1.0, 0.0], len(players))
    weights = np.concatenate([silent, players - silent])
    both = weights > 0
    labels, weights = labels[both], weights[both]
    churn, recency = np.tile(churn, 2)[both], np.tile(recency, 2)[both]
    holdout = Holdout(
        as_of=then,
        players=count,
        silent=gone,
        fit=attempt.fit,
        auc=_rounded_number(evaluation.auc(churn, labels, weights)),
        brier=_rounded_number(evaluation.brier(churn, labels, weights)),
        recency_auc=_rounded_number(evaluation.auc(recency, labels, weights)),
        recency_brier=_rounded_number(evaluation.brier(recency, labels, weights)),
        deciles=[
            Decile(
                decile=each.decile,
                players=each.customers,
                mean_score=_rounded_number(each.mean_score),
                share_silent=_rounded_number(each.share),
            )
            for each in evaluation.deciles(churn, labels, weights)
        ],
    )
    if count < settings.models.min_calibration_users:
        return _Judgement(
            holdout=holdout,
            calibration_problem=f"the holdout has {count} players (needed: {settings.models.min_calibration_users})",
        )
    knots = calibration.calibrate(churn, labels, weights)
    return _Judgement(
        holdout=holdout, calibration=Calibration(scores=list(knots.scores), shares=list(knots.shares))
    )


def _score_deposits(
    connection: duckdb.DuckDBPyConnection, grouped: _Grouped, fit: ModelFit | None, settings: Settings
) -> None:
    from crmbet.learning.models.histories import DAYS_A_WEEK
    from crmbet.learning.models.lifetime_value import discounted_repeats
    from crmbet.learning.models.pareto_nbd import ParetoNBD

    histories = grouped.histories
    if fit is None:
        scores = dict.fromkeys(("p_alive", "expected_deposit_days_30d", "discounted_days"))
    else:
        model = ParetoNBD(**fit.parameters)
        alive = model.p_alive(histories)
        expected = alive * model.expected_repeats_if_alive(histories, HORIZON_DAYS / DAYS_A_WEEK)
        scores = {
            "p_alive": _rounded(alive),
            "expected_deposit_days_30d": _rounded(expected),
            "discounted_days": discounted_repeats(
                model, histories, alive, settings.models.clv_monthly_discount_rate
            ),
        }
    _keep(connection, "deposit_scores", grouped, scores)


def _score_activity(
    connection: duckdb.DuckDBPyConnection,
    grouped: _Grouped,
    fit: ModelFit | None,
    calibration: Calibration | None,
) -> None:
    from crmbet.learning.models.pareto_nbd import ParetoNBD

    if fit is None:
        scores = dict.fromkeys(("churn_prob_30d", "churn_risk_score"))
    else:
        churn = _churn_probability(ParetoNBD(**fit.parameters), grouped.histories)
        scores = {"churn_prob_30d": churn, "churn_risk_score": _calibrated(churn, calibration)}
    _keep(connection, "activity_scores", grouped, scores)


def _explain(
    connection: duckdb.DuckDBPyConnection,
    grouped: _Grouped,
    subject: str,
    score: Callable[[Histories], Reals] | None,
) -> None:
    """Create a table of what moves the score of each history of deposits or activity."""
    median = median_history(connection, f"{subject}_histories") if score else None
    _keep(connection, f"{subject}_moves", grouped, measure_moves(grouped.columns, median, score))


def _value_of(fit: ModelFit | None, settings: Settings) -> Callable[[Histories], Reals] | None:
    """What gives the discounted days of a history, from which clv_12m follows; None without a model."""
    from crmbet.learning.models.lifetime_value import discounted_repeats
    from crmbet.learning.models.pareto_nbd import ParetoNBD

    if fit is None:
        return None
    model, rate = ParetoNBD(**fit.parameters), settings.models.clv_monthly_discount_rate
    return lambda histories: discounted_repeats(model, histories, model.p_alive(histories), rate)


def _risk_of(fit: ModelFit | None, calibration: Calibration | None) -> Callable[[Histories], Reals] | None:
    """What gives the churn_risk_score of a history; None without a model."""
    from crmbet.learning.models.pareto_nbd import ParetoNBD

    if fit is None:
        return None
    model = ParetoNBD(**fit.parameters)
    return lambda histories: _calibrated(_churn_probability(model, histories), calibration)


def _calibrated(churn: Reals, calibration: Calibration | None) -> Reals:
    """churn_risk_score of churn_prob_30d."""
    from crmbet.learning.models.calibration import Knots

    if calibration is None:
        return churn
    return _rounded(Knots(tuple(calibration.scores), tuple(calibration.shares)).apply(churn))


def _churn_probability(model: Any, histories: Histories) -> Reals:
    from crmbet.learning.models.histories import DAYS_A_WEEK

    return _rounded(1.0 - model.p_active(histories, HORIZON_DAYS / DAYS_A_WEEK))


def _bind_money(connection: duckdb.DuckDBPyConnection, models: ModelRun) -> None:
    """Set the variables of statements, as text: a plain literal would first be a DECIMAL."""
    fit = models.deposit_values.fit
    spending = {f"spending_{name}": fit.parameters[name] if fit else None for name in ("p", "q", "v")}
    for name, value in (spending | {"clv_margin": models.clv_margin}).items():
        number = Fragment("NULL" if value is None else literal(repr(value)))
        connection.execute(
            render("databases/set_variable", name=identifier(name), value=Fragment(f"{number}::DOUBLE"))
        )


def _create(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    connection.execute(render("databases/create_table", name=identifier(name), rows=Fragment(rows)))


def _read_histories(connection: duckdb.DuckDBPyConnection, table: str) -> _Grouped:
    return _grouped(
        connection.execute(render("learning/group_histories", histories=identifier(table))).fetchnumpy()
    )


def _grouped(columns: Mapping[str, Any]) -> _Grouped:
    from crmbet.learning.models.histories import Histories

    times = (columns[name] for name in ("repeats", "recency_days", "observed_days", "players"))
    return _Grouped(columns, Histories.of_days(*times))


def _keep(
    connection: duckdb.DuckDBPyConnection, name: str, grouped: _Grouped, scores: Mapping[str, Reals | None]
) -> None:
    """Create a table of the histories and their scores."""
    import pyarrow as pa

    size = len(grouped.histories)
    keys = {key: pa.array(grouped.columns[key]) for key in ("repeats", "recency_days", "observed_days")}
    values = {
        key: pa.nulls(size, pa.float64()) if score is None else pa.array(score)
        for key, score in scores.items()
    }
    connection.register("scored_histories", pa.table(keys | values))
    _create(connection, name, render("databases/read_rows", source=identifier("scored_histories")))
    connection.unregister("scored_histories")


def _reals(values: Any) -> Reals:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _rounded(values: Reals) -> Reals:
    """Round to six decimals, without negative zeros."""
    import numpy as np

    rounded: Reals = np.round(values, DECIMALS) + 0.0
    return rounded


def _rounded_number(value: Any) -> Any:
    return None if value is None else round(float(value), DECIMALS) + 0.0
