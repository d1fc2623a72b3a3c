"""Technology: one module or folder for each outside system; none imports another."""
