"""Who is asking, and what they may do: passwords, tokens, API keys, permissions, limits.

For the API alone. The gateway makes the parts; the live socket and the demo ask them; `godkaiser` itself signs its
requests to a running gateway with `signed_tokens.py`.
"""
