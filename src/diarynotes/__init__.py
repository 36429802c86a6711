"""Voice notes in, a diary out."""
