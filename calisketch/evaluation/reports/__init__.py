"""What an evaluation found, as JSON, as Markdown and as pictures."""
