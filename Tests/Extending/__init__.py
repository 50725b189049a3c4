"""What is kept when sequences go on."""
