-- JSON records as columns of text. Each record is parsed once.
SELECT
    _row,
    CASE
        WHEN list_unique(names) < len(names) THEN 'a name appears more than once'
        WHEN contains(record::VARCHAR, '\u0000') AND contains(array_to_string(fields, ''), chr(0))
            THEN 'malformed record: bytes that are no text'
        ELSE coalesce(_reject, {id_fault})
    END AS _reject,
    {values}
FROM (
    SELECT _row, _reject, record, json_keys(record) AS names, json_extract_string(record, {paths}) AS fields
    FROM ({records})
)
