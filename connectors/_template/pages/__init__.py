"""JSON documents that we fetch: what ``cityops connector new`` writes for http_poll."""
