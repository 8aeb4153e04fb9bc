"""Runs migrations on the connection that `migrate` hands over; there is no offline mode."""

from alembic import context

from prefmill.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
