"""Ride-hailing companies' reports to the regulator (网约车监管信息交互平台)."""
