"""Binary frames: what ``cityops connector new`` writes for tcp, udp and file."""
