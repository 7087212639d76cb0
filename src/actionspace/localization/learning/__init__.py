"""What each point is to learn, and the losses."""
