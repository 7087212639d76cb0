"""From what the network says to detections."""
