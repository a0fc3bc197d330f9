"""JSON documents that are sent to us: what ``cityops connector new`` writes for mqtt and http_push."""
