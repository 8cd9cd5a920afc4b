-- One row for each of some players and days, as of all that the stream has said so far. Counts and sums are those of daily
-- state, and sessions those that are derived from bets, both by the statements of the batch. The session of a day is the
-- last one with a bet on it, as a whole: it may have begun before midnight, or go on after it.
WITH play AS (
    SELECT _day AS day, *
    FROM live_sessions
    UNION ALL
    SELECT operator_time(ended_at)::DATE AS day, *
    FROM live_sessions
    WHERE operator_time(ended_at)::DATE > _day
),
last_session AS (
    SELECT *
    FROM play
    QUALIFY row_number() OVER (PARTITION BY user_id, day ORDER BY started_at DESC) = 1
),
deposits AS (
    SELECT last_session.user_id, last_session.day, count(*)::INTEGER AS deposits
    FROM last_session
    JOIN (SELECT user_id, unnest(deposited_at) AS deposited_at FROM live_state) AS made
        ON made.user_id = last_session.user_id
        AND made.deposited_at BETWEEN last_session.started_at AND last_session.ended_at
    GROUP BY ALL
),
losses AS (
    SELECT user_id, day, max(greatest(settled_stake_sum - payout_sum, 0)) AS largest_loss
    FROM play
    GROUP BY ALL
),
-- Of each partition the message that came last: its place without the slash and the twenty digits of an offset.
happened AS (
    SELECT user_id, day, max(last_event_at) AS last_event_at, list_sort(list(place)) AS positions
    FROM (
        SELECT user_id, _day AS day, max(instant) AS last_event_at, max(_source_key) AS place
        FROM live_events
        WHERE _day IN ({days})
        GROUP BY user_id, _day, left(_source_key, -21)
    )
    GROUP BY ALL
),
exclusions AS (
    SELECT
        user_id,
        _day AS day,
        last(exclusion.new_days ORDER BY exclusion.changed_at) > 0 AS is_excluded
    FROM (SELECT user_id, _day, unnest(exclusions) AS exclusion FROM live_state WHERE exclusions IS NOT NULL)
    GROUP BY ALL
),
unreadable AS (
    SELECT DISTINCT user_id, _day AS day FROM live_unreadable
),
measured AS (
    SELECT
        happened.user_id,
        happened.day,
        coalesce(live_state.bets, 0)::INTEGER AS bets,
        coalesce(live_state.wins, 0)::INTEGER AS wins,
        coalesce(live_state.stake_sum, 0)::DECIMAL(18, 4) AS stake_sum,
        coalesce(live_state.settled_stake_sum - live_state.payout_sum, 0)::DECIMAL(18, 4) AS ggr,
        coalesce(live_state.deposits, 0)::INTEGER AS deposits,
        coalesce(live_state.deposit_sum, 0)::DECIMAL(18, 2) AS deposit_sum,
        coalesce(live_state.withdrawals, 0)::INTEGER AS withdrawals,
        coalesce(live_state.withdrawal_sum, 0)::DECIMAL(18, 2) AS withdrawal_sum,
        coalesce(live_state.failed_deposits, 0)::INTEGER AS declined_deposits,
        last_session.started_at AS session_started_at,
        last_session.ended_at AS session_last_bet_at,
        last_session.bets AS session_bets,
        last_session.stake_sum AS session_stake_sum,
        last_session.payout_sum - last_session.settled_stake_sum AS session_net,
        CASE WHEN last_session.started_at IS NOT NULL THEN coalesce(deposits.deposits, 0) END AS session_deposits,
        coalesce(losses.largest_loss, 0) AS largest_session_loss,
        coalesce(exclusions.is_excluded, false) AS is_excluded,
        unreadable.day IS NOT NULL AS may_be_excluded,
        happened.last_event_at,
        happened.positions
    FROM happened
    LEFT JOIN (SELECT * RENAME (_day AS day) FROM live_state) AS live_state USING (user_id, day)
    LEFT JOIN last_session USING (user_id, day)
    LEFT JOIN deposits USING (user_id, day)
    LEFT JOIN losses USING (user_id, day)
    LEFT JOIN exclusions USING (user_id, day)
    LEFT JOIN unreadable USING (user_id, day)
)
SELECT
    user_id,
    day,
    bets,
    wins,
    stake_sum,
    ggr,
    deposits,
    deposit_sum,
    withdrawals,
    withdrawal_sum,
    declined_deposits,
    session_started_at,
    session_last_bet_at,
    session_bets,
    session_stake_sum,
    session_net::DECIMAL(18, 4) AS session_net,
    session_deposits::INTEGER AS session_deposits,
    largest_session_loss::DECIMAL(18, 4) AS largest_session_loss,
    NOT (is_excluded OR may_be_excluded) AS marketing_allowed,
    list_sort(
        list_filter(
            [
                CASE WHEN session_last_bet_at - session_started_at >= to_minutes({long_session_minutes}) THEN 'long_session' END,
                CASE WHEN session_deposits >= {session_deposits} THEN 'deposits_in_session' END,
                CASE WHEN ggr > 0 AND ggr >= loss_cut_off.value THEN 'daily_loss' END,
                CASE WHEN is_excluded THEN 'self_exclusion' END,
                CASE WHEN may_be_excluded THEN 'unreadable_exclusion' END
            ],
            lambda reason: reason IS NOT NULL
        )
    ) AS rg_live_markers,
    last_event_at,
    positions
FROM measured
LEFT JOIN (VALUES {loss_cut_offs}) AS loss_cut_off(day, value) USING (day)
ORDER BY user_id, day
