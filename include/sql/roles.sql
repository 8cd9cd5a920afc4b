-- The six roles of the target database. For its administrator, once and again after any doubt (it repeats safely):
--
--     psql "<admin's URL of the target>" --file include/sql/roles.sql
--     ALTER ROLE crmbet_loader LOGIN;        -- and give it a password with \password crmbet_loader
--     ALTER ROLE crmbet_monitor LOGIN;       -- and another one with \password crmbet_monitor
--     GRANT crmbet_reader TO ana;
--
-- crmbet_loader                 owns the schema and what lies in it: the login of the pipeline (connection crmbet_target)
-- crmbet_monitor                reads figures of runs, alerts and results of checks, and no feature: the login of the
--                               monitoring page (connection crmbet_monitoring)
-- crmbet_reader                 reads the feature table, its history, live rows and the reasons of scores, but for the columns
--                               rg_..., the models' parameters, and who moves between segments; the function training_set
--                               shows it rg_... as NULL
-- crmbet_responsible_gambling   reads all of that with those columns, who moves between bands of protection, and the
--                               audiences for protecting players
-- crmbet_crm                    reads the audiences for marketing, and nothing else
-- crmbet_privacy                asks for erasures, places legal holds, reads certificates, and nothing else (docs/privacy.md)
--
-- Another schema than ml_features, which another brand has, gets roles of its own, named after it: --set schema=ml_features_aurora
-- makes crmbet_loader_aurora, crmbet_monitor_aurora, crmbet_reader_aurora, crmbet_responsible_gambling_aurora,
-- crmbet_crm_aurora and crmbet_privacy_aurora. None of them has a right in another schema.
--
-- It takes over what runs of the pipeline have made in the schema under this administrator, a superuser or a member of
-- crmbet_loader. If they ran under another login, name it: --set former_login=etl. Whatever else is in the schema could run
-- as the loader, or let others read players: then the script says what it is, and changes nothing.
--
-- Columns are granted one by one, so a reader names the columns it wants: SELECT * asks for all of them. Columns that the
-- pipeline adds later it grants itself (plugins/crmbet/load/target.py).

\set ON_ERROR_STOP on

\if :{?former_login}
\else
    \set former_login ''
\endif
\if :{?schema}
\else
    \set schema ml_features
\endif

BEGIN;

-- First of all: whoever may create functions in `public` could otherwise have theirs run by an administrator.
SET LOCAL search_path = pg_catalog, pg_temp;
-- As plugins/crmbet/run/schemas.py has it.
SELECT
    CASE WHEN :'schema' = 'ml_features'::text THEN ''::text
        ELSE '_'::text || pg_catalog.regexp_replace(:'schema', '^ml_features_'::text, ''::text)
    END AS suffix
\gset
\set loader crmbet_loader :suffix
\set monitor crmbet_monitor :suffix
\set reader crmbet_reader :suffix
\set responsible_gambling crmbet_responsible_gambling :suffix
\set crm crmbet_crm :suffix
\set privacy crmbet_privacy :suffix

-- A DO block sees no variable of psql.
SET LOCAL crmbet.former_login = :'former_login';
SET LOCAL crmbet.schema = :'schema';
SET LOCAL crmbet.loader = :'loader';
SET LOCAL crmbet.monitor = :'monitor';
SET LOCAL crmbet.reader = :'reader';
SET LOCAL crmbet.responsible_gambling = :'responsible_gambling';
SET LOCAL crmbet.crm = :'crm';
SET LOCAL crmbet.privacy = :'privacy';

DO $$
DECLARE
    role_name text;
BEGIN
    IF pg_catalog.current_setting('crmbet.schema'::text) !~ '^[a-z][a-z0-9_]*$'::text
        OR pg_catalog.length(pg_catalog.current_setting('crmbet.responsible_gambling'::text)) > 63
    THEN
        RAISE EXCEPTION 'the schema''s name is no name of CRMBET_TARGET_SCHEMA, so nothing was changed'
        USING HINT = 'Use lower-case letters, digits and _, and not too many of them: role names have 63 at most.';
    END IF;
    FOREACH role_name IN ARRAY ARRAY[
        pg_catalog.current_setting('crmbet.loader'::text),
        pg_catalog.current_setting('crmbet.monitor'::text),
        pg_catalog.current_setting('crmbet.reader'::text),
        pg_catalog.current_setting('crmbet.responsible_gambling'::text),
        pg_catalog.current_setting('crmbet.crm'::text),
        pg_catalog.current_setting('crmbet.privacy'::text)
    ]
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname::text = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN'::text, role_name);
        END IF;
    END LOOP;
END
$$;

-- Where the administrator is no superuser, it has to be a member of a role that is to own something.
GRANT :"loader" TO CURRENT_USER;

CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION :"loader";

-- The schema may be a stranger's, who got here first, or have had strangers in it. What becomes the loader's, or is called
-- by what it does, runs with its rights. All of this is one transaction: an error undoes what stands above.
DO $$
DECLARE
    schema_name CONSTANT text := pg_catalog.current_setting('crmbet.schema'::text);
    schema_id CONSTANT oid := schema_name::regnamespace::oid;
    loader CONSTANT oid := pg_catalog.current_setting('crmbet.loader'::text)::regrole::oid;
    trusted oid[];
    readers CONSTANT oid[] := ARRAY[
        pg_catalog.current_setting('crmbet.monitor'::text)::regrole::oid,
        pg_catalog.current_setting('crmbet.reader'::text)::regrole::oid,
        pg_catalog.current_setting('crmbet.responsible_gambling'::text)::regrole::oid,
        pg_catalog.current_setting('crmbet.crm'::text)::regrole::oid,
        pg_catalog.current_setting('crmbet.privacy'::text)::regrole::oid
    ];
    foreign_things text;
BEGIN
    SELECT pg_catalog.array_agg(oid) INTO trusted FROM pg_catalog.pg_roles
    WHERE pg_catalog.pg_has_role(oid, loader, 'MEMBER'::text)
       OR rolname::text = pg_catalog.current_setting('crmbet.former_login'::text);

    WITH relations AS (
        SELECT oid, relowner, relacl FROM pg_catalog.pg_class WHERE relnamespace = schema_id
    ), found AS (
        -- Objects of every kind have their owners here, and the roles that they grant something to.
        SELECT
            CASE deptype
                WHEN 'o' THEN pg_catalog.format('%s belongs to %s'::text, thing, role_name)
                WHEN 'a' THEN pg_catalog.format('%s grants rights to %s'::text, thing, role_name)
                ELSE pg_catalog.format('%s names %s'::text, thing, role_name)
            END AS thing
        FROM pg_catalog.pg_shdepend AS dependency
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(classid, objid, objsubid) AS identified
        CROSS JOIN LATERAL pg_catalog.pg_describe_object(classid, objid, objsubid) AS thing
        CROSS JOIN LATERAL pg_catalog.pg_get_userbyid(refobjid) AS role_name
        WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
          AND refclassid = 'pg_catalog.pg_authid'::regclass
          AND (
              identified.schema = schema_name
              OR (classid = 'pg_catalog.pg_namespace'::regclass AND objid = schema_id)
          )
          AND refobjid <> ALL (trusted)
          AND (deptype = 'o' OR refobjid <> ALL (readers))
        UNION ALL
        SELECT pg_catalog.format('%s grants rights to PUBLIC'::text, pg_catalog.pg_describe_object(
            'pg_catalog.pg_class'::regclass::oid, relations.oid, 0
        ))
        FROM relations
        WHERE EXISTS (SELECT FROM pg_catalog.aclexplode(relacl) WHERE grantee = 0::oid)
           OR EXISTS (
               SELECT FROM pg_catalog.pg_attribute, pg_catalog.aclexplode(attacl)
               WHERE attrelid = relations.oid AND grantee = 0::oid
           )
        UNION ALL
        -- Releases have made no other function.
        SELECT pg_catalog.format('function %s is not the pipeline''s'::text, oid::regprocedure)
        FROM pg_catalog.pg_proc
        WHERE pronamespace = schema_id
          AND (
              prosecdef
              OR oid::regprocedure::text NOT IN (
                  schema_name || '.training_set(regclass,text,interval,timestamp with time zone)'::text,
                  schema_name || '.training_set(regclass,text,interval,timestamp with time zone,boolean)'::text
              )
          )
        UNION ALL
        SELECT pg_catalog.format('%s is not the pipeline''s'::text, pg_catalog.pg_describe_object(kind, made.oid, 0))
        FROM (
            SELECT 'pg_catalog.pg_trigger'::regclass::oid, oid, tgrelid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
            UNION ALL
            SELECT 'pg_catalog.pg_policy'::regclass::oid, oid, polrelid FROM pg_catalog.pg_policy
            UNION ALL
            SELECT 'pg_catalog.pg_rewrite'::regclass::oid, oid, ev_class FROM pg_catalog.pg_rewrite
            WHERE rulename::text <> '_RETURN'::text
        ) AS made (kind, oid, relation)
        WHERE relation IN (SELECT oid FROM relations)
        UNION ALL
        -- Defaults, constraints and indexes that call a stranger's function.
        SELECT pg_catalog.format('%s calls %s'::text, pg_catalog.pg_describe_object(kind, made.oid, 0), refobjid::regprocedure)
        FROM (
            SELECT 'pg_catalog.pg_attrdef'::regclass::oid, oid, adrelid FROM pg_catalog.pg_attrdef
            UNION ALL
            SELECT 'pg_catalog.pg_constraint'::regclass::oid, oid, conrelid FROM pg_catalog.pg_constraint
            UNION ALL
            SELECT 'pg_catalog.pg_class'::regclass::oid, indexrelid, indrelid FROM pg_catalog.pg_index
        ) AS made (kind, oid, relation)
        JOIN pg_catalog.pg_depend ON classid = made.kind AND objid = made.oid
            AND refclassid = 'pg_catalog.pg_proc'::regclass
        JOIN pg_catalog.pg_proc AS called ON called.oid = refobjid
        WHERE relation IN (SELECT oid FROM relations) AND called.proowner <> ALL (trusted)
    )
    SELECT pg_catalog.string_agg(DISTINCT thing, '; '::text ORDER BY thing) INTO foreign_things FROM found;

    IF foreign_things IS NOT NULL THEN
        RAISE EXCEPTION '% has what no run of the pipeline has made, so nothing was changed: %', schema_name, foreign_things
        USING HINT = 'Find out who has made it. Then drop it or revoke the rights, make readers members of crmbet_reader, '
            'and run this again. If runs of the pipeline have made it under another login, name that login: '
            '--set former_login=LOGIN';
    END IF;
END
$$;

ALTER SCHEMA :"schema" OWNER TO :"loader";
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC;
GRANT USAGE ON SCHEMA :"schema" TO :"monitor", :"reader", :"responsible_gambling", :"crm", :"privacy";

-- What runs under another login have made already.
DO $$
DECLARE
    schema_name CONSTANT text := pg_catalog.current_setting('crmbet.schema'::text);
    loader CONSTANT text := pg_catalog.current_setting('crmbet.loader'::text);
    monitor CONSTANT text := pg_catalog.current_setting('crmbet.monitor'::text);
    reader CONSTANT text := pg_catalog.current_setting('crmbet.reader'::text);
    responsible_gambling CONSTANT text := pg_catalog.current_setting('crmbet.responsible_gambling'::text);
    crm CONSTANT text := pg_catalog.current_setting('crmbet.crm'::text);
    privacy CONSTANT text := pg_catalog.current_setting('crmbet.privacy'::text);
    granted CONSTANT text := 'GRANT SELECT ON %I.%I TO %I'::text;
    granted_column CONSTANT text := 'GRANT SELECT (%I) ON %I.%I TO %I'::text;
    found record;
BEGIN
    FOR found IN
        SELECT relname::text AS relname FROM pg_catalog.pg_class
        WHERE relnamespace = schema_name::regnamespace AND relkind IN ('r', 'p', 'v')
          AND relowner <> loader::regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I'::text, schema_name, found.relname, loader);
    END LOOP;

    FOR found IN
        SELECT oid::regprocedure::text AS signature FROM pg_catalog.pg_proc
        WHERE pronamespace = schema_name::regnamespace AND proname = 'training_set'
          AND proowner <> loader::regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO %I'::text, found.signature, loader);
    END LOOP;

    FOR found IN
        SELECT relname::text AS relname FROM pg_catalog.pg_class
        WHERE relnamespace = schema_name::regnamespace
          AND relname IN (
              'pipeline_runs', 'alerts', 'quality_results', 'feature_drift', 'stream_offsets', 'stream_quarantine',
              'audience_runs', 'stream_minutes'
          )
    LOOP
        EXECUTE pg_catalog.format(granted, schema_name, found.relname, monitor);
    END LOOP;

    -- As include/sql/erasure/grant_to_privacy.sql has it.
    FOR found IN
        SELECT relname::text AS relname,
            CASE relname
                WHEN 'erasure_requests' THEN 'SELECT, INSERT (user_id, entered_by)'
                WHEN 'legal_holds' THEN 'SELECT, DELETE, INSERT (user_id, reason, stands_until), UPDATE (reason, stands_until)'
                ELSE 'SELECT'
            END::text AS rights
        FROM pg_catalog.pg_class
        WHERE relnamespace = schema_name::regnamespace
          AND relname IN ('erasure_requests', 'legal_holds', 'erasure_certificates')
    LOOP
        EXECUTE pg_catalog.format('GRANT %s ON %I.%I TO %I'::text, found.rights, schema_name, found.relname, privacy);
    END LOOP;

    FOR found IN
        SELECT relname::text AS relname FROM pg_catalog.pg_class
        WHERE relnamespace = schema_name::regnamespace
          AND relname IN ('model_parameters', 'segment_movements', 'rg_segment_movements')
    LOOP
        EXECUTE pg_catalog.format(granted, schema_name, found.relname, responsible_gambling);
        IF NOT pg_catalog.starts_with(found.relname, 'rg_'::text) THEN
            EXECUTE pg_catalog.format(granted, schema_name, found.relname, reader);
        END IF;
    END LOOP;

    -- The pipeline writes the comment (plugins/crmbet/audiences/views.py).
    FOR found IN
        SELECT
            relname::text AS relname,
            pg_catalog.starts_with(comment, 'Audience of crmbet for marketing: '::text) AS is_marketing
        FROM pg_catalog.pg_class, pg_catalog.obj_description(oid, 'pg_class'::name) AS comment
        WHERE relnamespace = schema_name::regnamespace AND relkind = 'v'
          AND pg_catalog.starts_with(comment, 'Audience of crmbet for '::text)
    LOOP
        EXECUTE pg_catalog.format(
            granted, schema_name, found.relname, CASE WHEN found.is_marketing THEN crm ELSE responsible_gambling END
        );
    END LOOP;

    FOR found IN
        SELECT relation.relname::text AS relname, attribute.attname::text AS attname
        FROM pg_catalog.pg_class AS relation
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = relation.oid
        WHERE relation.relnamespace = schema_name::regnamespace
          AND relation.relname IN (
              'user_features', 'user_features_history', 'user_features_live', 'user_features_now', 'score_reasons'
          )
          AND attribute.attnum > 0
          AND NOT attribute.attisdropped
    LOOP
        EXECUTE pg_catalog.format(
            granted_column, found.attname, schema_name, found.relname, responsible_gambling
        );
        IF NOT pg_catalog.starts_with(found.attname, 'rg_'::text) THEN
            EXECUTE pg_catalog.format(granted_column, found.attname, schema_name, found.relname, reader);
        END IF;
    END LOOP;
END
$$;

COMMIT;
