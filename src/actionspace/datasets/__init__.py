"""Published data sets turned into manifests, and manifests checked against their files."""
