"""Which frozen encoder for these videos: encoders and heads compared on one manifest."""
