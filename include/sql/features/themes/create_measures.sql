-- Measures that several themes share. Arguments are integers or DECIMAL, so that no result depends on the order of
-- rows.

-- A real feature has six decimals and no negative zero.
CREATE OR REPLACE MACRO real6(value) AS round(value::DOUBLE, 6) + 0.0;

-- Money as a whole number of ten-thousandths.
CREATE OR REPLACE MACRO money_units(value) AS (value::DECIMAL(29, 4) * 10000)::HUGEINT;

-- A sum of squared money as a whole number of hundred-millionths.
CREATE OR REPLACE MACRO square_units(value) AS (value::DECIMAL(29, 8) * 100000000)::HUGEINT;

-- Money units, which are not negative, divided by a count. Half a cent is rounded up.
CREATE OR REPLACE MACRO money_per(units, n) AS
    (((2 * units + 100 * n) // (200 * n))::DECIMAL(19, 2) * 0.01)::DECIMAL(14, 2);

-- Twice the median of an ascending list of integers, which is an integer too.
CREATE OR REPLACE MACRO twice_median(ascending) AS
    ascending[(len(ascending) + 1) // 2] + ascending[len(ascending) // 2 + 1];

-- Twenty times a percentile in steps of 5, by linear interpolation at p (n - 1), of an ascending list of integers.
CREATE OR REPLACE MACRO twenty_percentiles(ascending, percent) AS
    ascending[percent // 5 * (len(ascending) - 1) // 20 + 1] * (20 - percent // 5 * (len(ascending) - 1) % 20)
    + coalesce(ascending[percent // 5 * (len(ascending) - 1) // 20 + 2], 0) * (percent // 5 * (len(ascending) - 1) % 20);

-- Shannon entropy of counts, divided by the entropy of `kinds` equal counts: 0 if there is one kind, 1 if all counts
-- are equal, NULL without counts.
CREATE OR REPLACE MACRO normalised_entropy(counts, kinds) AS
    CASE
        WHEN list_sum(counts) > 0
            THEN list_sum(
                list_transform(
                    list_filter(counts, lambda n: n > 0),
                    lambda n: n / list_sum(counts) * ln(list_sum(counts) / n)
                )
            ) / ln(kinds)
    END;

-- Burstiness of n gaps with sum s and sum of squares q, for finite n: -1 regular, 0 Poisson, 1 bursts (Kim and Jo,
-- Physical Review E 94, 032311, 2016).
CREATE OR REPLACE MACRO finite_burstiness(n, s, q) AS
    (sqrt(n + 1) * sqrt(n * q - s * s) / s - sqrt(n - 1))
    / ((sqrt(n + 1) - 2) * sqrt(n * q - s * s) / s + sqrt(n - 1));

-- How often something happens, from the ages (0 to 89, ascending) of the days on which it happened.
CREATE OR REPLACE MACRO cadence(ages) AS
    CASE
        WHEN len(coalesce(ages, [])) = 0 THEN 'nenhum'
        WHEN len(ages) = 1 THEN 'esporadico'
        WHEN twice_median_gap(ages) <= 4 THEN 'diario'
        WHEN twice_median_gap(ages) <= 20 THEN 'semanal'
        WHEN twice_median_gap(ages) <= 62 THEN 'mensal'
        ELSE 'esporadico'
    END;

CREATE OR REPLACE MACRO twice_median_gap(ages) AS
    twice_median(list_sort(list_transform(ages[2:], lambda age, place: age - ages[place])));

-- The quarter, 1 (worst) to 4, of a user when `worse` of n users are strictly worse. Equal users share a score.
CREATE OR REPLACE MACRO quarter(worse, n) AS least(4, 1 + (4 * worse) // n)::SMALLINT;

-- The score of a value, from the least values with score 2, 3 and 4 or more. Nobody has a score that has no such value.
CREATE OR REPLACE MACRO score_of(value, starts) AS
    (1 + len(list_filter(starts, lambda least: value >= least)))::SMALLINT;
