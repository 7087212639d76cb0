"""What comes next: the label of an event, from what could be seen some time before it began."""
