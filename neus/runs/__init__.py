"""A run on disk: config, build, load, session, train, time plan."""
