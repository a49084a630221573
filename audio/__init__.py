"""What sound is: chunks, files, resampling. Knows no other package of this project."""
