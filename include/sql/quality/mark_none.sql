-- The judged rows where no earlier day has their keys, or none was captured.
SELECT *, NULL::DATE AS _also_on
FROM {judged}
