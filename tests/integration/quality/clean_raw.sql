-- A day of every source, four hundred rows each of two hundred players, as a healthy operator delivers it; `_row` numbers
-- the rows. `captured` is what the manifests counted by day, `texts` the bytes that were read and set aside, `changed` an earlier day of bets that came once more,
-- `earlier_...` the day before.
CREATE OR REPLACE MACRO luck(n, what) AS ((hash(n, what) % 1000003) / 1000003.0)::DOUBLE;
CREATE OR REPLACE MACRO tail(n, what, usual) AS exp(ln(usual) + 1.8 * (luck(n, what) + luck(n, what || '2') + luck(n, what || '3') - 1.5));
CREATE OR REPLACE TABLE moments AS
SELECT
    i::BIGINT AS _row,
    'u' || (i % 200) AS user_id,
    TIMESTAMP '2026-11-21 03:00:00' + to_seconds(i * 215) AS happened,
    NULL::VARCHAR AS _fault,
    NULL::VARCHAR[] AS _discarded,
    NULL::VARCHAR[] AS _protection,
    DATE '2026-11-21' AS _day
FROM range(400) _(i);
CREATE OR REPLACE TABLE bets AS
SELECT
    'b' || _row AS bet_id, user_id, happened AS placed_at,
    ['crash', 'cassino', 'esportes', 'poker', 'slots'][1 + (luck(_row, 'game') * 5)::INTEGER % 5] AS game_type,
    tail(_row, 'stake', 15)::DECIMAL(18, 4) AS stake,
    if(luck(_row, 'won') > 0.6, tail(_row, 'payout', 30), 0)::DECIMAL(18, 4) AS payout,
    's' || (_row // 4) AS session_id, 'g' || (_row % 7) AS game_id, 'mobile' AS device_type,
    (0.9 + 0.08 * luck(_row, 'rtp'))::DOUBLE AS rtp, luck(_row, 'bonus') < 0.1 AS is_bonus,
    tail(_row, 'balance', 100)::DECIMAL(18, 4) AS balance_after, happened + INTERVAL 5 SECOND AS ingested_at,
    _fault, _discarded, _protection, 'raw/bets/part.csv' AS _source_key, _row, _day
FROM moments;
CREATE OR REPLACE TABLE earlier_bets AS SELECT * REPLACE ('e' || bet_id AS bet_id, DATE '2026-11-20' AS _day) FROM bets;
CREATE OR REPLACE TABLE changed AS SELECT * REPLACE (DATE '2026-11-18' AS _day) FROM bets;
CREATE OR REPLACE TABLE transactions AS
SELECT
    't' || _row AS transaction_id, user_id, greatest(1, tail(_row, 'amount', 80))::DECIMAL(12, 2) AS amount,
    ['deposit', 'withdrawal', 'bet', 'win'][1 + (luck(_row, 'type') * 4)::INTEGER % 4] AS transaction_type,
    if(luck(_row, 'status') < 0.9, 'completed', 'failed') AS status, happened AS created_at,
    _fault, _discarded, _protection, '2026-11-21' AS _source_key, _row, _day
FROM moments;
CREATE OR REPLACE TABLE earlier_transactions AS
SELECT * REPLACE ('e' || transaction_id AS transaction_id, DATE '2026-11-20' AS _day) FROM transactions;
CREATE OR REPLACE TABLE sessions AS
SELECT
    's' || _row AS session_id, user_id, happened AS started_at, happened + INTERVAL 20 MINUTE AS ended_at, 'mobile' AS device_type,
    happened + INTERVAL 5 SECOND AS ingested_at, _fault, _discarded, _protection, 'raw/sessions/part.csv' AS _source_key, _row, _day
FROM moments;
CREATE OR REPLACE TABLE communications AS
SELECT
    'm' || _row AS message_id, user_id,
    ['email', 'sms', 'push'][1 + (luck(_row, 'channel') * 3)::INTEGER % 3] AS channel, happened AS sent_at,
    happened + INTERVAL 1 HOUR AS opened_at, NULL::TIMESTAMP AS clicked_at, happened + INTERVAL 5 SECOND AS ingested_at,
    _fault, _discarded, _protection, 'raw/communications/part.csv' AS _source_key, _row, _day
FROM moments;
CREATE OR REPLACE TABLE limits AS
SELECT
    user_id, happened AS changed_at, ['deposit', 'loss', 'stake'][1 + (luck(_row, 'kind') * 3)::INTEGER % 3] AS kind,
    NULL::DECIMAL(18, 4) AS old_value, tail(_row, 'limit', 200)::DECIMAL(18, 4) AS new_value,
    _fault, _discarded, _protection, 'raw/limits/part.csv' AS _source_key, _row, _day
FROM moments;
CREATE OR REPLACE TABLE players AS
SELECT
    'u' || i AS user_id, TIMESTAMP '2025-01-01' + to_days(i::INTEGER) AS registered_at,
    DATE '1970-01-01' + (luck(i, 'born') * 10000)::INTEGER AS birth_date, 'America/Sao_Paulo' AS timezone,
    ['email', 'sms'] AS consents, luck(i, 'test') < 0.05 AS is_test, luck(i, 'blocked') < 0.05 AS is_blocked,
    NULL::TIMESTAMP AS self_excluded_until, luck(i, 'barred') < 0.05 AS prohibited,
    NULL::VARCHAR AS _fault, NULL::VARCHAR[] AS _discarded,
    NULL::VARCHAR[] AS _protection, 'raw/players/dt=2026-11-21/part.csv' AS _source_key, i AS _row, DATE '2026-11-21' AS _day
FROM range(200) _(i);
CREATE OR REPLACE TABLE files AS
SELECT 'bets' AS source, 'raw/bets/part' || i || '.csv' AS chunk, NULL::VARCHAR AS why FROM range(20) _(i);
CREATE OR REPLACE TABLE passed_over AS SELECT 'bets' AS source, 1 AS counted;
CREATE OR REPLACE TABLE captured AS
SELECT source, DATE '2026-11-21' - d::INTEGER AS day, 400 AS counted
FROM (SELECT unnest(['bets', 'transactions', 'sessions', 'communications', 'limits']) AS source), range(60) _(d);
CREATE OR REPLACE TABLE texts AS
SELECT 'bets' AS source, 100000 AS size, 4000 AS set_aside;
CREATE OR REPLACE TABLE snapshots AS SELECT 'players' AS source, 0 AS age
