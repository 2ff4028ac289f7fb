"""Photographs: sets that are fetched once, and folders of your own."""
