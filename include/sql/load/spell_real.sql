-- As the data engine spells a double in JSON: never with an exponent, and with a decimal point. What a run never computes is
-- spelled in any way.
CASE
    WHEN {value}::double precision BETWEEN -1e20 AND 1e20
    THEN pg_catalog.regexp_replace(
        pg_catalog.trim_scale({value}::double precision::text::numeric)::text, '^-?[0-9]+$'::text, '\&.0'::text
    )::json
    ELSE pg_catalog.to_json({value}::double precision)
END
