"""The commands that train and show: compare, tune, plan, view."""
