"""The HTTP API; every route declares with a guard who may use it."""
