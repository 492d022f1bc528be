"""Questions about one picture become one dialogue: ordered, free of contradictions, summed up."""
