-- The messages of one topic as JSON records. A message that is no JSON object is a record that says so.
SELECT
    number AS _row,
    CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN NOT is_object THEN 'not a JSON object'
    END AS _reject,
    CASE WHEN is_object THEN value::JSON END AS record
FROM (
    SELECT *, CASE WHEN json_valid(value) THEN json_type(value) = 'OBJECT' ELSE false END AS is_object
    FROM {messages}
)
