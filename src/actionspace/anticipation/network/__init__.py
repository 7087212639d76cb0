"""What looks at an observed window and tells what comes next."""
