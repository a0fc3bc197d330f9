"""Agents: shells that hand records to steps; no arithmetic on values lives here."""
