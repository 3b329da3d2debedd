"""One file a subject (taint, posture, parameters, ...): its state, how a reading changes it, its checkpoint. Pure."""
