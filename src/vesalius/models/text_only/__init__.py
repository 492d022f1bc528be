"""Language models that read no pictures: causal ones and text-to-text ones."""
