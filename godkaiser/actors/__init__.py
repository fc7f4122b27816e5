"""The domain's actors: thin shells with state and messages around pure decisions."""
