"""The commands: Hydra entry points, each a page that reads the config, builds, runs and reports."""
