"""What goes over NATS, and how: streams and lanes, publishing, the one pull loop, announcements.

Comes in: messages of `prefmill.contracts`, a NATS connection, a handler. Goes out: batches to the
handler, replies and announcements to NATS, each acknowledged only when what it asked for is safe.
Never does: decide what work there is, read or write the ledger, know a rubric or a format.
"""
