DELETE FROM {held}
WHERE rowid IN (SELECT _held FROM removed)
