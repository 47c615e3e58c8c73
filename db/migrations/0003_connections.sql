-- The connection log. One row is what all events of one entry said, joined as tracker/connection.cpp joins them:
-- commutative, associative and idempotent. NULL is "nobody said"; there are no stand-ins.
CREATE TABLE tallyd.connection_logs (
  -- Hash of (connection, workspace, agent, organization) behind four bytes of the connection alone; or of a point's own id.
  entry              uuid PRIMARY KEY,
  id                 uuid NOT NULL,       -- what people see: the same, or the id that the point in time came with
  organization_id    uuid NOT NULL,
  workspace_owner_id uuid NOT NULL,
  workspace_id       uuid NOT NULL,
  workspace_name     text NOT NULL,
  agent_name         text NOT NULL,
  type               text NOT NULL,
  connection_id      uuid,                -- NULL: a point in time
  first_connect      timestamptz,         -- by the clock of whoever said so, as the next two
  last_connect       timestamptz,
  disconnect         timestamptz,         -- the latest, with its code and reason; a point in time is its own
  code               bigint,
  reason             text,
  disconnect_hash    uuid,                -- tells disconnects of one instant apart
  ip                 inet,
  user_agent         text,
  user_id            uuid,
  slug_or_port       text,
  connect_code       bigint,              -- of the earliest connect that has one: what a session says of how it began
  connect_reason     text,
  -- Ranks of events (time, status, hash), which sort as bytes. The earliest of all is where the names and the type are
  -- from; another column's own is NULL where that is the same.
  said_first         bytea NOT NULL,
  ip_said            bytea,
  user_agent_said    bytea,
  user_id_said       bytea,
  slug_or_port_said  bytea,
  connect_code_said  bytea,
  connect_reason_said bytea,
  -- Outside the join, by the database's clock.
  created_at         timestamptz NOT NULL DEFAULT now(),
  heard_at           timestamptz NOT NULL DEFAULT now(),
  lost_at            timestamptz,         -- nothing was heard for --connection-timeout; the next event takes it back
  at                 timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(first_connect, disconnect)) STORED,
  last_at            timestamptz NOT NULL GENERATED ALWAYS AS (greatest(last_connect, disconnect)) STORED,
  state              smallint NOT NULL GENERATED ALWAYS AS (  -- 0 point in time, 1 ongoing, 2 completed
    CASE WHEN connection_id IS NULL THEN 0
         WHEN lost_at IS NULL AND (disconnect IS NULL OR last_connect > disconnect) THEN 1
         ELSE 2 END) STORED
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02);

-- Newest first within each thing that people ask for: a page is the first few entries of one of them. Each costs every
-- event some microseconds, so there is one pair only: a type within an organization may be rare where each is not.
-- Elsewhere what else is asked for can be compared in the index, without the row. A connection is found by its entry,
-- which begins with a digest of it.
CREATE INDEX connection_logs_at ON tallyd.connection_logs (at, entry) INCLUDE (state);
CREATE INDEX connection_logs_organization ON tallyd.connection_logs (organization_id, at, entry) INCLUDE (state);
CREATE INDEX connection_logs_organization_type ON tallyd.connection_logs (organization_id, type, at, entry) INCLUDE (state);
CREATE INDEX connection_logs_owner ON tallyd.connection_logs (workspace_owner_id, at, entry) INCLUDE (organization_id, type, state);
CREATE INDEX connection_logs_workspace ON tallyd.connection_logs (workspace_id, at, entry) INCLUDE (organization_id, type, state);
CREATE INDEX connection_logs_user ON tallyd.connection_logs (user_id, at, entry) INCLUDE (organization_id, type, state) WHERE user_id IS NOT NULL;
CREATE INDEX connection_logs_type ON tallyd.connection_logs (type, at, entry) INCLUDE (state);
-- What is ongoing is little beside the rest: whoever asks for some of it may read all of it.
CREATE INDEX connection_logs_ongoing ON tallyd.connection_logs (at, entry) INCLUDE (organization_id, type) WHERE state = 1;
CREATE INDEX connection_logs_arrived ON tallyd.connection_logs USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on);

-- People ask by address too.
CREATE INDEX users_email ON tallyd.users (lower(email)) WHERE email <> '';

-- Where entries stood before they moved, which one does when an earlier connect of it becomes known: a cursor goes on in
-- the order in which its first page was. Kept for as long as cursors are good.
CREATE TABLE tallyd.connection_log_moves (
  moved_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
  entry    uuid NOT NULL,
  from_at  timestamptz NOT NULL,
  moved_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (moved_by, entry)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE FUNCTION tallyd.note_connection_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tallyd.connection_log_moves (entry, from_at) VALUES (OLD.entry, OLD.at) ON CONFLICT DO NOTHING;  -- [S10.moves]
  RETURN NULL;
END
$$;
CREATE TRIGGER connection_logs_moved AFTER UPDATE ON tallyd.connection_logs
  FOR EACH ROW WHEN (OLD.at <> NEW.at) EXECUTE FUNCTION tallyd.note_connection_move();

-- The sessions that the retention removed, so that what comes after them makes no row without a head; and how far it went.
-- One that had ended is heard of again soon or never; one that had not may end whenever its machine wakes up.
CREATE TABLE tallyd.connection_logs_purged (
  entry     uuid PRIMARY KEY,
  ended     boolean NOT NULL,
  purged_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX connection_logs_purged_at ON tallyd.connection_logs_purged (ended, purged_at);

CREATE TABLE tallyd.connection_log_purge (
  one           boolean PRIMARY KEY DEFAULT true CHECK (one),
  purged_before timestamptz,  -- every entry whose last event was earlier may be gone; NULL: nothing was ever removed
  purged        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO tallyd.connection_log_purge DEFAULT VALUES;

-- The rank of the event that a value is from; nothing where there is no value.
CREATE FUNCTION tallyd.connection_said(p_there boolean, p_said bytea, p_first bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN p_there THEN coalesce(p_said, p_first) END $$;

-- Whether disconnect a goes before disconnect b: the later, then the one that says more, then the greater hash.
CREATE FUNCTION tallyd.connection_ends_later(
  a_at timestamptz, a_code bigint, a_reason text, a_hash uuid, b_at timestamptz, b_code bigint, b_reason text, b_hash uuid)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT a_at IS NOT NULL AND (b_at IS NULL OR
    (a_at, a_code IS NOT NULL, a_reason IS NOT NULL, a_hash) > (b_at, b_code IS NOT NULL, b_reason IS NOT NULL, b_hash))
$$;

-- The connections of one flush, in its transaction and behind it (flush_v1 holds the stream's row). p_effects: the number
-- of the keyed effect that a row belongs to, 0 for none; rows of effects that were not accepted are left out. An entry
-- may be in several effects, which p_repeated says: its rows are then joined before they meet the table, however many
-- there are. Entries are locked in order, so that two flushes never wait for each other crosswise. Never edited once
-- released.
CREATE FUNCTION tallyd.merge_connections_v1(
  p_stream uuid, p_events bigint, p_accepted integer[], p_repeated boolean, p_effects integer[],
  p_entries uuid[], p_ids uuid[], p_organizations uuid[], p_owners uuid[], p_workspaces uuid[],
  p_workspace_names text[], p_agent_names text[], p_types text[], p_connections uuid[],
  p_first_connects timestamptz[], p_last_connects timestamptz[],
  p_disconnects timestamptz[], p_codes bigint[], p_reasons text[], p_disconnect_hashes uuid[],
  p_ips text[], p_user_agents text[], p_users uuid[], p_slugs text[],
  p_said_first bytea[], p_ips_said bytea[], p_user_agents_said bytea[], p_users_said bytea[], p_slugs_said bytea[],
  p_connect_codes bigint[], p_connect_reasons text[], p_connect_codes_said bytea[], p_connect_reasons_said bytea[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_purged_before timestamptz;
BEGIN
  UPDATE tallyd.streams s SET connection_events = s.connection_events + p_events WHERE s.stream_id = p_stream;
  SELECT p.purged_before INTO v_purged_before FROM tallyd.connection_log_purge p WHERE p.one;
  WITH said AS NOT MATERIALIZED (
    SELECT u.*
      FROM unnest(p_effects, p_entries, p_ids, p_organizations, p_owners, p_workspaces, p_workspace_names,
                  p_agent_names, p_types, p_connections, p_first_connects, p_last_connects, p_disconnects, p_codes,
                  p_reasons, p_disconnect_hashes, p_ips, p_user_agents, p_users, p_slugs, p_said_first, p_ips_said,
                  p_user_agents_said, p_users_said, p_slugs_said,
                  p_connect_codes, p_connect_reasons, p_connect_codes_said, p_connect_reasons_said)
             AS u(effect, entry, id, organization, owner, workspace, workspace_name, agent_name, type, connection,
                  first_connect, last_connect, disconnect, code, reason, disconnect_hash, ip, user_agent, user_id,
                  slug, said_first, ip_said, user_agent_said, user_said, slug_said,
                  connect_code, connect_reason, connect_code_said, connect_reason_said)
     WHERE u.effect = 0 OR u.effect = ANY (p_accepted)),  -- [S10.effects: ),]
  -- As the update below joins two, of any number: an array's first element is that of the row that wins.
  folded AS NOT MATERIALIZED (
    SELECT s.entry, (array_agg(s.id))[1] AS id, (array_agg(s.organization))[1] AS organization,
           (array_agg(s.owner ORDER BY s.said_first))[1] AS owner, (array_agg(s.workspace))[1] AS workspace,
           (array_agg(s.workspace_name ORDER BY s.said_first))[1] AS workspace_name,
           (array_agg(s.agent_name ORDER BY s.said_first))[1] AS agent_name,
           (array_agg(s.type ORDER BY s.said_first))[1] AS type, (array_agg(s.connection))[1] AS connection,
           min(s.first_connect) AS first_connect, max(s.last_connect) AS last_connect,
           max(s.disconnect) AS disconnect,  -- [S10.folded: min(s.disconnect) AS disconnect,]
           (array_agg(s.code ORDER BY s.disconnect DESC NULLS LAST, s.code IS NULL, s.reason IS NULL, s.disconnect_hash DESC))[1] AS code,
           (array_agg(s.reason ORDER BY s.disconnect DESC NULLS LAST, s.code IS NULL, s.reason IS NULL, s.disconnect_hash DESC))[1] AS reason,
           (array_agg(s.disconnect_hash ORDER BY s.disconnect DESC NULLS LAST, s.code IS NULL, s.reason IS NULL, s.disconnect_hash DESC))[1]
             AS disconnect_hash,
           (array_agg(s.ip ORDER BY coalesce(s.ip_said, s.said_first)) FILTER (WHERE s.ip IS NOT NULL))[1] AS ip,
           (array_agg(s.user_agent ORDER BY coalesce(s.user_agent_said, s.said_first)) FILTER (WHERE s.user_agent IS NOT NULL))[1] AS user_agent,
           (array_agg(s.user_id ORDER BY coalesce(s.user_said, s.said_first)) FILTER (WHERE s.user_id IS NOT NULL))[1] AS user_id,
           (array_agg(s.slug ORDER BY coalesce(s.slug_said, s.said_first)) FILTER (WHERE s.slug IS NOT NULL))[1] AS slug,
           (array_agg(s.said_first ORDER BY s.said_first))[1] AS said_first,
           (array_agg(coalesce(s.ip_said, s.said_first) ORDER BY coalesce(s.ip_said, s.said_first)) FILTER (WHERE s.ip IS NOT NULL))[1] AS ip_said,
           (array_agg(coalesce(s.user_agent_said, s.said_first) ORDER BY coalesce(s.user_agent_said, s.said_first))
             FILTER (WHERE s.user_agent IS NOT NULL))[1] AS user_agent_said,
           (array_agg(coalesce(s.user_said, s.said_first) ORDER BY coalesce(s.user_said, s.said_first)) FILTER (WHERE s.user_id IS NOT NULL))[1] AS user_said,
           (array_agg(coalesce(s.slug_said, s.said_first) ORDER BY coalesce(s.slug_said, s.said_first)) FILTER (WHERE s.slug IS NOT NULL))[1] AS slug_said,
           (array_agg(s.connect_code ORDER BY coalesce(s.connect_code_said, s.said_first)) FILTER (WHERE s.connect_code IS NOT NULL))[1] AS connect_code,
           (array_agg(s.connect_reason ORDER BY coalesce(s.connect_reason_said, s.said_first)) FILTER (WHERE s.connect_reason IS NOT NULL))[1]
             AS connect_reason,
           (array_agg(coalesce(s.connect_code_said, s.said_first) ORDER BY coalesce(s.connect_code_said, s.said_first))
             FILTER (WHERE s.connect_code IS NOT NULL))[1] AS connect_code_said,
           (array_agg(coalesce(s.connect_reason_said, s.said_first) ORDER BY coalesce(s.connect_reason_said, s.said_first))
             FILTER (WHERE s.connect_reason IS NOT NULL))[1] AS connect_reason_said
      FROM said s WHERE p_repeated GROUP BY s.entry),
  once AS NOT MATERIALIZED (
    SELECT s.entry, s.id, s.organization, s.owner, s.workspace, s.workspace_name, s.agent_name, s.type, s.connection,
           s.first_connect, s.last_connect, s.disconnect, s.code, s.reason, s.disconnect_hash, s.ip, s.user_agent,
           s.user_id, s.slug, s.said_first, s.ip_said, s.user_agent_said, s.user_said, s.slug_said,
           s.connect_code, s.connect_reason, s.connect_code_said, s.connect_reason_said
      FROM said s WHERE NOT p_repeated
    UNION ALL
    SELECT f.entry, f.id, f.organization, f.owner, f.workspace, f.workspace_name, f.agent_name, f.type, f.connection,
           f.first_connect, f.last_connect, f.disconnect, f.code, f.reason, f.disconnect_hash, f.ip, f.user_agent,
           f.user_id, f.slug, f.said_first, nullif(f.ip_said, f.said_first), nullif(f.user_agent_said, f.said_first),
           nullif(f.user_said, f.said_first), nullif(f.slug_said, f.said_first),
           f.connect_code, f.connect_reason, nullif(f.connect_code_said, f.said_first), nullif(f.connect_reason_said, f.said_first)
      FROM folded f)
  INSERT INTO tallyd.connection_logs AS t
    (entry, id, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type, connection_id,
     first_connect, last_connect, disconnect, code, reason, disconnect_hash, ip, user_agent, user_id, slug_or_port,
     said_first, ip_said, user_agent_said, user_id_said, slug_or_port_said,
     connect_code, connect_reason, connect_code_said, connect_reason_said)
  SELECT q.entry, q.id, q.organization, q.owner, q.workspace, q.workspace_name, q.agent_name, q.type, q.connection,
         q.first_connect, q.last_connect, q.disconnect, q.code, q.reason, q.disconnect_hash,
         q.ip::inet, q.user_agent, q.user_id, q.slug, q.said_first, q.ip_said, q.user_agent_said, q.user_said, q.slug_said,
         q.connect_code, q.connect_reason, q.connect_code_said, q.connect_reason_said
    FROM once q
   WHERE NOT (v_purged_before IS NOT NULL AND q.first_connect IS NULL
              AND q.disconnect < v_purged_before
              AND NOT EXISTS (SELECT FROM tallyd.connection_logs c WHERE c.entry = q.entry))
   ORDER BY q.entry
  ON CONFLICT (entry) DO UPDATE SET
    workspace_owner_id = CASE WHEN excluded.said_first < t.said_first THEN excluded.workspace_owner_id ELSE t.workspace_owner_id END,
    workspace_name = CASE WHEN excluded.said_first < t.said_first THEN excluded.workspace_name ELSE t.workspace_name END,
    agent_name = CASE WHEN excluded.said_first < t.said_first THEN excluded.agent_name ELSE t.agent_name END,
    type = CASE WHEN excluded.said_first < t.said_first THEN excluded.type ELSE t.type END,
    said_first = least(t.said_first, excluded.said_first),  -- [S10.row-first: said_first = excluded.said_first,]
    first_connect = least(t.first_connect, excluded.first_connect),  -- [S10.row-connect: first_connect = coalesce(t.first_connect, excluded.first_connect),]
    last_connect = greatest(t.last_connect, excluded.last_connect),
    disconnect = greatest(t.disconnect, excluded.disconnect),  -- [S10.row-end: disconnect = coalesce(t.disconnect, excluded.disconnect),]
    code = CASE WHEN tallyd.connection_ends_later(excluded.disconnect, excluded.code, excluded.reason, excluded.disconnect_hash,
                                                  t.disconnect, t.code, t.reason, t.disconnect_hash)
                THEN excluded.code ELSE t.code END,
    reason = CASE WHEN tallyd.connection_ends_later(excluded.disconnect, excluded.code, excluded.reason, excluded.disconnect_hash,
                                                    t.disconnect, t.code, t.reason, t.disconnect_hash)
                  THEN excluded.reason ELSE t.reason END,
    disconnect_hash = CASE WHEN tallyd.connection_ends_later(excluded.disconnect, excluded.code, excluded.reason, excluded.disconnect_hash,
                                                             t.disconnect, t.code, t.reason, t.disconnect_hash)
                           THEN excluded.disconnect_hash ELSE t.disconnect_hash END,
    ip = CASE WHEN t.ip IS NULL OR tallyd.connection_said(excluded.ip IS NOT NULL, excluded.ip_said, excluded.said_first)
                                 < tallyd.connection_said(t.ip IS NOT NULL, t.ip_said, t.said_first)
              THEN excluded.ip ELSE t.ip END,
    ip_said = nullif(least(tallyd.connection_said(excluded.ip IS NOT NULL, excluded.ip_said, excluded.said_first),
                           tallyd.connection_said(t.ip IS NOT NULL, t.ip_said, t.said_first)),
                     least(t.said_first, excluded.said_first)),
    user_agent = CASE WHEN t.user_agent IS NULL
                        OR tallyd.connection_said(excluded.user_agent IS NOT NULL, excluded.user_agent_said, excluded.said_first)
                         < tallyd.connection_said(t.user_agent IS NOT NULL, t.user_agent_said, t.said_first)
                      THEN excluded.user_agent ELSE t.user_agent END,
    user_agent_said = nullif(least(tallyd.connection_said(excluded.user_agent IS NOT NULL, excluded.user_agent_said, excluded.said_first),
                                   tallyd.connection_said(t.user_agent IS NOT NULL, t.user_agent_said, t.said_first)),
                             least(t.said_first, excluded.said_first)),
    user_id = CASE WHEN t.user_id IS NULL
                     OR tallyd.connection_said(excluded.user_id IS NOT NULL, excluded.user_id_said, excluded.said_first)
                      < tallyd.connection_said(t.user_id IS NOT NULL, t.user_id_said, t.said_first)
                   THEN excluded.user_id ELSE t.user_id END,
    user_id_said = nullif(least(tallyd.connection_said(excluded.user_id IS NOT NULL, excluded.user_id_said, excluded.said_first),
                                tallyd.connection_said(t.user_id IS NOT NULL, t.user_id_said, t.said_first)),
                          least(t.said_first, excluded.said_first)),
    slug_or_port = CASE WHEN t.slug_or_port IS NULL
                          OR tallyd.connection_said(excluded.slug_or_port IS NOT NULL, excluded.slug_or_port_said, excluded.said_first)
                           < tallyd.connection_said(t.slug_or_port IS NOT NULL, t.slug_or_port_said, t.said_first)
                        THEN excluded.slug_or_port ELSE t.slug_or_port END,
    slug_or_port_said = nullif(least(tallyd.connection_said(excluded.slug_or_port IS NOT NULL, excluded.slug_or_port_said, excluded.said_first),
                                     tallyd.connection_said(t.slug_or_port IS NOT NULL, t.slug_or_port_said, t.said_first)),
                               least(t.said_first, excluded.said_first)),
    connect_code = CASE WHEN t.connect_code IS NULL
                          OR tallyd.connection_said(excluded.connect_code IS NOT NULL, excluded.connect_code_said, excluded.said_first)
                           < tallyd.connection_said(t.connect_code IS NOT NULL, t.connect_code_said, t.said_first)
                        THEN excluded.connect_code ELSE t.connect_code END,
    connect_code_said = nullif(least(tallyd.connection_said(excluded.connect_code IS NOT NULL, excluded.connect_code_said, excluded.said_first),
                                     tallyd.connection_said(t.connect_code IS NOT NULL, t.connect_code_said, t.said_first)),
                               least(t.said_first, excluded.said_first)),
    connect_reason = CASE WHEN t.connect_reason IS NULL
                          OR tallyd.connection_said(excluded.connect_reason IS NOT NULL, excluded.connect_reason_said, excluded.said_first)
                           < tallyd.connection_said(t.connect_reason IS NOT NULL, t.connect_reason_said, t.said_first)
                        THEN excluded.connect_reason ELSE t.connect_reason END,
    connect_reason_said = nullif(least(tallyd.connection_said(excluded.connect_reason IS NOT NULL, excluded.connect_reason_said, excluded.said_first),
                                     tallyd.connection_said(t.connect_reason IS NOT NULL, t.connect_reason_said, t.said_first)),
                               least(t.said_first, excluded.said_first)),
    heard_at = now(), lost_at = NULL  -- [S10.lost: heard_at = now()]
  -- What changes nothing writes nothing; but an ongoing session that repeats itself was heard.
  WHERE t.state = 1 OR t.lost_at IS NOT NULL
     OR excluded.said_first < t.said_first
     OR excluded.first_connect < t.first_connect OR (t.first_connect IS NULL AND excluded.first_connect IS NOT NULL)
     OR excluded.last_connect > t.last_connect
     OR tallyd.connection_ends_later(excluded.disconnect, excluded.code, excluded.reason, excluded.disconnect_hash,
                                     t.disconnect, t.code, t.reason, t.disconnect_hash)
     OR (t.ip IS NULL AND excluded.ip IS NOT NULL)
     OR tallyd.connection_said(excluded.ip IS NOT NULL, excluded.ip_said, excluded.said_first)
      < tallyd.connection_said(t.ip IS NOT NULL, t.ip_said, t.said_first)
     OR (t.user_agent IS NULL AND excluded.user_agent IS NOT NULL)
     OR tallyd.connection_said(excluded.user_agent IS NOT NULL, excluded.user_agent_said, excluded.said_first)
      < tallyd.connection_said(t.user_agent IS NOT NULL, t.user_agent_said, t.said_first)
     OR (t.user_id IS NULL AND excluded.user_id IS NOT NULL)
     OR tallyd.connection_said(excluded.user_id IS NOT NULL, excluded.user_id_said, excluded.said_first)
      < tallyd.connection_said(t.user_id IS NOT NULL, t.user_id_said, t.said_first)
     OR (t.slug_or_port IS NULL AND excluded.slug_or_port IS NOT NULL)
     OR tallyd.connection_said(excluded.slug_or_port IS NOT NULL, excluded.slug_or_port_said, excluded.said_first)
      < tallyd.connection_said(t.slug_or_port IS NOT NULL, t.slug_or_port_said, t.said_first)
     OR (t.connect_code IS NULL AND excluded.connect_code IS NOT NULL)
     OR tallyd.connection_said(excluded.connect_code IS NOT NULL, excluded.connect_code_said, excluded.said_first)
      < tallyd.connection_said(t.connect_code IS NOT NULL, t.connect_code_said, t.said_first)
     OR (t.connect_reason IS NULL AND excluded.connect_reason IS NOT NULL)
     OR tallyd.connection_said(excluded.connect_reason IS NOT NULL, excluded.connect_reason_said, excluded.said_first)
      < tallyd.connection_said(t.connect_reason IS NOT NULL, t.connect_reason_said, t.said_first);
  -- A lone disconnect of what was removed leaves no row. Looked for behind the insert, which may have waited for the very
  -- purge that removed it.
  IF v_purged_before IS NOT NULL THEN
    DELETE FROM tallyd.connection_logs c
     WHERE c.first_connect IS NULL  -- [S10.purged: WHERE false]
       AND c.entry = ANY (ARRAY(
         SELECT g.entry FROM tallyd.connection_logs_purged g
          WHERE g.entry = ANY (ARRAY(SELECT u.entry FROM unnest(p_entries, p_first_connects) AS u(entry, first_connect)
                                      WHERE u.first_connect IS NULL))));
  END IF;
END
$$;

-- One chunk of the retention: entries whose last event is older than that, oldest first. Rows that a flush holds are left
-- for the next chunk. Answers how many went.
CREATE FUNCTION tallyd.purge_connections_v1(p_retention_seconds double precision, p_chunk bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_before timestamptz := now() - make_interval(secs => p_retention_seconds);
  v_gone bigint;
BEGIN
  WITH gone AS (
    DELETE FROM tallyd.connection_logs c WHERE c.entry = ANY (ARRAY(
      SELECT o.entry FROM tallyd.connection_logs o WHERE o.at < v_before AND o.last_at < v_before
       ORDER BY o.at LIMIT p_chunk FOR UPDATE SKIP LOCKED))
    RETURNING c.entry, c.connection_id, c.disconnect IS NOT NULL AND coalesce(c.last_connect <= c.disconnect, true) AS ended),
  noted AS (
    INSERT INTO tallyd.connection_logs_purged (entry, ended)
    SELECT g.entry, g.ended FROM gone g WHERE g.connection_id IS NOT NULL ORDER BY g.entry
    ON CONFLICT (entry) DO UPDATE SET ended = excluded.ended, purged_at = now())
  SELECT count(*) INTO v_gone FROM gone;
  IF v_gone > 0 THEN
    UPDATE tallyd.connection_log_purge p
       SET purged_before = greatest(p.purged_before, v_before), purged = p.purged + v_gone WHERE p.one;
  END IF;
  -- A lone disconnect that comes later than that is taken as news.
  DELETE FROM tallyd.connection_logs_purged d WHERE d.entry = ANY (ARRAY(
    SELECT o.entry
      FROM (VALUES (true, interval '7 days'), (false, interval '90 days')) AS k(ended, kept),
           LATERAL (SELECT p.entry FROM tallyd.connection_logs_purged p
                     WHERE p.ended = k.ended AND p.purged_at < least(v_before, now() - k.kept)
                     ORDER BY p.purged_at LIMIT p_chunk FOR UPDATE SKIP LOCKED) o));
  RETURN v_gone;
END
$$;
