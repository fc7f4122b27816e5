"""The page that the gateway serves: its committed build, made from web/ by `make web`."""
