-- The form in which ids are compared. Nearly all are ASCII without a blank inside, which the engine folds alone.
CREATE OR REPLACE MACRO fold_id(id) AS
    CASE WHEN regexp_full_match(id, '[!-~]*') THEN lower(id) ELSE fold_unicode(id) END
