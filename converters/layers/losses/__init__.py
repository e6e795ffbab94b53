"""Losses and Accuracy: predictions beside their labels."""
