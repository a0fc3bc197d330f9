"""DATEX II: measured traffic data and tables of measurement sites, XML polled over HTTP."""
