-- Rows that break the contract, with all that is needed to find and mend them at the source. A row that may protect its
-- player says which one, as it spells it, and since when.
SELECT
    _fault AS reason,
    _source_key AS source_key,
    _row AS source_row,
    nullif(concat_ws(' ', {key}), '') AS business_key,
    _raw AS record,
    CASE WHEN _protection IS NOT NULL THEN user_id END AS protected_user_id,
    CASE WHEN _day > DATE '0001-01-01' THEN {happened} END AS happened_at,
    {run_id} AS run_id,
    _day
FROM typed
WHERE _fault IS NOT NULL AND (_known IS NULL OR _known <= {known_at})
ORDER BY _day, _row, _source_key
