"""What runs the pipeline: the engine, the daemon, one reading for a command, the recorder."""
