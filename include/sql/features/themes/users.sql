-- All users who get a row: those in players, transactions (of any status) or bets before as_of. Sessions and messages
-- alone give no row. Each has what is known of the player. hour_shift is the number of whole hours from the operator's
-- wall clock to the player's at as_of.
WITH seen AS (
    SELECT user_id, max(age) AS first_fact_age
    FROM state
    WHERE bets > 0 OR transactions > 0
    GROUP BY user_id
),
registered AS (
    SELECT
        user_id,
        date_diff(
            'day', local_time(registered_at, getvariable('operator_zone'))::DATE, getvariable('last_day')
        ) AS registered_age,
        floor(
            (
                epoch(local_time(getvariable('as_of'), coalesce(timezone, getvariable('operator_zone'))))
                - epoch(local_time(getvariable('as_of'), getvariable('operator_zone')))
            ) / 3600
        )::INTEGER AS hour_shift,
        birth_date,
        list_sort(list_distinct(consents)) AS canais_permitidos,
        is_test,
        is_blocked,
        self_excluded_until,
        prohibited,
        protection_unreadable AS unreadable_columns
    FROM players
    WHERE registered_at IS NULL OR registered_at < getvariable('as_of')
)
SELECT
    * REPLACE (coalesce(hour_shift, 0) AS hour_shift),
    coalesce(registered_age, first_fact_age)::INTEGER AS tenure_days
FROM seen
FULL JOIN registered USING (user_id)
