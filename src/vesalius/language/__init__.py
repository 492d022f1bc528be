"""The English grammar that reads questions and captions."""
