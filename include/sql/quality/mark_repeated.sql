-- The judged rows, with the earlier day that has the same key, if one has.
SELECT judged.*, repeated._also_on
FROM {judged} AS judged
LEFT JOIN {repeated} AS repeated USING ({key})
