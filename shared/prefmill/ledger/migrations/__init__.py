"""Alembic migrations of the ledger, applied by `prefmill.ledger.database.migrate`."""
