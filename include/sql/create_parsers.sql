-- How text becomes a value, for every source alike. A value that cannot be read is NULL; the caller tells it from a
-- value that was never there.

-- Without Unicode's white space around it. Nearly every text is ASCII with a letter at both ends, which is soon seen.
CREATE OR REPLACE MACRO parse_text(value) AS
    CASE
        WHEN strlen(value) = length(value)
            AND unicode(value) > 32
            AND NOT (
                suffix(value, ' ')
                OR suffix(value, chr(9))
                OR suffix(value, chr(10))
                OR suffix(value, chr(11))
                OR suffix(value, chr(12))
                OR suffix(value, chr(13))
            )
            THEN value
        ELSE nullif(regexp_replace(value, '^[\s\v\x{85}\p{Z}]+|[\s\v\x{85}\p{Z}]+$', '', 'g'), '')
    END;

-- Letters that look alike and are spelled by other code points (é as one or as two) are one id.
CREATE OR REPLACE MACRO normal_id(value) AS
    CASE WHEN strlen(value) = length(value) THEN value ELSE nfc_normalize(value) END;

-- An instant without a zone, or with an offset of less than 18 hours: the spellings of nearly all software.
CREATE OR REPLACE MACRO is_usual_instant(value) AS
    regexp_full_match(
        value,
        '[0-9]{4,6}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([-+](0[0-9]|1[0-7])(:?[0-5][0-9])?)?)?'
    );

-- Of +HH, +HHMM or +HHMMSS, without the sign.
CREATE OR REPLACE MACRO shift_seconds(shift) AS
    shift[2:3]::INTEGER * 3600
    + coalesce(try_cast(shift[4:5] AS INTEGER), 0) * 60
    + coalesce(try_cast(shift[6:7] AS INTEGER), 0);

-- An abbreviation such as BST or IST means different zones to different people, so only names with a slash are read.
CREATE OR REPLACE MACRO names_zone(zone) AS
    contains(zone, '/') OR upper(zone) IN ('UTC', 'GMT');

-- An offset of more than 18 hours is none: java.time has that bound, and no zone has come near it.
CREATE OR REPLACE MACRO is_shift(shift) AS
    shift[4:5] <= '59' AND shift[6:7] <= '59' AND shift_seconds(shift) <= 18 * 3600;

-- strptime knows the names of zones, and every text that it is given here has one.
CREATE OR REPLACE MACRO apply_zone(clock, shift, zone) AS
    CASE
        WHEN zone <> '' AND NOT names_zone(zone) THEN NULL
        WHEN zone <> ''
            THEN make_timestamp(
                epoch_us(
                    try_strptime(
                        strftime(clock, '%Y-%m-%d %H:%M:%S.%f ') || zone, '%Y-%m-%d %H:%M:%S.%f %Z'
                    )
                )
            )
        WHEN shift IN ('', 'Z', 'z') THEN clock
        WHEN NOT is_shift(shift) THEN NULL
        WHEN prefix(shift, '-') THEN TRY(clock + to_seconds(shift_seconds(shift)))
        ELSE TRY(clock - to_seconds(shift_seconds(shift)))
    END;

-- The instant of those parts, the clock's and the zone's joined first: each of them is looked at several times.
CREATE OR REPLACE MACRO join_instant(part) AS
    list_transform(
        [
            {
                'clock': try_cast(
                    concat(
                        part.year, part.basic_year, '-', part.month, part.basic_month, '-', part.day, part.basic_day, ' ',
                        coalesce(nullif(part.hour || part.basic_hour, ''), '00'), ':',
                        coalesce(nullif(part.minute || part.basic_minute, ''), '00'), ':',
                        coalesce(nullif(part.second || part.basic_second, ''), '00'), '.',
                        part.fraction, part.basic_fraction
                    ) AS TIMESTAMP
                ),
                'shift': replace(part.shift, ':', ''),
                'zone': part.zone || part.zone_word
            }
        ],
        lambda joined: apply_zone(joined.clock, joined.shift, joined.zone)
    )[1];

-- Empty where the text is no instant. A date has dashes, slashes or nothing between its parts, a clock colons or nothing.
-- A fraction is one of seconds: ISO 8601 also has fractions of hours and minutes, which no software writes. It allows
-- the minus sign of typography.
CREATE OR REPLACE MACRO instant_parts(value) AS
    regexp_extract(
        replace(value, chr(8722), '-'),
        '^(?:([0-9]{4,6})[-/]([0-9]{1,2})[-/]([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2}))'
        || '(?:(?:[Tt]| +)(?:([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:[.,]([0-9]*))?)?)?'
        || '|([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[.,]([0-9]*))?)?))?'
        || '(?: *([Zz]|[-+][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)(?:[[]!?[-+/_=A-Za-z0-9]+[]])*'
        || '| *[[]!?([A-Za-z][-+/_A-Za-z0-9]*)[]]| +([A-Za-z][-+/_A-Za-z0-9]*))?$',
        [
            'year', 'month', 'day', 'basic_year', 'basic_month', 'basic_day',
            'hour', 'minute', 'second', 'fraction',
            'basic_hour', 'basic_minute', 'basic_second', 'basic_fraction',
            'shift', 'zone', 'zone_word'
        ]
    );

-- All other spellings of ISO 8601 and RFC 9557: without seconds or separators, with a comma before the fraction, t and z
-- in lower case, a space before the offset, a zone by its name. Reading one costs twenty times as much. A NULL has no
-- list, so that it costs nothing.
CREATE OR REPLACE MACRO parse_iso(value) AS
    list_transform(CASE WHEN value IS NOT NULL THEN [instant_parts(value)] END, lambda part: join_instant(part))[1];

-- A cast to TIMESTAMP reads a Z and passes over an offset. A text without a plus or a third dash has none. LIKE takes a
-- third of the time of a pattern.
CREATE OR REPLACE MACRO names_no_offset(value) AS
    value LIKE '____-__-_____:__:__%' AND NOT (contains(value, '+') OR value LIKE '%-%-%-%');

-- The spellings of nearly all software; NULL for any other.
CREATE OR REPLACE MACRO plain_timestamp(value) AS
    CASE
        WHEN names_no_offset(value) THEN try_cast(value AS TIMESTAMP)
        -- An offset of nothing does no harm.
        WHEN (suffix(value, '+00') OR suffix(value, '+00:00')) AND value LIKE '____-__-_____:%'
            THEN try_cast(value AS TIMESTAMP)
        WHEN is_usual_instant(value)
            THEN make_timestamp(
                epoch_us(TRY(try_cast(CASE WHEN is_usual_instant(value) THEN value END AS TIMESTAMPTZ)))
            )
    END;

-- Naive UTC. Text without a zone is UTC. A cast keeps the zone that a text names for the texts after it, so no text with
-- a letter other than T and Z is ever cast to TIMESTAMPTZ. TRY is for the last hours that the engine can hold, of the
-- year 294247, at which try_cast itself fails.
CREATE OR REPLACE MACRO parse_timestamp(value) AS
    coalesce(plain_timestamp(value), parse_iso(value));

-- By a strptime format: %z and %Z give the zone. Of these three words strptime makes a day in 1900.
CREATE OR REPLACE MACRO parse_format(value, format) AS
    CASE
        WHEN lower(value) NOT IN ('epoch', 'infinity', '-infinity')
            THEN make_timestamp(epoch_us(try_strptime(value, format)))
    END;

-- The same, where %z is a part of the format: strptime reads any offset. The pattern finds it in the text.
CREATE OR REPLACE MACRO parse_shifted_format(value, format, pattern) AS
    CASE
        WHEN coalesce(is_shift(nullif(replace(regexp_extract(value, pattern, 1), ':', ''), '')), true)
            THEN parse_format(value, format)
    END;

-- The same, where %Z is a part of the format: strptime reads BST as the time of Bangladesh, and other abbreviations too.
CREATE OR REPLACE MACRO parse_zoned_format(value, format, pattern) AS
    CASE WHEN names_zone(regexp_extract(value, pattern, 1)) THEN parse_format(value, format) END;

-- For ever, as PostgreSQL and other software spell it.
CREATE OR REPLACE MACRO end_of_time(value) AS
    CASE WHEN lower(ltrim(value, '+')) IN ('infinity', 'inf') THEN TIMESTAMP '9999-12-31 23:59:59' END;

-- The first DECIMAL has room for any year, the second for microseconds.
CREATE OR REPLACE MACRO parse_epoch_s(value) AS
    make_timestamp((try_cast(value AS DECIMAL(18, 6))::DECIMAL(24, 6) * 1000000)::BIGINT);

CREATE OR REPLACE MACRO parse_epoch_ms(value) AS
    make_timestamp((try_cast(value AS DECIMAL(18, 3))::DECIMAL(24, 3) * 1000)::BIGINT);

CREATE OR REPLACE MACRO finite(value) AS
    CASE WHEN isfinite(value) THEN value END;

-- A day or an instant that a text could spell: no year before Christ, and none beyond those of an instant.
CREATE OR REPLACE MACRO in_our_era(value) AS
    CASE WHEN isfinite(value) AND year(value) BETWEEN 1 AND 294247 THEN value END;

-- The day that an instant names, whatever its clock and zone. A cast alone would pass over anything after the day.
CREATE OR REPLACE MACRO parse_date(value) AS
    CASE
        WHEN regexp_full_match(value, '[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00:00)?') THEN try_cast(value AS DATE)
        WHEN parse_iso(value) IS NOT NULL
            THEN list_transform(
                [instant_parts(value)],
                lambda part: try_cast(
                    concat(
                        part.year, part.basic_year, '-', part.month, part.basic_month, '-', part.day, part.basic_day
                    ) AS DATE
                )
            )[1]
    END;

-- A number as people write it, in the spelling that a cast reads: without a currency's sign or code on either side, and
-- without commas or (no-break) spaces between thousands, which stand in groups of three or make it unreadable.
CREATE OR REPLACE MACRO castable_number(value) AS
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
        WHEN lower(value) IN ('true', 't', 'yes', 'y', '1', 'on', 'x', 'sim', 's', 'verdadeiro', 'v') THEN true
        WHEN lower(value) IN ('false', 'f', 'no', 'n', '0', 'off', 'nao', 'não', 'falso') THEN false
        -- A number with decimals, as a column that holds nothing else is written with gaps in it, and ã as two letters.
        WHEN regexp_full_match(value, '1[.,]0+') THEN true
        WHEN regexp_full_match(value, '0[.,]0+') OR lower(nfc_normalize(value)) = 'não' THEN false
    END;

CREATE OR REPLACE MACRO parse_zone(value) AS
    CASE WHEN list_contains((SELECT list(name) FROM pg_timezone_names()), value) THEN value END;

-- Instants are naive UTC; the day and hour are those of a zone's wall clock.
CREATE OR REPLACE MACRO local_time(instant, zone) AS
    timezone(zone, make_timestamptz(epoch_us(instant)));

-- The same by a list of the zone's shifts (crmbet.databases.zones).
CREATE OR REPLACE MACRO shifted_time(instant, zone, shifts) AS
    coalesce(
        CASE
            WHEN instant >= TIMESTAMP '1970-01-01'
                THEN make_timestamp(epoch_us(instant) + shifts[1 + (epoch_us(instant) >> 41)])
        END,
        local_time(instant, zone)
    );

CREATE OR REPLACE MACRO operator_time(instant) AS
    shifted_time(instant, getvariable('operator_zone'), getvariable('operator_shifts'));

CREATE OR REPLACE MACRO operator_day(instant, zone, shifts, earliest) AS
    CASE
        WHEN instant >= earliest AND instant < TIMESTAMP '2100-01-01' THEN shifted_time(instant, zone, shifts)::DATE
    END;

-- The values of a JSON map, by position: a path made of a key with a quote or a wildcard in it fails. It is not called
-- `map_values`: it would hide the engine's function of that name.
CREATE OR REPLACE MACRO json_values(value) AS
    json_extract_string(try_cast(value AS JSON), '$.*');

-- Of a JSON map of name to true or false: none may have another value, and no name may stand twice. A null says nothing.
-- A name with a letter that nobody sees may be another one of them.
CREATE OR REPLACE MACRO is_readable_map(value) AS
    len(
        list_distinct(
            list_filter(
                list_transform(json_keys(try_cast(value AS JSON)), lambda name: lower(coalesce(parse_text(name), ''))),
                lambda name: NOT regexp_matches(name, '[\p{Cc}\p{Cf}]')
            )
        )
    ) = len(json_keys(try_cast(value AS JSON)))
    AND len(list_filter(json_values(value), lambda said: parse_text(said) IS NOT NULL AND parse_boolean(parse_text(said)) IS NULL))
    = 0;

-- A list of names: a JSON list, a JSON map of name to true, or text separated by , ; or |.
CREATE OR REPLACE MACRO parse_list(value) AS
    CASE
        WHEN value LIKE '[%' THEN try_cast(value AS JSON)::VARCHAR[]
        WHEN value LIKE '{%'
            THEN CASE
                WHEN is_readable_map(value)
                    THEN list_filter(
                        json_keys(try_cast(value AS JSON)),
                        lambda name, place: parse_boolean(parse_text(json_values(value)[place]))
                    )
            END
        ELSE string_split_regex(value, '[,;|]')
    END;

-- The names that a JSON map says no to.
CREATE OR REPLACE MACRO refused_names(value) AS
    CASE
        WHEN value LIKE '{%' AND is_readable_map(value)
            THEN list_filter(
                json_keys(try_cast(value AS JSON)),
                lambda name, place: NOT parse_boolean(parse_text(json_values(value)[place]))
            )
    END;

-- The words of a list in lower case, without those that mean nothing.
CREATE OR REPLACE MACRO words_of(value) AS
    list_filter(
        list_transform(parse_list(value), lambda item: coalesce(lower(parse_text(item)), '')),
        lambda item: item
            NOT IN ('', 'none', 'nenhum', 'nenhuma', 'no', 'n', 'nao', 'não', 'false', 'f', 'falso', '0', 'off', 'null')
    );

-- What a text looks like, for a report that must not repeat it: every digit is a 9, every letter an a, and what is neither
-- white space nor common punctuation a question mark.
CREATE OR REPLACE MACRO shape_of(value) AS
    left(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(left(value, 200), '[\s\v\x{85}\p{Z}]', ' ', 'g'), '\p{N}', '9', 'g'
                ),
                '\p{L}', 'a', 'g'
            ),
            '[^a9 .,:;/+_(){}\[\]"''#%&*=?!|<>$@\\-]', '?', 'g'
        ),
        40
    );
