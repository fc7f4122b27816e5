"""The link to the broker: connections, routing of messages to actors, broker accounts."""
