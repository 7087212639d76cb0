"""The network: features to what it says at every point of a pyramid."""
