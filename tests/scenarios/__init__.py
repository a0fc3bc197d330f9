"""Scenarios: what an operator would say happened."""
