"""The steps that join data and models, a verb a module."""
