// The explorer's script.
