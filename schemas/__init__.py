"""The contracts of CityOps: kinds, frames, topics, events, messages, metrics, errors and settings."""
