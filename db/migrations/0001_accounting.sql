-- Tables of the counting core, tokens and users. PostgreSQL 13 or later.
-- All sums are numeric: they cannot overflow. All times are the database's own clock unless a column says otherwise.

CREATE TABLE tallyd.period_clock (
  one            boolean PRIMARY KEY DEFAULT true CHECK (one),
  cluster_id     uuid NOT NULL DEFAULT gen_random_uuid(),
  period_id      bigint NOT NULL DEFAULT 1,
  opened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  period_seconds bigint CHECK (period_seconds >= 0)  -- 0: only on request; NULL: no replica has said yet
) WITH (fillfactor = 10);
INSERT INTO tallyd.period_clock DEFAULT VALUES;

CREATE TABLE tallyd.replicas (
  replica_id                  text PRIMARY KEY,
  host                        text NOT NULL DEFAULT '',
  version                     text NOT NULL DEFAULT '',
  registered_at               timestamptz NOT NULL DEFAULT now(),
  heartbeat_at                timestamptz NOT NULL DEFAULT now(),
  complete_as_of              timestamptz NOT NULL DEFAULT to_timestamp(0),
  unflushed_requests          numeric NOT NULL DEFAULT 0,
  unflushed_connection_events bigint NOT NULL DEFAULT 0,
  unflushed_usage_events      bigint NOT NULL DEFAULT 0,
  given_up                    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE TABLE tallyd.streams (
  stream_id         uuid PRIMARY KEY,
  replica_id        text NOT NULL,
  applied_lsn       bigint NOT NULL DEFAULT 0,
  chain             bytea NOT NULL DEFAULT '\x0000000000000000',
  ids_epoch         bigint NOT NULL DEFAULT 0,
  state             smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),  -- open, drained, removed, given up
  boundary_requests numeric NOT NULL DEFAULT 0,  -- allowed + denied of everything applied, refused duplicates too
  increments        bigint NOT NULL DEFAULT 0,
  connection_events bigint NOT NULL DEFAULT 0,
  usage_events      bigint NOT NULL DEFAULT 0,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX streams_replica ON tallyd.streams (replica_id);

CREATE TABLE tallyd.boundary_usage_stats (
  period_id       bigint NOT NULL,
  stream_id       uuid NOT NULL,
  allowed         numeric NOT NULL DEFAULT 0 CHECK (allowed >= 0),
  denied          numeric NOT NULL DEFAULT 0 CHECK (denied >= 0),
  dup_allowed     numeric NOT NULL DEFAULT 0 CHECK (dup_allowed >= 0),  -- refused duplicates
  dup_denied      numeric NOT NULL DEFAULT 0 CHECK (dup_denied >= 0),
  discarded       numeric NOT NULL DEFAULT 0 CHECK (discarded >= 0),    -- requests thrown away by a DELETE of the replica
  increments      bigint NOT NULL DEFAULT 0,
  late_increments bigint NOT NULL DEFAULT 0,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (period_id, stream_id)
) WITH (fillfactor = 50);

CREATE TABLE tallyd.boundary_usage_ids (
  period_id  bigint NOT NULL,
  stream_id  uuid NOT NULL,
  lsn_to     bigint NOT NULL,
  workspaces uuid[] NOT NULL,
  users      uuid[] NOT NULL,
  PRIMARY KEY (period_id, stream_id, lsn_to)
);
-- Ids hardly compress, and packing and unpacking them costs more than it saves.
ALTER TABLE tallyd.boundary_usage_ids ALTER workspaces SET STORAGE EXTERNAL, ALTER users SET STORAGE EXTERNAL;

CREATE TABLE tallyd.boundary_usage_reports (
  period_id         bigint PRIMARY KEY,
  cluster_id        uuid NOT NULL,
  request_id        uuid NOT NULL,  -- of the close that made it
  started_at        timestamptz NOT NULL,
  ended_at          timestamptz NOT NULL,
  discarded         boolean NOT NULL DEFAULT false,
  summed_at         timestamptz,    -- NULL: the figures below are not filled in yet
  replicas          bigint NOT NULL DEFAULT 0,
  allowed           numeric NOT NULL DEFAULT 0,
  denied            numeric NOT NULL DEFAULT 0,
  dup_allowed       numeric NOT NULL DEFAULT 0,
  dup_denied        numeric NOT NULL DEFAULT 0,
  thrown_away       numeric NOT NULL DEFAULT 0,  -- requests, by DELETEs of single replicas
  increments        bigint NOT NULL DEFAULT 0,
  late_increments   bigint NOT NULL DEFAULT 0,
  unique_workspaces bigint NOT NULL DEFAULT 0,
  unique_users      bigint NOT NULL DEFAULT 0,
  coverage          jsonb NOT NULL DEFAULT '[]',  -- what each replica brought, and from when to when
  ids_purged_at     timestamptz,
  workspaces_sketch bytea,  -- stand for the ids when those are gone (tracker/sketch.hpp)
  users_sketch      bytea,
  -- Delivery to --report-url
  delivered_at      timestamptz,
  leased_until      timestamptz,
  leased_by         text,
  attempts          bigint NOT NULL DEFAULT 0,
  next_attempt_at   timestamptz,
  first_failed_at   timestamptz,
  last_error        text
);
CREATE INDEX boundary_usage_reports_request ON tallyd.boundary_usage_reports (request_id);
CREATE INDEX boundary_usage_reports_unsummed ON tallyd.boundary_usage_reports (period_id) WHERE summed_at IS NULL;
CREATE INDEX boundary_usage_reports_undelivered ON tallyd.boundary_usage_reports (period_id) WHERE delivered_at IS NULL;

-- What purged rows added up to, so that the ledger still balances.
CREATE TABLE tallyd.ledger_carried (
  one               boolean PRIMARY KEY DEFAULT true CHECK (one),
  applied           numeric NOT NULL DEFAULT 0,  -- of purged streams, with the next two
  connection_events bigint NOT NULL DEFAULT 0,
  usage_events      bigint NOT NULL DEFAULT 0,
  reported          numeric NOT NULL DEFAULT 0,  -- of purged reports, with the next two
  discarded         numeric NOT NULL DEFAULT 0,
  duplicates        numeric NOT NULL DEFAULT 0
);
INSERT INTO tallyd.ledger_carried DEFAULT VALUES;

-- key_id: first 16 bytes of SHA-256 over subject, route and key; body: first 8 bytes of SHA-256 of the body.
CREATE TABLE tallyd.ingest_keys (
  key_id  uuid PRIMARY KEY,
  body    bigint NOT NULL,
  seen_at timestamptz NOT NULL
);
CREATE INDEX ingest_keys_seen ON tallyd.ingest_keys (seen_at);

-- Journal records that PostgreSQL refused with SQLSTATE class 22 or 23 even when alone.
CREATE TABLE tallyd.records_set_aside (
  stream_id  uuid NOT NULL,
  lsn_from   bigint NOT NULL,
  lsn_to     bigint NOT NULL,
  requests   numeric NOT NULL,
  increments bigint NOT NULL,
  payload    bytea NOT NULL,
  reason     text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream_id, lsn_to)
);

-- Raised by every change of a right; replicas read it with each heartbeat.
CREATE TABLE tallyd.rights_version (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  version bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 10);
INSERT INTO tallyd.rights_version DEFAULT VALUES;

CREATE TABLE tallyd.users (
  id         uuid PRIMARY KEY,
  username   text NOT NULL,
  email      text NOT NULL DEFAULT '',
  roles      text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  version    bigint NOT NULL
);
CREATE UNIQUE INDEX users_username ON tallyd.users (lower(username));
CREATE INDEX users_version ON tallyd.users (version, id);

CREATE TABLE tallyd.users_deleted (
  id         uuid PRIMARY KEY,
  deleted_at timestamptz NOT NULL DEFAULT now(),
  version    bigint NOT NULL
);

CREATE TABLE tallyd.api_tokens (
  id              text PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{10}$'),
  secret_sha256   bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
  kind            text NOT NULL CHECK (kind IN ('user', 'system', 'agent')),
  system_subject  text NOT NULL DEFAULT '',
  user_id         uuid,
  agent_workspace uuid,
  agent_owner     uuid,
  agent_template  uuid,
  agent_version   uuid,
  agent_task      uuid,
  no_user_data    boolean NOT NULL DEFAULT false,
  scopes          text[] NOT NULL DEFAULT '{}',
  allow_list      text[] NOT NULL DEFAULT '{}',
  name            text NOT NULL DEFAULT '',
  created_by      text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz,
  revoked_at      timestamptz,
  last_used_at    timestamptz,
  version         bigint NOT NULL,
  CHECK ((kind = 'user') = (user_id IS NOT NULL)),
  CHECK ((kind = 'system') = (system_subject <> '')),
  CHECK ((kind = 'agent') = (num_nonnulls(agent_workspace, agent_owner, agent_template, agent_version) = 4))
);
CREATE INDEX api_tokens_version ON tallyd.api_tokens (version, id);
CREATE INDEX api_tokens_revoked ON tallyd.api_tokens (version, id) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_tokens_user ON tallyd.api_tokens (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE tallyd.audit_log (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at     timestamptz NOT NULL DEFAULT now(),
  actor  text NOT NULL,
  action text NOT NULL,
  object text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_at ON tallyd.audit_log (at);

-- The open period by replica, for people and SQL tools.
CREATE VIEW tallyd.boundary_usage_by_replica AS
SELECT s.replica_id,
       (SELECT count(DISTINCT w) FROM tallyd.boundary_usage_ids i JOIN tallyd.streams x USING (stream_id), unnest(i.workspaces) w
         WHERE i.period_id = c.period_id AND x.replica_id = s.replica_id) AS unique_workspaces_count,
       (SELECT count(DISTINCT u) FROM tallyd.boundary_usage_ids i JOIN tallyd.streams x USING (stream_id), unnest(i.users) u
         WHERE i.period_id = c.period_id AND x.replica_id = s.replica_id) AS unique_users_count,
       sum(t.allowed) AS allowed_requests,
       sum(t.denied) AS denied_requests,
       c.opened_at AS window_start,
       max(t.updated_at) AS updated_at
  FROM tallyd.period_clock c
  JOIN tallyd.boundary_usage_stats t ON t.period_id = c.period_id
  JOIN tallyd.streams s ON s.stream_id = t.stream_id
 GROUP BY s.replica_id, c.period_id, c.opened_at;

-- The figures of one period as its rows add up: what a report, the summary of the open period and `verify` all use.
-- One snapshot; a plain SELECT, so that PostgreSQL may run it in parallel.
-- (RETURNS TABLE, since only such a function is expanded into the query that calls it.)
CREATE FUNCTION tallyd.period_figures(p_period bigint)
RETURNS TABLE (
  replicas bigint, allowed numeric, denied numeric, dup_allowed numeric, dup_denied numeric, thrown_away numeric,
  increments bigint, late_increments bigint, unique_workspaces bigint, unique_users bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1 AS $$
  SELECT count(DISTINCT s.replica_id) FILTER (WHERE t.increments > 0),
         coalesce(sum(t.allowed), 0), coalesce(sum(t.denied), 0),
         coalesce(sum(t.dup_allowed), 0), coalesce(sum(t.dup_denied), 0), coalesce(sum(t.discarded), 0),
         coalesce(sum(t.increments), 0)::bigint, coalesce(sum(t.late_increments), 0)::bigint,
         (SELECT count(*) FROM (SELECT DISTINCT unnest(i.workspaces) FROM tallyd.boundary_usage_ids i
                                 WHERE i.period_id = p_period) q),
         (SELECT count(*) FROM (SELECT DISTINCT unnest(i.users) FROM tallyd.boundary_usage_ids i
                                 WHERE i.period_id = p_period) q)
    FROM tallyd.boundary_usage_stats t JOIN tallyd.streams s USING (stream_id)
   WHERE t.period_id = p_period
$$;

-- What each replica brought into a period, and when its first and last batch of it were committed.
CREATE FUNCTION tallyd.period_coverage(p_period bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'replica_id', q.replica_id, 'allowed_requests', q.allowed, 'denied_requests', q.denied,
           'late_increments', q.late,
           'first_batch_at', to_char(q.first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'last_batch_at', to_char(q.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
           ORDER BY q.replica_id), '[]')
    FROM (SELECT s.replica_id, sum(t.allowed) AS allowed, sum(t.denied) AS denied, sum(t.late_increments) AS late,
                 min(t.created_at) AS first_at, max(t.updated_at) AS last_at
            FROM tallyd.boundary_usage_stats t JOIN tallyd.streams s USING (stream_id)
           WHERE t.period_id = p_period AND t.increments > 0
           GROUP BY s.replica_id) q
$$;

-- One flush: the records (p_from, p_to] of one stream, in one statement of the caller and so in one transaction.
-- READ COMMITTED: each step sees what was committed before it, and every lock is waited for. The order of locks is fixed:
-- clock, stream, keys (sorted), then rows that only the holder of the stream's row touches. A function, and not one long
-- statement, because its plans are kept by the server's process, also behind a pooler in transaction mode.
-- A line that ends in a rule's name in brackets can be left out by builds for tests (db/detail/ruled_sql.hpp).
-- Never edited once released: a change gets a new name, since older replicas still call this one.
CREATE FUNCTION tallyd.flush_v1(
  p_stream uuid, p_from bigint, p_to bigint, p_chain_from bytea, p_chain_to bytea,
  p_guard_period bigint, p_guard_epoch bigint,            -- NULL: nothing was left out
  p_requests numeric, p_increments bigint,                -- all of the batch, for the ledger
  p_allowed numeric, p_denied numeric, p_workspaces uuid[], p_users uuid[],             -- records without a key
  p_repeat_allowed numeric, p_repeat_denied numeric,      -- repeats of a key that the sender merged away
  p_oldest_second bigint, p_seconds bigint[], p_counts bigint[],       -- when the increments were appended, Unix seconds
  p_keys uuid[], p_bodies bigint[], p_keys_allowed numeric[], p_keys_denied numeric[],  -- keyed effects, each key once
  p_workspace_effects integer[], p_effect_workspaces uuid[],           -- their ids: number of the effect from 1, id
  p_user_effects integer[], p_effect_users uuid[],
  OUT clock bigint, OUT applied bigint, OUT epoch bigint, OUT accepted integer[], OUT conflicts bigint)
LANGUAGE plpgsql AS $$
DECLARE
  v_opened timestamptz;
  v_late bigint := 0;
  v_allowed numeric := p_allowed;
  v_denied numeric := p_denied;
  v_dup_allowed numeric := p_repeat_allowed;
  v_dup_denied numeric := p_repeat_denied;
  v_sent_allowed numeric;
  v_sent_denied numeric;
  v_new_allowed numeric;
  v_new_denied numeric;
BEGIN
  accepted := '{}';
  conflicts := 0;
  SELECT c.period_id, c.opened_at INTO clock, v_opened FROM tallyd.period_clock c WHERE c.one
     FOR SHARE  -- [M3]
  ;

  UPDATE tallyd.streams s
     SET applied_lsn = p_to, chain = p_chain_to, boundary_requests = s.boundary_requests + p_requests,
         increments = s.increments + p_increments, updated_at = now()
   WHERE s.stream_id = p_stream
     AND s.applied_lsn = p_from                                -- [M1]
     AND s.chain = p_chain_from                                -- [M1] [M1.chain]
     AND s.state = 0                                           -- [M1.state]
     AND (p_guard_period IS NULL OR p_guard_period = clock)    -- [M9.sql]
     AND (p_guard_period IS NULL OR p_guard_epoch = s.ids_epoch)  -- [S7.epoch]
  RETURNING s.ids_epoch INTO epoch;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  applied := clock;

  IF cardinality(p_keys) > 0 THEN
    WITH sent AS MATERIALIZED (
      SELECT k.key_id, k.body, k.a, k.d, k.n
        FROM unnest(p_keys, p_bodies, p_keys_allowed, p_keys_denied) WITH ORDINALITY AS k(key_id, body, a, d, n)),
    taken AS (
      INSERT INTO tallyd.ingest_keys (key_id, body, seen_at)
      SELECT sent.key_id, sent.body, now() FROM sent
       ORDER BY sent.key_id  -- [S9.sorted]
      ON CONFLICT (key_id) DO NOTHING RETURNING ingest_keys.key_id)
    SELECT coalesce(sum(sent.a), 0), coalesce(sum(sent.d), 0),
           coalesce(sum(sent.a) FILTER (WHERE taken.key_id IS NOT NULL), 0),  -- [S9.keys: sum(sent.a),]
           coalesce(sum(sent.d) FILTER (WHERE taken.key_id IS NOT NULL), 0),  -- [S9.keys: sum(sent.d),]
           coalesce(array_agg(sent.n::integer ORDER BY sent.n) FILTER (WHERE taken.key_id IS NOT NULL), '{}')
      INTO v_sent_allowed, v_sent_denied, v_new_allowed, v_new_denied, accepted
      FROM sent LEFT JOIN taken USING (key_id);
    v_allowed := v_allowed + v_new_allowed;
    v_denied := v_denied + v_new_denied;
    v_dup_allowed := v_dup_allowed + v_sent_allowed - v_new_allowed;
    v_dup_denied := v_dup_denied + v_sent_denied - v_new_denied;
    IF cardinality(accepted) < cardinality(p_keys) THEN
      SELECT count(*) INTO conflicts
        FROM unnest(p_keys, p_bodies) AS k(key_id, body) JOIN tallyd.ingest_keys i ON i.key_id = k.key_id
       WHERE i.body <> k.body;
    END IF;
  END IF;

  IF to_timestamp(p_oldest_second) < v_opened - interval '60 s' THEN
    SELECT coalesce(sum(a.n), 0) INTO v_late FROM unnest(p_seconds, p_counts) AS a(at, n)
     WHERE to_timestamp(a.at) < v_opened - interval '60 s';
  END IF;

  -- We hold the stream's row, so nobody else makes or changes this one.
  UPDATE tallyd.boundary_usage_stats t
     SET allowed = t.allowed + v_allowed, denied = t.denied + v_denied,
         dup_allowed = t.dup_allowed + v_dup_allowed, dup_denied = t.dup_denied + v_dup_denied,
         increments = t.increments + p_increments, late_increments = t.late_increments + v_late, updated_at = now()
   WHERE t.period_id = clock AND t.stream_id = p_stream;
  IF NOT FOUND THEN
    INSERT INTO tallyd.boundary_usage_stats
      (period_id, stream_id, allowed, denied, dup_allowed, dup_denied, increments, late_increments)
    VALUES (clock, p_stream, v_allowed, v_denied, v_dup_allowed, v_dup_denied, p_increments, v_late);
  END IF;

  IF cardinality(accepted) > 0 THEN
    INSERT INTO tallyd.boundary_usage_ids (period_id, stream_id, lsn_to, workspaces, users)
    SELECT clock, p_stream, p_to, coalesce(w.ids, '{}'), coalesce(u.ids, '{}')
      FROM (SELECT array_agg(DISTINCT q.x) FROM (
              SELECT unnest(p_workspaces) UNION ALL
              SELECT e.x FROM unnest(p_workspace_effects, p_effect_workspaces) AS e(n, x)
                JOIN unnest(accepted) AS ok(n) ON ok.n = e.n  -- [S9.ids]
              ) AS q(x)) AS w(ids),
           (SELECT array_agg(DISTINCT q.x) FROM (
              SELECT unnest(p_users) UNION ALL
              SELECT e.x FROM unnest(p_user_effects, p_effect_users) AS e(n, x)
                JOIN unnest(accepted) AS ok(n) ON ok.n = e.n  -- [S9.ids]
              ) AS q(x)) AS u(ids)
     WHERE w.ids IS NOT NULL OR u.ids IS NOT NULL;
  ELSIF cardinality(p_workspaces) > 0 OR cardinality(p_users) > 0 THEN
    INSERT INTO tallyd.boundary_usage_ids (period_id, stream_id, lsn_to, workspaces, users)
    VALUES (clock, p_stream, p_to, ARRAY(SELECT DISTINCT unnest(p_workspaces)), ARRAY(SELECT DISTINCT unnest(p_users)));
  END IF;
END
$$;

-- Throws away what a replica brought into the open period; what it flushes afterwards counts. False: no such replica.
-- The streams' rows are locked before anything is read that their flushes write.
CREATE FUNCTION tallyd.discard_replica_v1(p_replica text, p_actor text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_clock bigint;
  v_streams uuid[];
  v_thrown numeric;
BEGIN
  SELECT c.period_id INTO v_clock FROM tallyd.period_clock c WHERE c.one FOR SHARE;
  SELECT array_agg(q.stream_id) INTO v_streams
    FROM (SELECT s.stream_id FROM tallyd.streams s WHERE s.replica_id = p_replica ORDER BY s.stream_id FOR UPDATE) q;
  IF v_streams IS NULL AND NOT EXISTS (SELECT FROM tallyd.replicas r WHERE r.replica_id = p_replica) THEN
    RETURN false;
  END IF;
  UPDATE tallyd.streams s SET ids_epoch = s.ids_epoch + 1 WHERE s.stream_id = ANY (v_streams);  -- [S7.raise]
  SELECT coalesce(sum(t.allowed + t.denied), 0) INTO v_thrown FROM tallyd.boundary_usage_stats t
   WHERE t.period_id = v_clock AND t.stream_id = ANY (v_streams);
  UPDATE tallyd.boundary_usage_stats t
     SET discarded = t.discarded + t.allowed + t.denied, allowed = 0, denied = 0, increments = 0, late_increments = 0,
         updated_at = now()
   WHERE t.period_id = v_clock AND t.stream_id = ANY (v_streams);
  DELETE FROM tallyd.boundary_usage_ids i WHERE i.period_id = v_clock AND i.stream_id = ANY (v_streams);
  INSERT INTO tallyd.audit_log (actor, action, object, detail)
  VALUES (p_actor, 'discard_replica', p_replica, jsonb_build_object('period', v_clock, 'requests', v_thrown));
  RETURN true;
END
$$;
