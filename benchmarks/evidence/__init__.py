"""The claims: statements about losses, each with the experiment that can refute it."""
