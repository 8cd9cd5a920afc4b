-- Of the two digits of the RFM cell (recency; frequency and money together) the one that has moved further is the reason,
-- and of frequency and money the one that has moved further in its direction. Churn and stages move by silence and by
-- days of play; if neither has changed that way, the model was fitted anew.
CASE
    WHEN past.user_id IS NULL OR present.user_id IS NULL THEN NULL
    WHEN seen.dimension = 'rfm_segment' THEN CASE
        WHEN past.recency_score IS NULL OR present.recency_score IS NULL THEN 'recency_score'
        WHEN abs(present.recency_score - past.recency_score) >= abs(
            (present.frequency_score + present.monetary_score + 1) / 2
            - (past.frequency_score + past.monetary_score + 1) / 2
        ) THEN 'recency_score'
        WHEN (present.frequency_score - past.frequency_score - present.monetary_score + past.monetary_score)
            * sign(present.frequency_score + present.monetary_score - past.frequency_score - past.monetary_score)
            >= 0 THEN 'frequency_score'
        ELSE 'monetary_score'
    END
    WHEN seen.dimension = 'churn_risk_band' THEN CASE
        WHEN past.churn_risk_score IS NULL OR present.churn_risk_score IS NULL
            OR 'churned' IN (past.churn_risk_band, present.churn_risk_band) THEN 'days_since_last_activity'
        WHEN (present.churn_risk_score - past.churn_risk_score)
            * (present.days_since_last_activity - past.days_since_last_activity) > 0 THEN 'days_since_last_activity'
        WHEN (present.churn_risk_score - past.churn_risk_score)
            * (present.active_days_30d - past.active_days_30d) < 0 THEN 'active_days_30d'
        ELSE 'churn_prob_30d'
    END
    WHEN past.lifecycle_stage IN ('registered', 'at_risk', 'churned')
        OR present.lifecycle_stage IN ('at_risk', 'churned') THEN 'days_since_last_activity'
    WHEN past.lifecycle_stage = 'new' THEN 'tenure_days'
    ELSE 'active_days_30d'
END
