"""The nouns everything speaks of: pictures, cases, dialogues and predictions. No torch here."""
