"""Submissions to ImageCLEFmedical Caption: their forms by year, read strictly and written."""
