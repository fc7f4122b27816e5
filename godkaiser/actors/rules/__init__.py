"""One actor for each rule; what it decides is in `godkaiser.domain.rules`. Start with `rule.py`."""
