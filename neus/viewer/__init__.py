"""A live viewer in the browser: what a scene, a mesh and a renderer show, on this machine alone."""

__all__ = ["comparison", "content", "guard", "nodes", "path_editor", "resting", "server", "viewpoint"]
