"""What is wrong with a scene."""
