"""Any vendor's JSON pushed over HTTP, and the pushes of NB-IoT carriers, read as a profile says."""
