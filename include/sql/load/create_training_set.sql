-- A training set from the history. For each pair (user_id, instant) of a table or view it returns what was known of the
-- player at that instant, and the value of one feature (the label) after a given time (the maturity).
--
--     SELECT user_id, instant, label_value, (features).*
--     FROM {schema}.training_set('pairs', 'active_days_30d', '30 days')
--
-- Features come from the newest row with as_of and known_at up to the instant. The label comes from the first row whose
-- as_of is at least instant + maturity and less than a day later. A window as long as the maturity then begins at the
-- instant or after it, so no fact is in both the features and the label. Pairs without features or label are left out,
-- and so are labels that became known after mature_by. Days are days of the operator's zone, whatever the session's
-- zone is. The rows that say that a player is gone are neither features nor labels.
--
-- With admit_reconstructed, features may also come from rows that were reconstructed after the instant, from sources that
-- may have been overwritten since. They may know what nobody knew then. A notice says how many there are.
--
-- The function has the rights of its caller. Features that the caller may not read are NULL, and such a label is
-- refused.
CREATE OR REPLACE FUNCTION {schema}.training_set(
    spine regclass,
    label text,
    maturity interval,
    mature_by timestamptz DEFAULT 'infinity',
    admit_reconstructed boolean DEFAULT false
)
RETURNS TABLE (
    user_id text,
    instant timestamptz,
    label_as_of timestamptz,
    label_value jsonb,
    features {schema}.user_features_history
)
LANGUAGE plpgsql
STABLE
SECURITY INVOKER
SET timezone = {zone}
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    readable text;
    query text;
    known_then bigint;
    reconstructed bigint;
BEGIN
    IF maturity < interval '0' THEN
        RAISE EXCEPTION 'maturity % is negative: the label would be known before the instant', maturity;
    END IF;
    -- Selecting a whole row needs the right to all of its columns, so only readable columns are named.
    SELECT string_agg(
        CASE
            WHEN has_column_privilege(attrelid, attnum, 'SELECT') THEN format('history.%I', attname)
            ELSE 'NULL'
        END,
        ', ' ORDER BY attnum
    )
    INTO readable
    FROM pg_catalog.pg_attribute
    WHERE attrelid = '{schema}.user_features_history'::regclass AND attnum > 0 AND NOT attisdropped;
    query := format(
        $query$
        SELECT spine.user_id::text, spine.instant, outcome.as_of, outcome.label, known.features
        FROM %1$s AS spine
        CROSS JOIN LATERAL (
            SELECT
                ROW(%2$s)::{schema}.user_features_history AS features,
                history.known_at > spine.instant AS is_reconstructed
            FROM {schema}.user_features_history AS history
            WHERE history.user_id = spine.user_id
              AND history.as_of <= spine.instant
              AND (history.known_at <= spine.instant OR ($3 AND history.reconstructed))
              AND history.marketing_reason IS NULL
            ORDER BY history.as_of DESC
            LIMIT 1
        ) AS known
        CROSS JOIN LATERAL (
            SELECT history.as_of, to_jsonb(history.%3$I) AS label
            FROM {schema}.user_features_history AS history
            WHERE history.user_id = spine.user_id
              AND history.as_of >= spine.instant + $1
              AND history.as_of < spine.instant + $1 + interval '1 day'
              AND history.known_at <= $2
              AND history.marketing_reason IS NULL
            ORDER BY history.as_of
            LIMIT 1
        ) AS outcome
        WHERE known.is_reconstructed = $4
        $query$,
        spine,
        readable,
        label
    );
    RETURN QUERY EXECUTE query USING maturity, mature_by, admit_reconstructed, false;
    IF admit_reconstructed THEN
        GET DIAGNOSTICS known_then = ROW_COUNT;
        RETURN QUERY EXECUTE query USING maturity, mature_by, admit_reconstructed, true;
        GET DIAGNOSTICS reconstructed = ROW_COUNT;
        RAISE NOTICE
            'the features of % of % pairs are reconstructed: they may know what nobody knew then, and flatter a model',
            reconstructed, known_then + reconstructed;
    END IF;
END
$body$
