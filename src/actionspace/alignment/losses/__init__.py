"""What alignment is trained for: SCL, TCC, TCN, LAV, and labels of frames."""
