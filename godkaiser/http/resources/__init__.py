"""The endpoints, by subject. A resource translates a request into a message and its reply into JSON."""
