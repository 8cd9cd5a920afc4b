-- The judged rows if no earlier day has any of their keys, or if no earlier day was captured.
SELECT *, NULL::DATE AS _also_on
FROM {judged}
