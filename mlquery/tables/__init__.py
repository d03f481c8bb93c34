"""Tables as text, for a terminal and for an assistant: aligned lines and Markdown of frames and of comparisons."""
