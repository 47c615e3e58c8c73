-- Roles with the least rights for a PostgreSQL of your own. As an administrator, in the database that tallyd shall use:
--   psql -d tallyd -v ON_ERROR_STOP=1 -f roles.sql
--   tallyd migrate --database-url 'postgres://tallyd_owner@HOST/tallyd'     (the only one with DDL)
--   psql -d tallyd -v ON_ERROR_STOP=1 -f roles.sql                          (again: rights on the tables made meanwhile)
--   tallyd serve --database-url 'postgres://tallyd@HOST/tallyd'
-- Other names: -v owner=NAME -v runtime=NAME. Passwords and pg_hba.conf are yours to set. It may be run any number of times.
\if :{?owner} \else \set owner tallyd_owner \endif
\if :{?runtime} \else \set runtime tallyd \endif

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', r)
  FROM unnest(ARRAY[:'owner', :'runtime']) r
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec

SELECT format('CREATE SCHEMA tallyd AUTHORIZATION %I', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'tallyd') \gexec

SELECT format('ALTER DATABASE %I SET search_path = tallyd, public', current_database()) \gexec

-- Nobody waits for ever, holds a lock while idle, or works for a client that has gone. These also hold behind a pooler.
ALTER ROLE :"runtime" SET lock_timeout = '10s';
ALTER ROLE :"runtime" SET statement_timeout = '150s';
ALTER ROLE :"runtime" SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE :"runtime" SET default_transaction_isolation = 'read committed';
SELECT format('ALTER ROLE %I SET client_connection_check_interval = %L', :'runtime', '2s')
 WHERE current_setting('server_version_num')::int >= 140000 \gexec

GRANT USAGE ON SCHEMA tallyd TO :"runtime";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tallyd TO :"runtime";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA tallyd TO :"runtime";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA tallyd GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"runtime";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA tallyd GRANT USAGE ON SEQUENCES TO :"runtime";

-- What a daemon only adds to, or only reads.
SELECT format('REVOKE %s ON tallyd.%I FROM %I', r.rights, r.name, :'runtime')
  FROM (VALUES ('UPDATE, DELETE', 'audit_log'), ('UPDATE, DELETE', 'records_set_aside'),
               ('INSERT, UPDATE, DELETE', 'schema_migrations'), ('INSERT, DELETE', 'period_clock'),
               ('INSERT, DELETE', 'rights_version'), ('INSERT, DELETE', 'ledger_carried'),
               ('INSERT, DELETE', 'connection_log_purge')) AS r(rights, name)
 WHERE EXISTS (SELECT FROM pg_tables WHERE schemaname = 'tallyd' AND tablename = r.name) \gexec
