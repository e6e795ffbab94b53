"""Published files onto this disk: resumed, verified, recorded."""
