"""The synthesizer: a writer refines a draft with similar cases."""
