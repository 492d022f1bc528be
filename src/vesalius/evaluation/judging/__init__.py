"""Judging: rubrics, what a judge is asked, how its replies are read, and what they are worth.

It knows no model: who is asked, and when, is a step's business.
"""
