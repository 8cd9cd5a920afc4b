-- Live rows as PostgreSQL's COPY reads them. Texts in lists have neither commas nor quotes: names of topics and our words.
COPY (
    SELECT
        * REPLACE (
            session_started_at::VARCHAR || '+00' AS session_started_at,
            session_last_bet_at::VARCHAR || '+00' AS session_last_bet_at,
            last_event_at::VARCHAR || '+00' AS last_event_at,
            '{{' || array_to_string(positions, ',') || '}}' AS positions,
            '{{' || array_to_string(rg_live_markers, ',') || '}}' AS rg_live_markers
        )
    FROM {rows}
) TO {path} (FORMAT csv, HEADER false, NULLSTR '')
