"""Pure decisions: plain functions over frozen data with the time passed in."""
