-- When a player plays, on the player's own clock: the operator's hours of each day, shifted by whole hours.
WITH by_operator_weekday AS (
    SELECT
        user_id,
        isodow(_day) - 1 AS weekday,
        [
            sum(hour_00), sum(hour_01), sum(hour_02), sum(hour_03), sum(hour_04), sum(hour_05),
            sum(hour_06), sum(hour_07), sum(hour_08), sum(hour_09), sum(hour_10), sum(hour_11),
            sum(hour_12), sum(hour_13), sum(hour_14), sum(hour_15), sum(hour_16), sum(hour_17),
            sum(hour_18), sum(hour_19), sum(hour_20), sum(hour_21), sum(hour_22), sum(hour_23)
        ] AS bets_by_hour
    FROM recent_state
    WHERE age < 90 AND bets > 0
    GROUP BY user_id, isodow(_day)
),
by_operator_hour AS (
    SELECT user_id, weekday, unnest(range(24)) AS hour, unnest(bets_by_hour) AS bets
    FROM by_operator_weekday
),
by_hour AS (
    SELECT
        user_id,
        (weekday + floor((hour + hour_shift) / 24)::INTEGER + 7) % 7 AS weekday,
        (hour + hour_shift + 48) % 24 AS hour,
        bets
    FROM by_operator_hour
    JOIN users USING (user_id)
    WHERE bets > 0
),
-- The clock's face as a circle. DECIMAL, so that opposite hours cancel exactly.
directions AS (
    SELECT
        hour,
        round(cos(hour * pi() / 12), 12)::DECIMAL(13, 12) AS east,
        round(sin(hour * pi() / 12), 12)::DECIMAL(13, 12) AS north
    FROM range(24) AS hours(hour)
),
counts AS (
    SELECT
        user_id,
        sum(bets) AS bets,
        sum(bets * east)::DOUBLE AS east,
        sum(bets * north)::DOUBLE AS north,
        coalesce(sum(bets) FILTER (hour < 6), 0) AS night_bets,
        coalesce(sum(bets) FILTER (weekday >= 5), 0) AS weekend_bets,
        [
            coalesce(sum(bets) FILTER (weekday = 0), 0),
            coalesce(sum(bets) FILTER (weekday = 1), 0),
            coalesce(sum(bets) FILTER (weekday = 2), 0),
            coalesce(sum(bets) FILTER (weekday = 3), 0),
            coalesce(sum(bets) FILTER (weekday = 4), 0),
            coalesce(sum(bets) FILTER (weekday = 5), 0),
            coalesce(sum(bets) FILTER (weekday = 6), 0)
        ] AS bets_by_weekday,
        [
            coalesce(sum(bets) FILTER (hour < 6), 0),
            coalesce(sum(bets) FILTER (hour BETWEEN 6 AND 11), 0),
            coalesce(sum(bets) FILTER (hour BETWEEN 12 AND 17), 0),
            coalesce(sum(bets) FILTER (hour >= 18), 0)
        ] AS bets_by_slot
    FROM by_hour
    JOIN directions USING (hour)
    GROUP BY user_id
),
ranked AS (
    SELECT
        *,
        list_sort(
            list_transform(
                list_filter(range(7), lambda day: bets_by_weekday[day + 1] > 0),
                lambda day: {'rank': -bets_by_weekday[day + 1], 'day': day}
            )
        )[:3] AS busiest
    FROM counts
)
SELECT
    user_id,
    array_to_string(list_sort(list_transform(busiest, lambda entry: entry.day)), ',') AS dias_semana_preferidos,
    ['madrugada', 'manha', 'tarde', 'noite'][list_position(bets_by_slot, list_max(bets_by_slot))] AS horarios_atividade,
    real6(sqrt(east * east + north * north) / bets) AS hour_concentration,
    -- If the hours cancel out, there is no mean hour.
    CASE
        WHEN hour_concentration > 0 THEN real6((degrees(atan2(north, east)) / 15 + 24) % 24)
    END AS preferred_hour,
    real6(weekend_bets / bets) AS weekend_activity_ratio,
    real6(night_bets / bets) AS night_activity_ratio,
    normalised_entropy(bets_by_weekday, 7) AS weekday_entropy,
    normalised_entropy(bets_by_slot, 4) AS slot_entropy
FROM ranked
