-- Keys of the judged rows that earlier days may have too, with the newest of these days. Hashes are compared, since
-- they take less memory than keys. Two keys can have one hash, but the caller joins by the key itself.
SELECT {key}, max(_day) AS _also_on
FROM {earlier}
WHERE {keyed} AND hash({key}) IN (SELECT hash({key}) FROM {judged} WHERE {keyed})
GROUP BY {key}
