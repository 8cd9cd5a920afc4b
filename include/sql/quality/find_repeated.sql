-- Keys of the judged rows that rows of earlier days may have too, with the newest of these days. Hashes are compared, which
-- take less memory than keys; whoever joins by the key itself meets no other.
SELECT {key}, max(_day) AS _also_on
FROM {earlier}
WHERE {keyed} AND hash({key}) IN (SELECT hash({key}) FROM {judged} WHERE {keyed})
GROUP BY {key}
