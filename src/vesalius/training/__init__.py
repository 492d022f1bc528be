"""ADAPT: the machinery that gradient-trained models share. Knows no particular model."""
