"""Cells of which there is no result, and why."""

from typing import Final

from prefmill.contracts.reasons import EMPTY

LOST_CELLS: Final = f"""
    (SELECT run_id, position, slot_id, aspect, sample, target, reason, detail FROM failure
     UNION ALL
     SELECT p.run_id, p.position, s.id, '', 0, ''::bytea, '{EMPTY}', 'the data hold no text of it'
     FROM prompt p CROSS JOIN unnest(p.models) AS author
     JOIN slot s ON s.run_id = p.run_id AND s.kind = 'given' AND s.alias = author
     WHERE p.given AND p.failure IS NULL AND NOT EXISTS (
         SELECT FROM answer a
         WHERE a.run_id = p.run_id AND a.position = p.position AND a.slot_id = s.id
     )) AS lost
"""
"""A table of them for `FROM`: those that failed, and responses that came blank with the data, which
nobody can be asked for again."""
