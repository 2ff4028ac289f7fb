"""Photographs: sets that are fetched once, and folders of your own. Lessons 09 and 10 open this folder."""
