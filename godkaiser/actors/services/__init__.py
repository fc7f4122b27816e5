"""Actors that control does not need: notifications, webhooks, servers; and the timekeeper."""
