"""The records of the models: their parameters, how they were found, and how good last month's scores were."""

from __future__ import annotations

from datetime import date, datetime

from crmbet.run.records import Record


class ModelFit(Record):
    """The parameters of one model, from data in which they could be found."""

    parameters: dict[str, float]
    as_of: date
    """Of the data that they were fitted on."""
    cohort: int
    """Players that count: active on two days or more."""
    patterns: int
    """Distinct histories among the players that it was fitted on."""
    log_likelihood: float
    iterations: int


class ServedModel(Record):
    """A model as a run used it."""

    cohort: int
    """Players of this run's data, as in `ModelFit`."""
    fit: ModelFit | None
    """This run's own, else the last good one; None: there is none, and what it would score is NULL."""
    problem: str | None = None
    """Why this run's own data gave no parameters."""

    @property
    def is_fallback(self) -> bool:
        """Whether earlier parameters serve."""
        return self.problem is not None and self.fit is not None


class Calibration(Record):
    """Knots of the curve from churn_prob_30d to churn_risk_score: lines between them, flat outside."""

    scores: list[float]
    shares: list[float]


class Decile(Record):
    """A tenth of the players by churn_prob_30d, beside what they did."""

    decile: int
    players: int
    mean_score: float
    share_silent: float


class Holdout(Record):
    """churn_prob_30d of thirty days ago, from what was known then, judged by what happened since."""

    as_of: date
    players: int
    silent: int
    """Players without an event in the thirty days."""
    fit: ModelFit
    auc: float
    brier: float
    recency_auc: float
    """Of the baseline 1 - 2^(-idle days / 30); the next likewise."""
    recency_brier: float
    deciles: list[Decile]


class ModelRun(Record):
    """What the models of a run learned, and how good last month's churn scores were."""

    as_of: date
    deposit_days: ServedModel
    """Pareto/NBD; p_alive, expected_deposit_days_30d, clv_12m."""
    activity_days: ServedModel
    """Pareto/NBD; churn_prob_30d."""
    deposit_values: ServedModel
    """Gamma-Gamma; expected_deposit_value, clv_12m."""
    value_correlation: float | None
    """Of repeat deposit days and their mean value, which Gamma-Gamma takes to be independent."""
    value_depends_on_frequency: bool
    """Whether that correlation is beyond 0.3 on either side: expected_deposit_value is to be read with care."""
    holdout: Holdout | None
    holdout_problem: str | None
    """Why there is no holdout."""
    calibration: Calibration | None
    """None: churn_risk_score is churn_prob_30d."""
    calibration_problem: str | None
    clv_margin: float
    clv_monthly_discount_rate: float


class FittedModels(Record):
    """Parameters that a run found itself: the content of an object below models/, for runs that find none."""

    as_of: date
    known_at: datetime
    run_id: str
    fits: dict[str, ModelFit]
    """By the model's field in `ModelRun`."""
