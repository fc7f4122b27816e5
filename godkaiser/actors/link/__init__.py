"""The link to the broker: the connections, the way of each message to its actor, the broker's accounts."""
