"""The records of the models: their parameters, how they were found, and how good last month's scores were."""

from __future__ import annotations

from datetime import date, datetime

from crmbet.run.records import Record


class ModelFit(Record):
    """The parameters of one model, fitted on data that allowed it."""

    parameters: dict[str, float]
    as_of: date
    """as_of of the data that they were fitted on."""
    cohort: int
    """Players who were active on two days or more. Only they count towards the minimum of a fit."""
    patterns: int
    """Distinct histories among the players that the model was fitted on."""
    log_likelihood: float
    iterations: int


class ServedModel(Record):
    """A model as a run used it."""

    cohort: int
    """The cohort of this run's data, as in `ModelFit`."""
    fit: ModelFit | None
    """The fit of this run, else the last good one, else that of this run on a bound. If it is None, the columns of the
    model are NULL."""
    problem: str | None = None
    """Why this run's own data gave no parameters, or none to rely on."""

    @property
    def is_fallback(self) -> bool:
        """Whether the run uses earlier parameters, or ones that sit on a bound."""
        return self.problem is not None and self.fit is not None


class Calibration(Record):
    """Knots of the curve from churn_prob_30d to churn_risk_score: straight between knots, flat outside them."""

    scores: list[float]
    shares: list[float]


class Decile(Record):
    """A tenth of the players by churn_prob_30d, and what they did."""

    decile: int
    players: int
    mean_score: float
    share_silent: float


class Holdout(Record):
    """churn_prob_30d of thirty days ago, from the data of then, judged by what happened since."""

    as_of: date
    players: int
    silent: int
    """Players without a bet or deposit in the thirty days."""
    fit: ModelFit
    auc: float
    brier: float
    recency_auc: float
    """AUC of the recency rule 1 - 2^(-idle days / 30). `recency_brier` is of the same rule."""
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
    """The correlation of repeat deposit days and their mean value. Gamma-Gamma assumes that they are independent."""
    value_depends_on_frequency: bool
    """Whether the correlation is above 0.3 or below -0.3. Then expected_deposit_value needs care."""
    holdout: Holdout | None
    holdout_problem: str | None
    """Why there is no holdout."""
    calibration: Calibration | None
    """If it is None, churn_risk_score equals churn_prob_30d."""
    calibration_problem: str | None
    clv_margin: float
    clv_monthly_discount_rate: float


class FittedModels(Record):
    """Parameters that a run fitted on its own data: the content of an object below models/."""

    as_of: date
    known_at: datetime
    run_id: str
    fits: dict[str, ModelFit]
    """By the model's field in `ModelRun`."""
