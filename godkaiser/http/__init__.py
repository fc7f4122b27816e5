"""The REST API: thin Falcon resources that translate, authorise and send a message."""
