"""What several tasks put on features."""
