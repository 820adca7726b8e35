"""The nearest triangle of each point, exactly."""
