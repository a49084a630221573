"""What is said to other programs: events and their encodings. No sockets, no torch."""
