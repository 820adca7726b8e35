"""Where names in a .conf meet classes: reading confs, building models and scenes, run folders."""
