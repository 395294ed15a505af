"""From a store of clips to a trained, calibrated detector, safe against kills and bad steps."""
