"""What processes of one machine leave for each other in the home folder."""
