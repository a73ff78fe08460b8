"""The studio: a page in the browser where a person draws, and sees the sketch calibrated and painted as a face."""
