"""The statements that write results. Arrays go through `unnest`: one statement a table, whatever
the number of cells; twice delivered is stored once; what was new is returned, counted by slot.
Numbers and hashes come as array literals, one text each: the driver would look at every item."""

from typing import Final

import sqlalchemy as sa

ANSWERS: Final = sa.text("""
    WITH new AS (
      INSERT INTO answer (run_id, position, slot_id, sample, digest, text_sha, text, finish_reason,
                          model, input_tokens, output_tokens, latency_ms, attempt, reused)
      SELECT a.*, false FROM unnest(
        :run ::text::bigint[], :position ::text::bigint[], :slot ::text::int[],
        :sample ::text::smallint[], :digest ::text::bytea[], :text_sha ::text::bytea[],
        :text ::text[], :finish_reason ::text[], :model ::text[], :input_tokens ::text::int[],
        :output_tokens ::text::int[], :latency ::text::int[], :attempt ::text::smallint[]) AS a
      ON CONFLICT DO NOTHING RETURNING run_id, slot_id, input_tokens, output_tokens)
    SELECT run_id, slot_id, count(*), sum(input_tokens), sum(output_tokens) FROM new GROUP BY 1, 2
""")

VERDICTS: Final = sa.text("""
    WITH new AS (
      INSERT INTO verdict (run_id, position, slot_id, aspect, sample, target, digest, shown,
                           readings, raw, model, input_tokens, output_tokens, latency_ms, attempt,
                           reused)
      SELECT r, p, s, a, n, t, d, string_to_array(o, ',')::smallint[], g::json, w, m, i, u, l, e,
             false
      FROM unnest(
        :run ::text::bigint[], :position ::text::bigint[], :slot ::text::int[], :aspect ::text[],
        :sample ::text::smallint[], :target ::text::bytea[], :digest ::text::bytea[],
        :shown ::text[], :readings ::text[], :raw ::text[], :model ::text[],
        :input_tokens ::text::int[], :output_tokens ::text::int[], :latency ::text::int[],
        :attempt ::text::smallint[])
        AS _(r, p, s, a, n, t, d, o, g, w, m, i, u, l, e)
      ON CONFLICT DO NOTHING RETURNING run_id, slot_id, input_tokens, output_tokens)
    SELECT run_id, slot_id, count(*), sum(input_tokens), sum(output_tokens) FROM new GROUP BY 1, 2
""")

ATTEMPTS: Final = sa.text("""
    WITH new AS (
      INSERT INTO attempt (run_id, position, slot_id, aspect, sample, target, reason, detail, raw,
                           readings, shown, model, input_tokens, output_tokens, latency_ms, attempt)
      SELECT r, p, s, a, n, t, c, f, w, g::json, string_to_array(o, ',')::smallint[], m, i, u, l, e
      FROM unnest(
        :run ::text::bigint[], :position ::text::bigint[], :slot ::text::int[], :aspect ::text[],
        :sample ::text::smallint[], :target ::text::bytea[], :reason ::text[], :detail ::text[],
        :raw ::text[], :readings ::text[], :shown ::text[], :model ::text[],
        :input_tokens ::text::int[], :output_tokens ::text::int[], :latency ::text::int[],
        :attempt ::text::smallint[])
        AS _(r, p, s, a, n, t, c, f, w, g, o, m, i, u, l, e)
      ON CONFLICT DO NOTHING RETURNING run_id, slot_id, input_tokens, output_tokens)
    SELECT run_id, slot_id, count(*), sum(input_tokens), sum(output_tokens) FROM new GROUP BY 1, 2
""")

FAILURES: Final = sa.text("""
    WITH new AS (
      INSERT INTO failure (run_id, position, slot_id, aspect, sample, target, reason, detail)
      SELECT f.* FROM unnest(
        :run ::text::bigint[], :position ::text::bigint[], :slot ::text::int[], :aspect ::text[],
        :sample ::text::smallint[], :target ::text::bytea[], :reason ::text[], :detail ::text[])
        AS f(run_id, position, slot_id, aspect, sample, target, reason, detail)
      WHERE NOT EXISTS (SELECT FROM answer a WHERE (a.run_id, a.position, a.slot_id, a.sample)
                        = (f.run_id, f.position, f.slot_id, f.sample))
        AND NOT EXISTS (SELECT FROM verdict v
                        WHERE (v.run_id, v.position, v.slot_id, v.aspect, v.sample, v.target)
                        = (f.run_id, f.position, f.slot_id, f.aspect, f.sample, f.target))
      ON CONFLICT DO NOTHING RETURNING run_id, slot_id)
    SELECT run_id, slot_id, count(*) FROM new GROUP BY 1, 2
""")

BEST_ATTEMPT: Final = sa.text("""
    SELECT attempt, readings::text, shown, raw, model FROM attempt
    WHERE run_id = :run AND position = :position AND slot_id = :slot AND aspect = :aspect
      AND sample = :sample AND target = :target AND readings IS NOT NULL
    ORDER BY attempt
""")

TALLY: Final = sa.text("""
    INSERT INTO tally AS t (run_id, slot_id, done, failed, attempts, input_tokens, output_tokens)
    SELECT * FROM unnest(:run ::text::bigint[], :slot ::text::int[], :done ::text::bigint[],
                         :failed ::text::bigint[], :attempts ::text::bigint[],
                         :input_tokens ::text::bigint[], :output_tokens ::text::bigint[])
    ON CONFLICT (run_id, slot_id) DO UPDATE SET
      done = t.done + excluded.done, failed = t.failed + excluded.failed,
      attempts = t.attempts + excluded.attempts,
      input_tokens = t.input_tokens + excluded.input_tokens,
      output_tokens = t.output_tokens + excluded.output_tokens
""")

NOTIFY: Final = sa.text("SELECT pg_notify(:channel, run) FROM unnest(:runs ::text[]) AS run")
CLOSE: Final = sa.text("UPDATE batch SET state = 2 WHERE id = ANY(:ids) AND state < 2")
DIED: Final = sa.text("UPDATE batch SET state = 2, died = true WHERE id = ANY(:ids) AND state < 2")
PAUSE: Final = sa.text("""
    UPDATE lane SET paused = :detail FROM slot WHERE slot.id = :slot AND lane.slug = slot.lane
""")
DEAD: Final = sa.text("""
    INSERT INTO dead (batch_id, subject, error, deliveries, payload)
    VALUES (:batch, :subject, :error, :deliveries, :payload)
""")
