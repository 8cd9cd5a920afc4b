-- Rows that break the contract, with all that is needed to find and mend them at the source.
SELECT
    _fault AS reason,
    _source_key AS source_key,
    _row AS source_row,
    nullif(concat_ws(' ', {key}), '') AS business_key,
    _raw AS record,
    {run_id} AS run_id,
    _day
FROM typed
WHERE _fault IS NOT NULL AND (_known IS NULL OR _known <= {known_at})
