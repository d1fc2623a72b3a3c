"""What Hypothesis finds, and what a million generated requests do."""
