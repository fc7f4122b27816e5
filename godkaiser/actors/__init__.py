"""The domain's actors: thin shells that hold state and pass messages round pure decisions."""
