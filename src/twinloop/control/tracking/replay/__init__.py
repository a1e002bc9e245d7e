"""What clients wrote down while they tracked, applied in order and once, however often it arrives."""
