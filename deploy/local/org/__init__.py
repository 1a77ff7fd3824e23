"""`ratoon org …`: organizations from the command line, by the REST API."""
