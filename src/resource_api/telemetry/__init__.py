"""What the service says about itself: log lines, and the trace id that ties them to a problem."""
