"""What is kept of prompts."""
