"""What happened: the event, its kinds, its sentence, its JSON, and the counters and timestamps it moves. Pure."""
