-- The segments of a player then and now.
VALUES
    ('rfm_segment', past.rfm_segment::text, present.rfm_segment::text),
    ('churn_risk_band', past.churn_risk_band::text, present.churn_risk_band::text),
    ('lifecycle_stage', past.lifecycle_stage::text, present.lifecycle_stage::text)
