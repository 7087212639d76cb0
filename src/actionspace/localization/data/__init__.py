"""Features and events of videos as samples."""
