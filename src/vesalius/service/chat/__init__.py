"""What is asked and answered: questions, messages, uploads, reviews, cards."""
