"""Frames, or features of frames, to embeddings: the networks of CARL (CVPR 2022)."""
