"""What tests of prefmill and of its plugins stand on: small servers that behave as real ones do."""
