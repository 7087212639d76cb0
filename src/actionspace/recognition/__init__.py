"""Recognition: which class is a clip of, and when in a video does each class happen."""
