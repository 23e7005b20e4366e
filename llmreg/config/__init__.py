"""What a fit is told and what follows from it: parameters, checks, defaults, devices."""
