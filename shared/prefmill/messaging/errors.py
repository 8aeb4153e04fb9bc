"""What can be wrong with NATS, as sentences for a person."""


class NatsUnavailable(ConnectionError):
    """No NATS server answers; the message says where it was looked for and what to do."""
