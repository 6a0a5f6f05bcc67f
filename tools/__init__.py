"""Programs that make parts of the tree: the command reference, the formats page."""
