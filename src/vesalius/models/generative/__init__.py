"""Generative vision-language models: templates, shared-image rows, prefix caches, learners."""
