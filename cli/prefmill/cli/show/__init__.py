"""What a person sees. Comes in: values of the API. Goes out: lines and tables of text. Never does:
ask anybody; what is shown is a plain function of what was given."""
