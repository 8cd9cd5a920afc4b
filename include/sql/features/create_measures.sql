-- Measures that several themes share. Arguments are integers or DECIMAL, so that no result depends on the order of rows.

-- A real feature: six decimals, and no negative zero.
CREATE OR REPLACE MACRO real6(value) AS round(value::DOUBLE, 6) + 0.0;

-- Money as a whole number of ten-thousandths.
CREATE OR REPLACE MACRO money_units(value) AS (value::DECIMAL(29, 4) * 10000)::HUGEINT;

-- A sum of squared money as a whole number of hundred-millionths.
CREATE OR REPLACE MACRO square_units(value) AS (value::DECIMAL(29, 8) * 100000000)::HUGEINT;

-- Shannon entropy of counts over the entropy of `kinds` equal ones: 0 for one kind, 1 for all alike; NULL for no count.
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
CREATE OR REPLACE MACRO burstiness(n, s, q) AS
    (sqrt(n + 1) * sqrt(n * q - s * s) / s - sqrt(n - 1))
    / ((sqrt(n + 1) - 2) * sqrt(n * q - s * s) / s + sqrt(n - 1));

-- Quarter 1 (worst) to 4 of a user with `worse` users strictly worse among n: ties always share a score.
CREATE OR REPLACE MACRO quarter(worse, n) AS least(4, 1 + (4 * worse) // n)::SMALLINT;
