"""Authentication and permissions of requests: passwords, tokens, API keys, roles, limits.

For the API alone. The gateway makes the parts; the live socket and the demo ask them; `godkaiser` itself signs its
requests to a running gateway with `signed_tokens.py`.
"""
