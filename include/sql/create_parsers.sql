-- How text becomes a value, for every source alike. A value that cannot be read is NULL; the caller tells it from a
-- value that was never there.

CREATE OR REPLACE MACRO parse_text(value) AS
    nullif(trim(value, ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '');

-- Naive UTC. Text without a zone is UTC; casting to TIMESTAMP directly would drop an offset in silence.
CREATE OR REPLACE MACRO parse_timestamp(value) AS
    CASE
        WHEN isfinite(try_cast(value AS TIMESTAMPTZ))
            THEN make_timestamp(epoch_us(try_cast(value AS TIMESTAMPTZ)))
    END;

CREATE OR REPLACE MACRO parse_date(value) AS
    CASE WHEN isfinite(try_cast(value AS DATE)) THEN try_cast(value AS DATE) END;

CREATE OR REPLACE MACRO parse_real(value) AS
    CASE WHEN isfinite(try_cast(value AS DOUBLE)) THEN try_cast(value AS DOUBLE) END;

CREATE OR REPLACE MACRO parse_boolean(value) AS
    CASE
        WHEN lower(value) IN ('true', 't', 'yes', 'y', '1', 'sim', 's') THEN true
        WHEN lower(value) IN ('false', 'f', 'no', 'n', '0', 'nao', 'não') THEN false
    END;

CREATE OR REPLACE MACRO parse_zone(value) AS
    CASE WHEN list_contains((SELECT list(name) FROM pg_timezone_names()), value) THEN value END;

-- Instants are naive UTC; the day and hour are those of a zone's wall clock.
CREATE OR REPLACE MACRO local_time(instant, zone) AS
    timezone(zone, timezone('UTC', instant));

CREATE OR REPLACE MACRO operator_day(instant, zone, earliest) AS
    CASE WHEN instant >= earliest AND instant < TIMESTAMP '2100-01-01' THEN local_time(instant, zone)::DATE END;

-- A list of names: a JSON list, a JSON map of name to true, or text separated by , ; or |.
CREATE OR REPLACE MACRO parse_list(value) AS
    CASE
        WHEN value LIKE '[%' THEN try_cast(value AS JSON)::VARCHAR[]
        WHEN value LIKE '{%'
            -- By position: json_extract_string fails on a path made of a key with a quote or a wildcard in it.
            THEN list_filter(
                json_keys(try_cast(value AS JSON)),
                lambda name, place: json_extract_string(try_cast(value AS JSON), '$.*')[place] = 'true'
            )
        ELSE string_split_regex(value, '[,;|]')
    END;
