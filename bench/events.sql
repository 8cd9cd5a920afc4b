-- Events of an invented operator. The rows are always the same, since every choice is a hash of the row's number. A few
-- players place most bets, bets come in visits, and some rows are dirty. Days are operator days, counted from `first_day`.
-- Instants are naive UTC.

CREATE OR REPLACE TEMPORARY MACRO first_day() AS DATE '2025-09-01';

CREATE OR REPLACE TEMPORARY MACRO midnight(day) AS
    timezone('UTC', timezone('America/Sao_Paulo', (first_day() + day::INTEGER)::TIMESTAMP));

-- A number in [0, 1) for a row and a purpose. It is hashed twice, since the combined hashes of one row resemble each other.
CREATE OR REPLACE TEMPORARY MACRO draw(day, number, purpose) AS
    hash(hash(day, number, purpose)) / 18446744073709551616.0;

CREATE OR REPLACE TEMPORARY MACRO choose(choices, drawn) AS choices[1 + floor(drawn * len(choices))::INTEGER];

-- The busiest hundredth of the players make a fifth of the visits, and every player plays only on a part of the days.
CREATE OR REPLACE TEMPORARY MACRO popular(players, drawn) AS floor(players * pow(drawn, 3))::BIGINT;
CREATE OR REPLACE TEMPORARY MACRO plays_on(day, days, player) AS
    day >= days * pow(draw(0, player, 'first'), 3) AND day <= days * (0.4 + draw(0, player, 'last'));

CREATE OR REPLACE TEMPORARY MACRO visits_of_day(day, visits, players, days) AS TABLE
    SELECT
        visit,
        CASE WHEN plays_on(day, days, first_choice) OR NOT plays_on(day, days, second_choice)
            THEN first_choice ELSE second_choice END AS player,
        86400 * pow(draw(day, visit, 'start'), 0.6) AS start_second,
        choose(['ios', 'android', 'android', 'desktop'], draw(day, visit, 'device')) AS device_type
    FROM (
        SELECT
            range AS visit,
            popular(players, draw(day, range, 'player')) AS first_choice,
            popular(players, draw(day, range, 'another player')) AS second_choice
        FROM range(visits)
    );

CREATE OR REPLACE TEMPORARY MACRO user_of(player) AS 'u' || lpad(player::VARCHAR, 8, '0');

-- About one row in two hundred is a bet that is delivered once more, and half of these have a corrected payout.
CREATE OR REPLACE TEMPORARY MACRO bets_of_day(day, bets, players, days) AS TABLE
    WITH numbered AS (
        SELECT
            range AS number,
            range - (draw(day, range, 'again') < 0.005 AND range > 0)::INTEGER AS event,
            CASE WHEN draw(day, range, 'correction') < 0.5 THEN range ELSE event END AS version
        FROM range(bets)
    ),
    placed AS (
        SELECT
            *,
            floor(greatest(1, bets // 16) * draw(day, event, 'visit'))::BIGINT AS visit,
            draw(day, event, 'dirt') AS dirt,
            choose([1, 2, 2, 5, 5, 10, 10, 20, 50, 100], draw(day, event, 'stake'))
                + CASE WHEN draw(day, event, 'cents') < 0.2 THEN floor(10000 * draw(day, event, 'cent')) / 10000 ELSE 0 END
                AS staked
        FROM numbered
    ),
    timed AS (
        SELECT
            *,
            midnight(day) + to_milliseconds((1000 * (start_second + 2400 * draw(day, event, 'offset')))::BIGINT)
                AS instant
        FROM placed
        JOIN visits_of_day(day, greatest(1, bets // 16), players, days) USING (visit)
    )
    SELECT
        'b' || day || '-' || event AS bet_id,
        CASE
            WHEN dirt < 0.0002 THEN NULL
            WHEN dirt < 0.0012 THEN ' ' || user_of(player) || ' '
            ELSE user_of(player)
        END AS user_id,
        instant AS placed_at,
        CASE
            WHEN dirt > 0.9995 THEN 'bingo'
            ELSE choose(
                [
                    'slots', 'slots', 'slots', 'Slot', ' slots ', 'caça-níquel', 'crash', 'crash', 'Aviator', 'AVIATOR',
                    'cassino', 'Casino', 'live casino', 'Roleta', 'blackjack', 'esportes', 'Sports', 'sportsbook',
                    'poker', 'Pôquer'
                ],
                pow(draw(day, event, 'game'), 1 + (hash(player) % 3)::INTEGER)
            )
        END AS game_type,
        (CASE WHEN dirt BETWEEN 0.5 AND 0.5003 THEN -1 ELSE 1 END * staked)::DECIMAL(18, 4) AS stake,
        CASE
            WHEN draw(day, version, 'result') < 0.03 THEN NULL
            WHEN draw(day, version, 'result') < 0.55 THEN 0
            ELSE staked * 2 * draw(day, version, 'multiple')
        END::DECIMAL(18, 4) AS payout,
        's' || day || '-' || visit AS session_id,
        'g' || floor(200 * pow(draw(day, event, 'title'), 2))::INTEGER AS game_id,
        CASE WHEN draw(day, event, 'untold') < 0.02 THEN NULL ELSE device_type END AS device_type,
        CASE WHEN draw(day, event, 'rtp') < 0.8 THEN (90 + floor(9 * draw(day, event, 'rtp'))) / 100 END AS rtp,
        draw(day, event, 'bonus') < 0.08 AS is_bonus,
        (1000 * draw(day, event, 'balance'))::DECIMAL(18, 4) AS balance_after,
        instant + to_seconds((1800 * (draw(day, version, 'lag') + (version <> event)::INTEGER))::BIGINT) AS ingested_at
    FROM timed
    ORDER BY instant;

-- Payments are made during visits, the same as those of the day's bets.
CREATE OR REPLACE TEMPORARY MACRO transactions_of_day(day, transactions, bets, players, days) AS TABLE
    WITH paid AS (
        SELECT
            range AS number,
            floor(greatest(1, bets // 16) * draw(day, range, 'paying visit'))::BIGINT AS visit,
            draw(day, range, 'paid') AS amount_drawn,
            draw(day, range, 'type') AS type_drawn,
            draw(day, range, 'status') AS status_drawn
        FROM range(transactions)
    )
    SELECT
        (printf('%016x', hash(day, number, 'id')) || printf('%016x', hash(day, number, 'rest of id')))::UUID
            AS transaction_id,
        user_of(player) AS user_id,
        (
            choose([10, 20, 20, 30, 50, 50, 100, 100, 200, 500, 1000], amount_drawn)
            + CASE WHEN draw(day, number, 'cents') < 0.3 THEN floor(100 * draw(day, number, 'cent')) / 100 ELSE 0 END
        )::DECIMAL(10, 2) AS amount,
        choose(
            [
                'deposit', 'deposit', 'deposit', 'Deposit', 'deposit', 'deposit', 'deposit', 'deposit', 'withdrawal',
                'withdrawal', 'WITHDRAWAL', 'bet', 'bet', 'bet', 'bet', 'win', 'win', 'bonus', 'bonus', 'refund'
            ],
            type_drawn
        ) AS transaction_type,
        CASE
            WHEN status_drawn > 0.9995 THEN 'chargeback'
            ELSE choose(
                [
                    'completed', 'completed', 'completed', 'completed', 'Completed', ' completed ', 'success', 'approved',
                    'confirmed', 'pending', 'failed', 'cancelled'
                ],
                status_drawn
            )
        END AS status,
        midnight(day) + to_milliseconds((1000 * (start_second + 2400 * draw(day, number, 'offset')))::BIGINT) AS created_at
    FROM paid
    JOIN visits_of_day(day, greatest(1, bets // 16), players, days) USING (visit)
    ORDER BY created_at;

-- The operator's list of players. It lacks some who play, and has some who do not play or registered after the last day.
CREATE OR REPLACE TEMPORARY MACRO listed_players(players, days) AS TABLE
    SELECT
        user_of(range) AS user_id,
        CASE
            WHEN draw(0, range, 'unregistered') >= 0.05
                THEN midnight(0) + to_seconds((86400 * (1.02 * days * draw(0, range, 'registered') - 30))::BIGINT)
        END AS registered_at,
        choose(
            [
                'America/Sao_Paulo', 'America/Sao_Paulo', 'America/Sao_Paulo', 'America/Sao_Paulo', 'America/Manaus',
                'America/Noronha', 'America/Rio_Branco', 'Europe/Lisbon', 'Asia/Kolkata', 'Mars/Phobos', NULL
            ],
            draw(0, range, 'zone')
        ) AS timezone,
        DATE '2008-06-01' - (floor(20000 * pow(draw(0, range, 'birth'), 2)))::INTEGER AS birth_date,
        choose(
            ['email', 'email;sms', 'whatsapp|zap|e-mail', 'push,sms,phone', 'telegram', 'none', NULL],
            draw(0, range, 'consents')
        ) AS consents,
        draw(0, range, 'test') < 0.002 AS is_test,
        draw(0, range, 'blocked') < 0.01 AS is_blocked,
        CASE
            WHEN draw(0, range, 'excluded') < 0.02
                THEN midnight(0) + to_seconds((86400 * 2 * days * draw(0, range, 'until'))::BIGINT)
        END AS self_excluded_until,
        CASE WHEN draw(0, range, 'ban told') < 0.9 THEN draw(0, range, 'banned') < 0.001 END AS prohibited
    FROM range((players * 1.02)::BIGINT)
    WHERE draw(0, range, 'listed') < 0.9;
