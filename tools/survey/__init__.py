"""A survey of state machine definitions: which of them the local AWS runs, and how they end."""
