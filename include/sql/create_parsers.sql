-- How text becomes a value, for every source alike. A value that cannot be read is NULL; the caller tells it from a
-- value that was never there.

-- Trimmed only where there is something to trim: looking costs a tenth of it.
CREATE OR REPLACE MACRO parse_text(value) AS
    CASE
        WHEN unicode(value) > 32
            AND unicode(value) <> 160
            AND NOT (
                suffix(value, ' ')
                OR suffix(value, chr(9))
                OR suffix(value, chr(10))
                OR suffix(value, chr(13))
                OR suffix(value, chr(160))
            )
            THEN value
        ELSE nullif(trim(value, ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '')
    END;

-- Naive UTC. Text without a zone is UTC; casting to TIMESTAMP directly would drop an offset in silence. TRY is for the
-- last hours that the engine can hold, of the year 294247, at which try_cast itself fails.
CREATE OR REPLACE MACRO parse_timestamp(value) AS
    CASE
        WHEN isfinite(TRY(try_cast(value AS TIMESTAMPTZ)))
            THEN make_timestamp(epoch_us(TRY(try_cast(value AS TIMESTAMPTZ))))
    END;

-- By a strptime format: %z and %Z give the zone. Of these three words strptime makes a day in 1900.
CREATE OR REPLACE MACRO parse_format(value, format) AS
    CASE
        WHEN lower(value) NOT IN ('epoch', 'infinity', '-infinity')
            THEN make_timestamp(epoch_us(try_strptime(value, format)))
    END;

-- The first DECIMAL has room for any year, the second for microseconds.
CREATE OR REPLACE MACRO parse_epoch_s(value) AS
    make_timestamp((try_cast(value AS DECIMAL(18, 6))::DECIMAL(24, 6) * 1000000)::BIGINT);

CREATE OR REPLACE MACRO parse_epoch_ms(value) AS
    make_timestamp((try_cast(value AS DECIMAL(18, 3))::DECIMAL(24, 3) * 1000)::BIGINT);

CREATE OR REPLACE MACRO finite(value) AS
    CASE WHEN isfinite(value) THEN value END;

CREATE OR REPLACE MACRO parse_date(value) AS
    finite(try_cast(value AS DATE));

-- A number as people write it, in the spelling that a cast reads: without a currency's sign or code on either side, and
-- without commas or (no-break) spaces between thousands, which stand in groups of three or make it unreadable.
CREATE OR REPLACE MACRO plain_number(value) AS
    CASE
        WHEN regexp_full_match(
            value,
            '[-+]? ?([A-Z]{3}|[A-Z]{0,2}\p{Sc})?[ \x{a0}\x{202f}]?[-+]?'
            || '([0-9]+|[1-9][0-9]{0,2}(,[0-9]{3})+|[1-9][0-9]{0,2}([ \x{a0}\x{202f}][0-9]{3})+)([.][0-9]+)?'
            || '[ \x{a0}\x{202f}]?([A-Z]{3}|[A-Z]{0,2}\p{Sc})?'
        )
            THEN regexp_replace(value, '[^-+.0-9]', '', 'g')
    END;

-- The same number with point for comma and comma for point.
CREATE OR REPLACE MACRO swap_marks(value) AS
    CASE WHEN contains(value, '.') THEN translate(value, '.,', ',.') ELSE replace(value, ',', '.') END;

CREATE OR REPLACE MACRO parse_boolean(value) AS
    CASE
        WHEN lower(value) IN ('true', 't', 'yes', 'y', '1', 'sim', 's') THEN true
        WHEN lower(value) IN ('false', 'f', 'no', 'n', '0', 'nao', 'não') THEN false
    END;

CREATE OR REPLACE MACRO parse_zone(value) AS
    CASE WHEN list_contains((SELECT list(name) FROM pg_timezone_names()), value) THEN value END;

-- Instants are naive UTC; the day and hour are those of a zone's wall clock.
CREATE OR REPLACE MACRO local_time(instant, zone) AS
    timezone(zone, make_timestamptz(epoch_us(instant)));

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
