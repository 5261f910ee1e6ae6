"""Measurements on trained networks that several claims share."""
