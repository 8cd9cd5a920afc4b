-- The four roles of the target database. For its administrator, once and again after any doubt (it repeats safely):
--
--     psql "<admin's URL of the target>" --file include/sql/roles.sql
--     ALTER ROLE crmbet_loader LOGIN;        -- and give it a password with \password crmbet_loader
--     ALTER ROLE crmbet_monitor LOGIN;       -- and another one with \password crmbet_monitor
--     GRANT crmbet_reader TO ana;
--
-- crmbet_loader                 owns the schema and what lies in it: the login of the pipeline (connection crmbet_target)
-- crmbet_monitor                reads figures of runs, alerts and results of checks, and no feature: the login of the
--                               monitoring page (connection crmbet_monitoring)
-- crmbet_reader                 reads the feature table and its history, but for the columns rg_..., and the models'
--                               parameters; the function training_set shows it rg_... as NULL
-- crmbet_responsible_gambling   reads all of that with those columns
--
-- Columns are granted one by one, so a reader names the columns it wants: SELECT * asks for all of them. Columns that the
-- pipeline adds later it grants itself (plugins/crmbet/load/target.py).

\set ON_ERROR_STOP on

BEGIN;

-- First of all: whoever may create functions in `public` could otherwise have theirs run by an administrator.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY
        ARRAY['crmbet_loader', 'crmbet_monitor', 'crmbet_reader', 'crmbet_responsible_gambling']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname::text = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN'::text, role_name);
        END IF;
    END LOOP;
END
$$;

-- Where the administrator is no superuser, it has to be a member of a role that is to own something.
GRANT crmbet_loader TO CURRENT_USER;

CREATE SCHEMA IF NOT EXISTS ml_features AUTHORIZATION crmbet_loader;
ALTER SCHEMA ml_features OWNER TO crmbet_loader;
REVOKE ALL ON SCHEMA ml_features FROM PUBLIC;
GRANT USAGE ON SCHEMA ml_features TO crmbet_monitor, crmbet_reader, crmbet_responsible_gambling;

-- What runs under another login have made already.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT relname::text AS relname FROM pg_catalog.pg_class
        WHERE relnamespace = 'ml_features'::regnamespace AND relkind IN ('r', 'p')
          AND relowner <> 'crmbet_loader'::regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE ml_features.%I OWNER TO crmbet_loader'::text, found.relname);
    END LOOP;

    FOR found IN
        SELECT oid::regprocedure::text AS signature FROM pg_catalog.pg_proc
        WHERE pronamespace = 'ml_features'::regnamespace AND proname = 'training_set'
          AND proowner <> 'crmbet_loader'::regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO crmbet_loader'::text, found.signature);
    END LOOP;

    IF pg_catalog.to_regclass('ml_features.model_parameters'::text) IS NOT NULL THEN
        GRANT SELECT ON ml_features.model_parameters TO crmbet_reader, crmbet_responsible_gambling;
    END IF;

    FOR found IN
        SELECT relname::text AS relname FROM pg_catalog.pg_class
        WHERE relnamespace = 'ml_features'::regnamespace
          AND relname IN ('pipeline_runs', 'alerts', 'quality_results')
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT ON ml_features.%I TO crmbet_monitor'::text, found.relname);
    END LOOP;

    FOR found IN
        SELECT relation.relname::text AS relname, attribute.attname::text AS attname
        FROM pg_catalog.pg_class AS relation
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = relation.oid
        WHERE relation.relnamespace = 'ml_features'::regnamespace
          AND relation.relname IN ('user_features', 'user_features_history')
          AND attribute.attnum > 0
          AND NOT attribute.attisdropped
    LOOP
        EXECUTE pg_catalog.format(
            'GRANT SELECT (%I) ON ml_features.%I TO crmbet_responsible_gambling'::text, found.attname, found.relname
        );
        IF NOT pg_catalog.starts_with(found.attname, 'rg_'::text) THEN
            EXECUTE pg_catalog.format(
                'GRANT SELECT (%I) ON ml_features.%I TO crmbet_reader'::text, found.attname, found.relname
            );
        END IF;
    END LOOP;
END
$$;

COMMIT;
