"""The link to the broker: connections, acknowledgement after commit, and who may publish what."""
