"""The command `prefmill`: everything on one machine, or a talk with a coordinator elsewhere.

Comes in: what a person types, and recipes. Goes out: a running stack (embedded servers, services as
processes), requests to a coordinator's HTTP API, and what is shown at the terminal. Never does:
decide what is to be called, touch the ledger, or import a service into its own process; start-up
counts in milliseconds here, so every command imports what it needs when it runs.
"""
