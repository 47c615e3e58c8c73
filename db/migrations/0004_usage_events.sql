-- Usage events and how far each has come on its way to the collector.
-- Times are the database's own but for created_at, which the sender may say.
CREATE TABLE tallyd.usage_events (
  id              text PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 255),
  number          bigint GENERATED ALWAYS AS IDENTITY,  -- order of arrival, for paging; with gaps
  event_type      text NOT NULL,
  event_data      json NOT NULL,      -- as it was sent
  created_at      timestamptz NOT NULL,
  received_at     timestamptz NOT NULL DEFAULT now(),
  status          smallint NOT NULL CHECK (status BETWEEN 0 AND 5),  -- pending, sending, published, rejected, expired, held
  attempts        bigint NOT NULL DEFAULT 0,  -- also the fence of a lease, so never set back: whoever settles names its attempt
  leased_by       text,
  leased_at       timestamptz,
  leased_until    timestamptz,
  next_attempt_at timestamptz,        -- NULL: at once
  unknown_since   timestamptz,        -- sent, and nobody knows what became of it
  first_failed_at timestamptz,
  failure_message text,
  published_at    timestamptz,
  settled_at      timestamptz         -- when it came to rest: published, rejected, expired or held
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX usage_events_number ON tallyd.usage_events (number);
CREATE INDEX usage_events_waiting ON tallyd.usage_events (created_at, id) WHERE status IN (0, 1);
CREATE INDEX usage_events_waiting_since ON tallyd.usage_events (received_at) WHERE status IN (0, 1);
-- The few that were sent before and wait for another attempt, whatever backlog waits beside them.
CREATE INDEX usage_events_again ON tallyd.usage_events (created_at, id) WHERE status IN (0, 1) AND attempts > 0;
CREATE INDEX usage_events_failing ON tallyd.usage_events (first_failed_at) WHERE status IN (0, 1) AND first_failed_at IS NOT NULL;
CREATE INDEX usage_events_by_status ON tallyd.usage_events (status, number);
CREATE INDEX usage_events_settled ON tallyd.usage_events (settled_at) WHERE status IN (2, 3, 4);

-- The usage events of one flush, in its transaction and behind it (flush_v1 holds the stream's row). An id that is there
-- already stays as it is, whoever brought it. Answers how many were new. Never edited once released.
CREATE FUNCTION tallyd.insert_usage_events_v1(
  p_stream uuid, p_events bigint, p_ids text[], p_types text[], p_data text[], p_created timestamptz[],
  p_statuses integer[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_new bigint;
BEGIN
  UPDATE tallyd.streams s SET usage_events = s.usage_events + p_events WHERE s.stream_id = p_stream;
  INSERT INTO tallyd.usage_events (id, event_type, event_data, created_at, status, failure_message, settled_at)
  SELECT u.id, u.type, u.data::json,
         coalesce(u.created, now()), u.status,
         CASE WHEN u.status = 5 THEN 'unknown type: requeue it once the collector knows it' END,
         CASE WHEN u.status = 5 THEN now() END
    FROM unnest(p_ids, p_types, p_data, p_created, p_statuses) AS u(id, type, data, created, status)
   ORDER BY u.id
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_new = ROW_COUNT;
  RETURN v_new;
END
$$;
