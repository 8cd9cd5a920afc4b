-- The judged rows, each with the newest earlier day that has its key, if there is one.
SELECT judged.*, repeated._also_on
FROM {judged} AS judged
LEFT JOIN {repeated} AS repeated USING ({key})
