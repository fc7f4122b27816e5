"""Devices, and what is asked of them."""
