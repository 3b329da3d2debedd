"""Edge out: HTTP. Readers of the published snapshot; nothing flows from here into the state."""
