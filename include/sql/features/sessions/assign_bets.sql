-- Bets of some days by the recorded session that they belong to: the one that they name, if the player has it, else the
-- one that was under way, the latest begun of several. A session takes bets for 30 days, so that a day depends on few
-- others; one that a bet names may begin on the next day, since two clocks are at work. Bets of no session are left out.
WITH placed AS (
    SELECT * FROM bets WHERE _day IN ({days})
),
named AS (
    SELECT placed.*, recorded.session_id AS recorded_id, recorded.started_at
    FROM placed
    JOIN recorded
        ON recorded.user_id = placed.user_id
        AND recorded.session_id = placed.session_id
        AND recorded._day BETWEEN placed._day - 29 AND placed._day + 1
),
under_way AS (
    SELECT placed.*, recorded.session_id AS recorded_id, recorded.started_at
    FROM placed
    ANTI JOIN named ON named.bet_id = placed.bet_id AND named._day = placed._day
    JOIN recorded
        ON recorded.user_id = placed.user_id
        AND recorded.started_at <= placed.placed_at
        AND coalesce(recorded.ended_at, TIMESTAMP 'infinity') >= placed.placed_at
        AND recorded._day >= placed._day - 29
),
assigned AS (
    SELECT *
    FROM (SELECT * FROM named UNION ALL SELECT * FROM under_way)
    QUALIFY row_number() OVER (PARTITION BY bet_id, _day ORDER BY started_at DESC, recorded_id DESC) = 1
),
summed AS (
    SELECT
        user_id,
        recorded_id AS session_id,
        started_at,
        _day,
        count(*)::INTEGER AS bets,
        sum(stake)::DECIMAL(18, 4) AS stake_sum,
        coalesce(sum(stake) FILTER (payout IS NOT NULL), 0)::DECIMAL(18, 4) AS settled_stake_sum,
        coalesce(sum(payout), 0)::DECIMAL(22, 4) AS payout_sum,
        max(struct_pack(placed_at, bet_id, stake, balance_after)) AS last_bet
    FROM assigned
    GROUP BY ALL
)
SELECT
    user_id,
    session_id,
    started_at,
    bets,
    stake_sum,
    settled_stake_sum,
    payout_sum,
    last_bet.placed_at AS placed_at,
    last_bet.bet_id AS bet_id,
    last_bet.stake AS last_stake,
    last_bet.balance_after AS last_balance,
    _day
FROM summed
ORDER BY _day, user_id, started_at, session_id
