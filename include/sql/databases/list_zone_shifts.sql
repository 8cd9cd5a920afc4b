-- A list of the shifts of a zone's clock, as text. A clock that is changed stays so for more than a day, so one look a day
-- and one at both ends of a month show every change.
WITH months AS (
    SELECT range AS month, range << 41 AS starts, (range + 1) << 41 AS ends
    FROM range(1 + (epoch_us(TIMESTAMP '2100-01-01') >> 41))
),
shifts AS (
    SELECT month, epoch_us(timezone({zone}, make_timestamptz(instant))) - instant AS shift
    FROM (SELECT month, unnest([starts, ends - 1] || range(starts, ends, 86400000000)) AS instant FROM months)
)
SELECT list(CASE WHEN least_shift = most_shift THEN least_shift END ORDER BY month)::VARCHAR
FROM (SELECT month, min(shift) AS least_shift, max(shift) AS most_shift FROM shifts GROUP BY month)
