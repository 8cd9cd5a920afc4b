-- The run's reasons of scores: one row per player who has any, with a hash of what it says.
WITH reasons AS (
    SELECT
        user_id,
        churn.reasons[1].feature AS churn_reason_1,
        churn.reasons[1].move AS churn_move_1,
        churn.reasons[2].feature AS churn_reason_2,
        churn.reasons[2].move AS churn_move_2,
        churn.reasons[3].feature AS churn_reason_3,
        churn.reasons[3].move AS churn_move_3,
        value.reasons[1].feature AS value_reason_1,
        value.reasons[1].move AS value_move_1,
        value.reasons[2].feature AS value_reason_2,
        value.reasons[2].move AS value_move_2,
        value.reasons[3].feature AS value_reason_3,
        value.reasons[3].move AS value_move_3,
        marker.reasons[1].feature AS rg_reason_1,
        marker.reasons[1].move AS rg_move_1,
        marker.reasons[2].feature AS rg_reason_2,
        marker.reasons[2].move AS rg_move_2,
        marker.reasons[3].feature AS rg_reason_3,
        marker.reasons[3].move AS rg_move_3
    FROM users
    LEFT JOIN churn_reasons AS churn USING (user_id)
    LEFT JOIN value_reasons AS value USING (user_id)
    LEFT JOIN marker_reasons AS marker USING (user_id)
    WHERE len(churn.reasons) > 0 OR len(value.reasons) > 0 OR len(marker.reasons) > 0
)
SELECT
    {columns},
    timezone('UTC', getvariable('as_of')) AS as_of,
    md5(to_json(struct_pack({hashed}))::VARCHAR) AS row_hash
FROM reasons
ORDER BY user_id
