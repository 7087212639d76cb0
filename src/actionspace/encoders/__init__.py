"""Video encoders behind one surface, their weights and their key layouts."""
