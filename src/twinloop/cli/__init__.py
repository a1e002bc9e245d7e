"""The command line. It talks to Twinloop only through the SDK's client."""
