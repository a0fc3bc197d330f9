"""The whole system under a schedule of faults, compared with a run of the same input without any."""
