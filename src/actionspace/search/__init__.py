"""Finding moments in feature stores."""
