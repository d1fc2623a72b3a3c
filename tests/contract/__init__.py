"""What Argo CD's plugin generator needs of a plugin, case by case."""
