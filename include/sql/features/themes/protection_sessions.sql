-- Markers of sessions for responsible gambling, over sessions with a bet that started in the last 30 days.
WITH played AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY user_id ORDER BY started_at, session_id) AS place,
        coalesce(ended_at, getvariable('as_of')) AS last_instant,
        money_units(stake_sum) AS units,
        settled_stake_sum > payout_sum AS is_loss,
        settled_stake_sum < payout_sum AS is_win
    FROM sessions
    WHERE bets > 0
),
spread AS (
    SELECT
        user_id,
        count(*) AS n,
        sum(units) AS s,
        sum(units * units) AS q,
        count(last_balance) AS balances,
        count(*) FILTER (last_balance < last_stake) AS depleted
    FROM played
    GROUP BY user_id
),
deposits AS (
    SELECT user_id, unnest(deposited_at) AS deposited_at
    FROM recent_state
    WHERE age < 30
),
inside AS (
    SELECT user_id, count(*) AS deposits
    FROM deposits
    SEMI JOIN played
        ON deposits.user_id = played.user_id AND deposited_at >= started_at AND deposited_at <= last_instant
    GROUP BY user_id
),
-- A session and the one after it, if that starts within a day of its end.
pairs AS (
    SELECT
        user_id,
        this.is_loss,
        this.is_win,
        next.units * this.bets > this.units * next.bets AS is_higher
    FROM played AS this
    JOIN played AS next USING (user_id)
    WHERE next.place = this.place + 1 AND next.started_at <= this.ended_at + INTERVAL 24 HOURS
),
chases AS (
    SELECT
        user_id,
        count(*) FILTER (is_loss) AS losses,
        count(*) FILTER (is_loss AND is_higher) AS higher_after_loss,
        count(*) FILTER (is_win) AS wins,
        count(*) FILTER (is_win AND is_higher) AS higher_after_win
    FROM pairs
    GROUP BY user_id
)
SELECT
    user_id,
    CASE WHEN n >= 2 THEN real6(sqrt((n * q - s * s) / (n * (n - 1))) / 10000) END AS rg_variability_30d,
    real6(coalesce(deposits, 0) / n) AS rg_deposits_per_session_30d,
    CASE
        WHEN losses >= 5 AND wins >= 5 THEN real6(higher_after_loss / losses - higher_after_win / wins)
    END AS rg_loss_chasing_30d,
    CASE WHEN balances > 0 THEN real6(depleted / balances) END AS rg_depletion_rate_30d
FROM spread
LEFT JOIN inside USING (user_id)
LEFT JOIN chases USING (user_id)
