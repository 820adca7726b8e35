"""The version, in a file that can be read without importing anything."""

VERSION = "0.1.0"
